"""Mutants that change nothing that can be seen, each with the reason; counted openly."""

from collections.abc import Mapping

EQUIVALENT: Mapping[tuple[str, str, str], str] = {}
"""By file, old and new: why no test can notice."""
