"""Partitions ahead of the data, retention behind it."""

from datetime import datetime
from typing import Any, Protocol

from plumbline.ports import Clock

DAYS_AHEAD = 7
"""Partitions that exist beyond today, so that a missed run of the maintenance costs nothing."""
