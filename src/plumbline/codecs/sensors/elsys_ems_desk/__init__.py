"""ELSYS EMS Desk: acceleration, from which the tilt is computed."""
