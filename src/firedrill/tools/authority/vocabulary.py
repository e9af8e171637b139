"""The words for what requests come to, and which resources and programs stand for what."""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase
from functools import cache
from typing import Any

from firedrill.world.sim.tables import table


@cache
def _described() -> Mapping[str, str]:
    return {item["name"]: item["means"] for item in table("firedrill.tools.authority", "effects.yaml")}


EFFECTS: tuple[str, ...] = tuple(_described())
"""All there are."""


def meaning(effect: str) -> str:
    """What it means, in a sentence."""
    return _described()[effect]


@cache
def sorts() -> Mapping[str, Any]:
    """Which resources and programs stand for what."""
    return table("firedrill.tools.authority", "sorts.yaml")  # type: ignore[no-any-return]


def of_sort(sort: str, resource: str) -> bool:
    """Whether a resource, as in `deployments.apps`, is one of those."""
    return any(fnmatchcase(resource, pattern) for pattern in sorts()[sort])
