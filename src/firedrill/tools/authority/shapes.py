"""Reading objects of any form: a custom resource may hold anything where a workload has its containers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from firedrill.world.kube.objects import Obj, dig


def mapping(obj: Mapping[str, Any] | None, *path: str) -> Mapping[str, Any]:
    """The mapping at the path; an empty one where there is something else."""
    found = dig(obj, *path)
    return found if isinstance(found, dict) else {}


def items(obj: Mapping[str, Any] | None, *path: str) -> list[Obj]:
    """The mappings in the list at the path."""
    found = dig(obj, *path)
    return [item for item in found if isinstance(item, dict)] if isinstance(found, list | tuple) else []


def words(obj: Mapping[str, Any] | None, *path: str) -> list[str]:
    """The texts in the list at the path."""
    found = dig(obj, *path)
    return [item for item in found if isinstance(item, str)] if isinstance(found, list | tuple) else []


def text(obj: Mapping[str, Any] | None, *path: str) -> str:
    """The text at the path; empty where there is something else."""
    found = dig(obj, *path)
    return found if isinstance(found, str) else ""


def number(obj: Mapping[str, Any] | None, *path: str) -> int | None:
    """The whole number at the path."""
    found = dig(obj, *path)
    return found if isinstance(found, int) and not isinstance(found, bool) else None


def labels(obj: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """Of an object."""
    return mapping(obj, "metadata", "labels")
