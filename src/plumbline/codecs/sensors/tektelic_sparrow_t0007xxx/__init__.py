"""Tektelic SPARROW T0007xxx: acceleration, from which the tilt is computed."""
