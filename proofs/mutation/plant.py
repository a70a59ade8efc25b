"""Puts a changed source into modules that are imported already, for one forked process."""

import sys
from collections.abc import Mapping
from enum import Enum
from importlib import import_module
from types import CodeType, FunctionType, ModuleType
from typing import Any

_PLAIN = (int, float, str, bytes, bool, type(None))


def plant(name: str, pristine: str, changed: str) -> None:
    """Let the module do what the changed source says.

    Functions and methods get the new code in place, so whoever has imported them has it, too.
    Values that differ between the two sources are set wherever they were imported to.
    """
    module = import_module(name)
    before, after = _execute(module, pristine), _execute(module, changed)
    for key, new in list(after.items()):
        old = vars(module).get(key)
        if key.startswith("__") or old is None:
            continue
        if isinstance(new, type) and isinstance(old, type) and new.__module__ == name:
            _patch_class(old, new)
            after[key] = old  # for functions that are held by values, such as a decoder's hooks
        elif _function_of(new) is not None and getattr(new, "__module__", None) == name:
            _patch_function(old, new)
        elif not isinstance(new, ModuleType) and key in before and not _equal(before[key], new):
            for other in list(sys.modules.values()):
                if getattr(other, "__dict__", {}).get(key) is old:
                    setattr(other, key, new)


def _execute(module: ModuleType, source: str) -> dict[str, Any]:
    path = module.__file__ or ""
    code: CodeType = compile(source, path, "exec")
    # A module of that name must be there: dataclasses look theirs up.
    found: dict[str, Any] = {"__name__": module.__name__, "__file__": path}
    exec(code, found)  # noqa: S102 - our own source, changed in one place
    return found


def _equal(one: object, other: object) -> bool:
    return type(one) is type(other) and bool(one == other)


def _function_of(value: object) -> FunctionType | None:
    """Return the function inside a method, a property or a cache."""
    for name in ("__wrapped__", "__func__", "fget"):
        inner = getattr(value, name, None)
        if inner is not None and not isinstance(value, FunctionType):
            value = inner
    return value if isinstance(value, FunctionType) else None


def _patch_class(old: type, new: type) -> None:
    if issubclass(old, Enum):
        return  # its members are what everybody holds
    for key, value in vars(new).items():
        if _function_of(value) is not None:
            _patch_function(vars(old).get(key), value)
        elif isinstance(value, _PLAIN) and not key.startswith("__"):
            setattr(old, key, value)


def _patch_function(old: object, new: object) -> None:
    mine, other = _function_of(old), _function_of(new)
    if mine is None or other is None:
        return
    if mine.__code__.co_freevars == other.__code__.co_freevars:
        mine.__code__ = other.__code__
        _copy_cells(mine, other)
    mine.__defaults__ = other.__defaults__
    mine.__kwdefaults__ = other.__kwdefaults__
    clear = getattr(old, "cache_clear", None)
    if clear is not None:
        clear()


def _copy_cells(mine: FunctionType, other: FunctionType) -> None:
    """Take over plain values, such as the defaults of a dataclass's fields."""
    cells: Mapping[str, Any] = dict(
        zip(mine.__code__.co_freevars, mine.__closure__ or (), strict=True)
    )
    for name, cell in zip(other.__code__.co_freevars, other.__closure__ or (), strict=True):
        if isinstance(cell.cell_contents, _PLAIN):
            cells[name].cell_contents = cell.cell_contents
