"""Incidents of living worlds as recorded snapshots in the published layout."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from firedrill.suites.exporting.incident import WHOLE as WHOLE
    from firedrill.suites.exporting.incident import Amount as Amount
    from firedrill.suites.exporting.incident import export_incident as export_incident

_HOMES = {"Amount": "incident", "WHOLE": "incident", "export_incident": "incident"}

__all__ = sorted(_HOMES)  # noqa: PLE0605 - one list, kept above


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
