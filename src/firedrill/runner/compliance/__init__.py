"""Episodes of compliance: a world to assess, artefacts taken from it, and what they say about hidden ones."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from firedrill.runner.compliance.assessing import Assessed as Assessed
    from firedrill.runner.compliance.assessing import assess as assess
    from firedrill.runner.compliance.furnishing import briefed as briefed
    from firedrill.runner.compliance.furnishing import furnish as furnish
    from firedrill.runner.compliance.handing import handed_in as handed_in
    from firedrill.runner.compliance.handing import handed_in_on_host as handed_in_on_host
    from firedrill.runner.compliance.handing import visit as visit
    from firedrill.runner.compliance.stage import ComplianceStage as ComplianceStage

_HOMES = {
    "assessing": ("Assessed", "assess"),
    "furnishing": ("briefed", "furnish"),
    "handing": ("handed_in", "handed_in_on_host", "visit"),
    "stage": ("ComplianceStage",),
}
_HOME = {name: module for module, names in _HOMES.items() for name in names}

__all__ = sorted(_HOME)  # noqa: PLE0605 - one list, kept above


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
