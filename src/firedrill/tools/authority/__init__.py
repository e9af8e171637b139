"""Authority: what an agent may do, decided at the gateway, by a policy file and whom it names to be asked.

Names are loaded when they are first used, so that importing this room is cheap.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from firedrill.tools.authority.approvers import Answer as Answer
    from firedrill.tools.authority.approvers import Approver as Approver
    from firedrill.tools.authority.approvers import approver_of as approver_of
    from firedrill.tools.authority.deciding import Authority as Authority
    from firedrill.tools.authority.effects import effects_of as effects_of
    from firedrill.tools.authority.model import Policy as Policy
    from firedrill.tools.authority.policy import located as located
    from firedrill.tools.authority.policy import open_policy as open_policy
    from firedrill.tools.authority.policy import parse as parse
    from firedrill.tools.authority.policy import preset as preset
    from firedrill.tools.authority.policy import presets as presets
    from firedrill.tools.authority.policy import schema as schema
    from firedrill.tools.authority.policy import schema_text as schema_text
    from firedrill.tools.authority.terminal import at_terminal as at_terminal
    from firedrill.tools.authority.vocabulary import EFFECTS as EFFECTS
    from firedrill.tools.authority.vocabulary import meaning as meaning

_HOMES = {
    "approvers": ("Answer", "Approver", "approver_of"),
    "deciding": ("Authority",),
    "effects": ("effects_of",),
    "model": ("Policy",),
    "policy": ("located", "open_policy", "parse", "preset", "presets", "schema", "schema_text"),
    "terminal": ("at_terminal",),
    "vocabulary": ("EFFECTS", "meaning"),
}
_HOME = {name: module for module, names in _HOMES.items() for name in names}

__all__ = sorted(_HOME)  # noqa: PLE0605 - one list, kept above


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
