"""Decentlab DL-ATM41G2: a weather station that tells how its mast leans."""
