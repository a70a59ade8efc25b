"""Readings, deliveries, device identities and their rules: pure, standard library only."""
