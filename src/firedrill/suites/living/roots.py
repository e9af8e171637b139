"""The roots of a truth, as healing has shown them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from firedrill.core.entity import is_cluster_scoped
from firedrill.suites.living.groups import Document, literal

Cure = Sequence[str]


def settle_roots(truth: Document, cures: Sequence[Cure], causes: Sequence[str]) -> Document:
    """A truth (wrapped v1) whose roots are one minimal cure, and whose aliases are what may stand for them.

    Where several minimal cures differ in one entity, either of the two is the cause: they are aliases. What
    was changed and is in no cure is no root. A namespace stays the other name of a quota that blocks it,
    as in published truths.

    Args:
        truth: from `tell`.
        cures: all minimal ones.
        causes: the first cause of each fault, which name the roots where there is a choice.
    """
    if not cures:
        return truth
    spec = dict(truth["spec"])
    groups = [{key: item for key, item in group.items() if key != "root_cause"} for group in spec["groups"]]
    first = max(cures, key=lambda cure: (sum(item in causes for item in cure), -len(cure)))
    roots = [_group(groups, entity, root=True) for entity in first]
    pairs = []
    for cure in cures:
        here, there = set(first) - set(cure), set(cure) - set(first)
        if len(here) == len(there) == 1:
            pairs.append([_group(groups, here.pop()), _group(groups, there.pop())])
    spec["groups"] = groups
    spec["aliases"] = [*_kept(spec, roots, pairs), *pairs]
    faults = [item for item in spec["fault"] if item["entity"]["group_id"] in roots]
    spec["fault"] = faults or spec["fault"]
    return {**truth, "spec": spec}


def _kept(spec: Document, roots: list[str], pairs: list[list[str]]) -> list[list[str]]:
    """The aliases that healing has nothing to say about: pods of a root, the namespace of a quota."""
    kinds = {group["id"]: group["kind"] for group in spec["groups"]}
    return [
        alias
        for alias in spec["aliases"]
        if alias not in pairs and alias[0] in roots and kinds[alias[1]] in ("Pod", "Namespace")
    ]


def _group(groups: list[dict[str, Any]], entity: str, *, root: bool = False) -> str:
    """The id of an entity's group, made where there is none."""
    namespace, kind, name = entity.split("/", 2)
    place = {} if is_cluster_scoped(kind) else {"namespace": namespace}
    pattern = [f"^{literal(name)}$"]
    for number, group in enumerate(groups):
        if (group["kind"], group.get("namespace"), group["filter"]) == (
            kind,
            place.get("namespace"),
            pattern,
        ):
            if root:
                groups[number] = {**group, "root_cause": True}
            return str(group["id"])
    taken, number = {group["id"] for group in groups}, 1
    while f"{name}-{kind.lower()}-{number}" in taken:
        number += 1
    made: dict[str, Any] = {"id": f"{name}-{kind.lower()}-{number}", "kind": kind, **place, "filter": pattern}
    groups.append({**made, "root_cause": True} if root else made)
    return str(made["id"])


__all__ = ["settle_roots"]
