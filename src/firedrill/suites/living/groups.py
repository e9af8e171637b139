"""The groups of a truth: entities under the names by which published truths call them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from firedrill.core.entity import is_cluster_scoped

Document = dict[str, Any]
_PODS = {
    "Deployment": "-[a-z0-9]+-[a-z0-9]{5}",
    "StatefulSet": "-[0-9]+",
    "DaemonSet": "-[a-z0-9]{5}",
    "ReplicaSet": "-[a-z0-9]{5}",
    "Job": "-[a-z0-9]{5}",
    "CronJob": "-[0-9]+-[a-z0-9]{5}",
}


_PATIENCE = 20_000


class Groups:
    """Groups in the order in which they are needed, each once."""

    def __init__(self) -> None:
        self._made: dict[str, Document] = {}
        self._ids: dict[tuple[str, str, str, str], str] = {}

    def of(self, entity: str, *, root: bool = False) -> str:
        """The id of the group of one object, `namespace/Kind/name`."""
        namespace, kind, name = entity.split("/", 2)
        return self._group(namespace, kind, name, f"^{literal(name)}$", root)

    def pods_of(self, entity: str) -> str:
        """The id of the group of a workload's pods, whatever they are called."""
        namespace, kind, name = entity.split("/", 2)
        return self._group(namespace, "Pod", name, f"^{literal(name)}{_PODS.get(kind, '')}$", False)

    def known(self, entity: str) -> bool:
        """Whether an object has a group already."""
        namespace, kind, name = entity.split("/", 2)
        return (namespace, kind, name, f"^{literal(name)}$") in self._ids

    def documents(self) -> list[Document]:
        """As published."""
        return list(self._made.values())

    def _group(self, namespace: str, kind: str, name: str, pattern: str, root: bool) -> str:
        key = (namespace, kind, name, pattern)
        if key not in self._ids:
            stem, number = f"{name}-{kind.lower()}", 1
            while f"{stem}-{number}" in self._made:
                number += 1
            made: Document = {"id": f"{stem}-{number}", "kind": kind}
            if not is_cluster_scoped(kind):
                made["namespace"] = namespace
            made["filter"] = [pattern]
            self._ids[key] = made["id"]
            self._made[made["id"]] = made
        found = self._ids[key]
        if root:
            self._made[found]["root_cause"] = True
        return found


def literal(name: str) -> str:
    """A name as a regular expression."""
    return re.escape(name).replace("\\-", "-")


def longest(starts: Iterable[str], steps: Iterable[tuple[str, str]]) -> int:
    """The most steps of a way that begins at a start and meets no group twice; looked for with patience."""
    onwards: dict[str, list[str]] = {}
    for source, target in steps:
        onwards.setdefault(source, []).append(target)
    best, patience = 0, _PATIENCE
    ways: list[tuple[str, ...]] = [(start,) for start in starts]
    while ways and patience:
        way = ways.pop()
        patience -= 1
        best = max(best, len(way) - 1)
        ways += [(*way, target) for target in onwards.get(way[-1], ()) if target not in way]
    return best


__all__ = ["Document", "Groups", "literal", "longest"]
