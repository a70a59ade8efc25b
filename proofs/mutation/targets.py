"""What is changed, and which tests may notice."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
_SOURCE = ROOT / "src"


@dataclass(frozen=True, slots=True)
class Part:
    """One part of the product.

    Attributes:
        modules: Its Python modules.
        tests: Files of the tests that concern it.
    """

    modules: Sequence[str]
    tests: Sequence[str]


PARTS: Mapping[str, Part] = {
    "parser": Part(
        (
            "plumbline.application.parse",
            "plumbline.application.intake",
            "plumbline.application.ordering",
            "plumbline.application.uplinks",
            "plumbline.codecs.telemetry",
            "plumbline.codecs.strict_json",
            "plumbline.codecs.reading_json",
        ),
        (
            "unit/test_parse.py",
            "unit/test_intake.py",
            "unit/test_reading_json.py",
            "unit/test_uplinks.py",
            "unit/test_command_codecs.py",
            "property/test_p1_1_ordering.py",
            "property/test_plain_readings.py",
        ),
    ),
    "router": Part(
        ("plumbline.application.distribute", "plumbline.codecs.queue_message"),
        (
            "unit/test_distribute.py",
            "unit/test_queue_message.py",
            "unit/test_reading_json.py",
            "unit/test_uplinks.py",
            "unit/test_parse.py",
        ),
    ),
    "writer": Part(
        ("plumbline.application.persist", "plumbline.adapters.postgres.reading_store"),
        (
            "unit/test_persist.py",
            "integration/test_store_persist.py",
            "integration/test_store_frames.py",
            "integration/test_store_partitions.py",
            "integration/test_store_quarantine.py",
            "integration/test_store_statuses.py",
            "integration/test_command_answers.py",
        ),
    ),
    "ledger": Part(
        (
            "plumbline.domain.ledger",
            "plumbline.application.ledger_with_queues",
            "plumbline.adapters.postgres.ledger",
        ),
        (
            "unit/test_ledger.py",
            "unit/test_approximate_account.py",
            "integration/test_store_ledger.py",
        ),
    ),
}


def source_of(module: str) -> Path:
    """Return the module's file."""
    return _SOURCE / Path(*module.split(".")).with_suffix(".py")
