"""Milesight EM320-TILT: angles of three axes, relative to an initial position."""
