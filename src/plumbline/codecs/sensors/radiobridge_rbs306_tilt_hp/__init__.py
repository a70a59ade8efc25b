"""RadioBridge RBS306-TILT-HP: angle from the vertical in steps of 0.1 degree."""
