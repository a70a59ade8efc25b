"""ELSYS EMS: acceleration, from which the tilt is computed."""
