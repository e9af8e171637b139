"""Reference decision procedures: what breaks the requirement of a scenario, in Python, by no engine.

A module `controls/<topic>.py` has `judge` functions by scenario in `JUDGES`. Of a cluster `judge(objects)`
takes the objects of a variant (plain dicts, as they were written, policies not among them); of a host
`judge(host)` takes its record. Each gives the ids of what breaks the requirement, or verdicts by id where
some of it is to be denied (`block`) or left out by exception (`skip`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from importlib import import_module
from pkgutil import iter_modules
from typing import Any

from firedrill.core.compliance import Verdict
from firedrill.core.errors import InputError

Violations = AbstractSet[str] | Mapping[str, Verdict]
Judge = Callable[[Any], Violations]


def judge_of(name: str) -> Judge:
    """The decision procedure of a scenario.

    Raises:
        InputError: there is none.
    """
    for module in sorted(item.name for item in iter_modules(__path__)):
        judges: Mapping[str, Judge] = getattr(import_module(f"{__name__}.{module}"), "JUDGES", {})
        if name in judges:
            return judges[name]
    raise InputError(
        f"{name} has no decision procedure", mend="add it to a module of suites/compliance/controls"
    )


def verdicts(found: Violations) -> dict[str, Verdict]:
    """Violations as verdicts by id."""
    if isinstance(found, Mapping):
        return {name: found[name] for name in sorted(found)}
    return dict.fromkeys(sorted(found), "fail")


__all__ = ["Judge", "Violations", "judge_of", "verdicts"]
