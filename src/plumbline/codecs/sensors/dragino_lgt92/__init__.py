"""Dragino LGT-92: a GPS tracker that sends roll and pitch."""
