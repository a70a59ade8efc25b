"""Mending moto: one of its methods or properties replaced by a function."""

from collections.abc import Callable
from typing import Any

Json = dict[str, Any]


def replace(owner: Any, name: str) -> Callable[[Callable[..., Any]], None]:
    """Put a function in the place of a method; it gets the method as its first argument."""
    original = getattr(owner, name)

    def put(function: Callable[..., Any]) -> None:
        setattr(owner, name, lambda *args, **kwargs: function(original, *args, **kwargs))

    return put


def replace_property(owner: Any, name: str) -> Callable[[Callable[..., Any]], None]:
    """Put a function in the place of a property; it gets the property's getter and the object."""
    original = getattr(owner, name).fget

    def put(function: Callable[..., Any]) -> None:
        setattr(owner, name, property(lambda self: function(original, self)))

    return put
