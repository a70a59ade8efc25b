"""Mutants that change nothing that can be seen, each with the reason; counted openly."""

from collections.abc import Mapping

EQUIVALENT: Mapping[tuple[str, str, str], str] = {
    (
        "ledger.py",
        "m.accounted > m.received",
        "m.accounted >= m.received",
    ): "a mismatch is one because the two are not equal",
}
"""By file, old and new: why no test can notice."""
