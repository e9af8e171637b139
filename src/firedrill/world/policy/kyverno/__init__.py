"""Kyverno's engine, over plain dicts: what would admit a policy, and what policies say about objects.

`problems(document)`, `load(document) -> Policy`, `evaluate(policies, Subject(…), lookup) -> [Row]`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from firedrill.world.policy.kyverno.engine import evaluate
    from firedrill.world.policy.kyverno.model import (
        Action,
        Lookup,
        LookupFailed,
        Nothing,
        Policy,
        Result,
        Row,
        Rule,
        Subject,
        User,
    )
    from firedrill.world.policy.kyverno.reading import load
    from firedrill.world.policy.kyverno.refusals import problems

__all__ = [
    "Action",
    "Lookup",
    "LookupFailed",
    "Nothing",
    "Policy",
    "Result",
    "Row",
    "Rule",
    "Subject",
    "User",
    "evaluate",
    "load",
    "problems",
]

_HOMES = {"evaluate": "engine", "load": "reading", "problems": "refusals"}


def __getattr__(name: str) -> Any:
    """Load the engine when it is first used: most worlds have no policies."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(import_module(f"{__name__}.{_HOMES.get(name, 'model')}"), name)
    globals()[name] = found
    return found
