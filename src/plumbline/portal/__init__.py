"""The portal's REST API."""
