"""Plumbline: tilt sensors, from the device to a row that can be trusted."""

from importlib.metadata import version

__version__ = version("plumbline")
