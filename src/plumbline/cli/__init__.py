"""The command line `plumbline`."""
