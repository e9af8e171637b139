"""The fault library: one file for each mechanism that breaks something."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import import_module
from pkgutil import iter_modules

from firedrill.core.errors import InputError
from firedrill.faults.base import Fault, Injection, Parameter, Undo, inject, registered, revert

__all__ = ["Fault", "Injection", "Parameter", "Undo", "find", "inject", "library", "revert"]


@cache
def library() -> Mapping[str, Fault]:
    """Every mechanism by its id, sorted."""
    for module in iter_modules(__path__):
        if not module.name.startswith("_") and module.name not in {"base", "catalogue"}:
            import_module(f"{__name__}.{module.name}")
    return dict(sorted(registered().items()))


def find(name: str) -> Fault:
    """The mechanism of that id, or of that name in the field.

    Raises:
        InputError: there is none.
    """
    for fault in library().values():
        if name == fault.id or name in fault.aliases:
            return fault
    raise InputError(f"there is no fault {name!r}", mend=f"take one of {', '.join(library())}")
