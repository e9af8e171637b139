"""The fault library: one file for each mechanism that breaks something."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from functools import cache
from importlib import import_module
from pkgutil import iter_modules

from firedrill.core.errors import InputError
from firedrill.faults._itbench import Naming, from_itbench, itbench_namings
from firedrill.faults.acting import active
from firedrill.faults.base import (
    Change,
    Fault,
    Injection,
    Parameter,
    Step,
    Target,
    Undo,
    inject,
    registered,
)
from firedrill.faults.fitting import misfit, targets
from firedrill.faults.propagating import Hop, propagation
from firedrill.faults.repairing import apply, leftovers, repair
from firedrill.faults.reverting import revert

__all__ = [
    "Change",
    "Fault",
    "Hop",
    "Injection",
    "Naming",
    "Parameter",
    "Step",
    "Target",
    "Undo",
    "active",
    "apply",
    "find",
    "from_itbench",
    "inject",
    "itbench_namings",
    "leftovers",
    "library",
    "misfit",
    "propagation",
    "repair",
    "revert",
    "targets",
]
_NO_MECHANISMS = frozenset(
    {"acting", "base", "catalogue", "fitting", "healing", "propagating", "repairing", "reverting", "showing"}
)


@cache
def library() -> Mapping[str, Fault]:
    """Every mechanism by its id, sorted."""
    for module in iter_modules(__path__):
        if not module.name.startswith("_") and module.name not in _NO_MECHANISMS:
            import_module(f"{__name__}.{module.name}")
    return dict(sorted(registered().items()))


def find(name: str) -> Fault:
    """The mechanism of that id, or of that name in the field, ITBench's included.

    Raises:
        InputError: there is none.
    """
    known = library()
    naming = itbench_namings().get(name)
    if name not in known and naming is not None and naming.mechanism in known:
        return known[naming.mechanism]
    for fault in known.values():
        if name == fault.id or name in fault.aliases:
            return fault
    close = get_close_matches(name, [*known, *itbench_namings()], n=3)
    mend = f"did you mean {' or '.join(close)}?" if close else "`docs/faults.md` lists them"
    raise InputError(f"there is no fault {name!r}", mend=mend)
