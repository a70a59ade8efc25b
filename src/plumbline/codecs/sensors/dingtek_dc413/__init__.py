"""Dingtek DC413: a level sensor that tells how it leans."""
