"""Milesight EM310-TILT: angles of three axes."""
