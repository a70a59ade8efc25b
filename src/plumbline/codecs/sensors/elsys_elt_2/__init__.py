"""ELSYS ELT-2: acceleration, from which the tilt is computed."""
