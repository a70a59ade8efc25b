"""Commands to any Decentlab sensor."""
