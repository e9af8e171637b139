"""Scenarios of compliance: their form, their variants by seed, decision procedures, and what each must prove.

Names are loaded when they are first used, so that importing this room is cheap.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from firedrill.suites.compliance.blind import BLIND as BLIND
    from firedrill.suites.compliance.blind import CATALOGUE as CATALOGUE
    from firedrill.suites.compliance.loading import artefacts as artefacts
    from firedrill.suites.compliance.loading import known_ids as known_ids
    from firedrill.suites.compliance.loading import load as load
    from firedrill.suites.compliance.loading import mutated as mutated
    from firedrill.suites.compliance.loading import policies_of as policies_of
    from firedrill.suites.compliance.loading import text_of as text_of
    from firedrill.suites.compliance.loading import variants as variants
    from firedrill.suites.compliance.model import ComplianceSpec as ComplianceSpec
    from firedrill.suites.compliance.model import Variant as Variant
    from firedrill.suites.compliance.patching import entity as entity

_HOMES = {
    "blind": ("BLIND", "CATALOGUE"),
    "loading": ("artefacts", "known_ids", "load", "mutated", "policies_of", "text_of", "variants"),
    "model": ("ComplianceSpec", "Variant"),
    "patching": ("entity",),
}
_HOME = {name: module for module, names in _HOMES.items() for name in names}

__all__ = sorted(_HOME)  # noqa: PLE0605 - one list, kept above


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
