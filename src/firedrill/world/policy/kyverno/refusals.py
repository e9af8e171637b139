"""What admission of a policy would say."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from firedrill.core.errors import InputError
from firedrill.world.policy.kyverno.reading import load


def problems(document: Mapping[str, Any]) -> list[str]:
    """What is wrong with a policy, as its writer is told; empty where it is admitted."""
    try:
        load(document)
    except InputError as problem:
        return [str(problem)]
    return []
