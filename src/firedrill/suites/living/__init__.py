"""Incidents on living worlds: drawn, simulated, told, checked, and kept as scenario files.

Names are loaded when they are first used, so that importing this room is cheap.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from firedrill.suites.living.case import Case as Case
    from firedrill.suites.living.case import CaseFault as CaseFault
    from firedrill.suites.living.case import Waiter as Waiter
    from firedrill.suites.living.incident import Firing as Firing
    from firedrill.suites.living.incident import Incident as Incident
    from firedrill.suites.living.incident import Minute as Minute
    from firedrill.suites.living.incident import Times as Times
    from firedrill.suites.living.simulating import simulate as simulate
    from firedrill.suites.living.worlds import Worlds as Worlds

_HOMES = {
    "case": ("Case", "CaseFault", "Waiter"),
    "incident": ("Firing", "Incident", "Minute", "Times"),
    "simulating": ("simulate",),
    "worlds": ("Worlds",),
}
_HOME = {name: module for module, names in _HOMES.items() for name in names}

__all__ = sorted(_HOME)  # noqa: PLE0605 - one list, kept above


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
