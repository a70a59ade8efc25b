"""What a fuzz target is."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from random import Random
from typing import NamedTuple


class Case(NamedTuple):
    """What is thrown: bytes, and what goes beside them (a topic, a port, a queue's attributes)."""

    beside: str
    payload: bytes


@dataclass(frozen=True, slots=True)
class Target:
    """One reader of what comes from outside.

    Attributes:
        weight: Its share of the cases.
        make: Makes a case.
        judge: Returns a word for each item of it: ACCEPTED, or why not; raises for what is wrong.
    """

    name: str
    weight: int
    make: Callable[[Random], Case]
    judge: Callable[[Case], Iterable[str]]
