"""What became of deliveries, counted by batch and device."""

from collections.abc import Iterable
from enum import StrEnum
from uuid import UUID

from plumbline.domain.delivery import batch_of


class Outcome(StrEnum):
    """How a delivery ended; each ends in exactly one of these."""

    STORED = "stored"
    DUPLICATE = "duplicate"
    CONFLICT = "conflict"
    QUARANTINED = "quarantined"
    DISCARDED = "discarded"
    """Purged from a dead-letter queue by an operator."""


DeviceCounts = dict[str, dict[str, int]]
"""Counts by device id, then by outcome."""


def tally(outcomes: Iterable[tuple[UUID, str, Outcome]]) -> dict[str, DeviceCounts]:
    """Count (delivery id, device id, outcome) by batch id, device id and outcome."""
    batches: dict[str, DeviceCounts] = {}
    for delivery_id, device_id, outcome in outcomes:
        counts = batches.setdefault(batch_of(delivery_id), {}).setdefault(device_id, {})
        counts[outcome.value] = counts.get(outcome.value, 0) + 1
    return batches
