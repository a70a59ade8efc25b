"""Dragino TS01-LB and TS01-LS: roll and pitch."""
