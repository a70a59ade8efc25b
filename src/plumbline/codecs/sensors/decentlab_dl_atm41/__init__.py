"""Decentlab DL-ATM41: a weather station that tells how its mast leans."""
