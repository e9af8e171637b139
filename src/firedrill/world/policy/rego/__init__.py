"""Rego: foreign policies evaluated in a limited process, by whichever engine is here.

``evaluate`` and ``Rego.evaluate_many`` give a ``Value``, ``Undefined`` or ``RegoError``; ``verdict`` says
which of them is a yes. ``check`` reads modules without running them, ``lint`` says what keeps a policy from
being graded.
"""

from firedrill.world.policy.rego.engine import REFUSED, BackEnd, Rego, back_ends, check, choose, evaluate
from firedrill.world.policy.rego.lint import findings, lint
from firedrill.world.policy.rego.model import (
    Checked,
    Limits,
    Module,
    Outcome,
    RegoError,
    Undefined,
    Value,
    verdict,
)

__all__ = [
    "REFUSED", "BackEnd", "Checked", "Limits", "Module", "Outcome", "Rego", "RegoError", "Undefined", "Value",
    "back_ends", "check", "choose", "evaluate", "findings", "lint", "verdict",
]  # fmt: skip
