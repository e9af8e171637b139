"""The built-in kinds, read once from `data/kinds.yaml`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from types import MappingProxyType
from typing import Any

from firedrill.world.kube.kinds.model import Kind, Kinds, Subresource
from firedrill.world.sim.tables import table


@cache
def default_kinds() -> Kinds:
    """The kinds of a server without custom resources. The same object at each call."""
    document = table(__package__, "kinds.yaml")
    last = frozenset(group["group"] for group in document["groups"] if group.get("last"))
    return Kinds(_kinds(document), last)


def _kinds(document: Mapping[str, Any]) -> Iterator[Kind]:
    for group in document["groups"]:
        for version, members in group["versions"].items():
            for plural, facts in members.items():
                yield _kind(document, group["group"], version, plural, facts)


def _kind(
    document: Mapping[str, Any], group: str, version: str, plural: str, facts: Mapping[str, Any]
) -> Kind:
    resource = f"{plural}.{group}" if group else plural
    storage = facts.get("storage", resource)
    subresources = (
        _subresource(document["subresources"][name], name.rpartition("/")[2], group, version, facts["kind"])
        for name in facts.get("subresources", ())
    )
    return Kind(
        group=group,
        version=version,
        kind=facts["kind"],
        plural=plural,
        singular=facts.get("singular", facts["kind"].lower()),
        short=tuple(facts.get("short", ())),
        categories=tuple(facts.get("categories", ())),
        namespaced=facts.get("namespaced", True),
        verbs=tuple(document["verbs"][facts.get("verbs", "standard")]),
        subresources=MappingProxyType({item.name: item for item in subresources}),
        storage="" if storage == "none" else storage,
    )


def _subresource(facts: Mapping[str, Any], name: str, group: str, version: str, kind: str) -> Subresource:
    return Subresource(
        name=name,
        group=facts.get("group", group),
        version=facts.get("version", version),
        kind=facts.get("kind", kind),
        verbs=tuple(facts["verbs"]),
    )
