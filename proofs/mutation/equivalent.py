"""Mutants that change nothing that can be seen, each with the reason; counted openly."""

from collections.abc import Mapping

EQUIVALENT: Mapping[tuple[str, str, str], str] = {
    (
        "strict_json.py",
        'text.count("[") + text.count("{") <= _MAX_DEPTH',
        "text.count('[') + text.count('{') < _MAX_DEPTH",
    ): "a text with no more brackets than that is not deeper either; only saves the count",
    (
        "ledger.py",
        "m.accounted > m.received",
        "m.accounted >= m.received",
    ): "a mismatch is one because the two are not equal",
}
"""By file, old and new: why no test can notice."""
