"""MQTT: draining the ingest session, and the broker's credentials."""
