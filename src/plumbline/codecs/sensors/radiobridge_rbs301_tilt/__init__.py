"""RadioBridge RBS301-TILT: angle from the vertical in whole degrees."""
