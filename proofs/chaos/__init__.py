"""The whole system as processes of this machine, hit at random moments."""
