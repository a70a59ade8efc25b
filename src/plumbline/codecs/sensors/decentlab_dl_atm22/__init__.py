"""Decentlab DL-ATM22: a wind sensor that tells how its mast leans."""
