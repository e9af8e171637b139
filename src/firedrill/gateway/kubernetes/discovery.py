"""Which groups, versions and resources there are: plain and aggregated discovery, and the version."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from firedrill.world.kube.objects import Obj

if TYPE_CHECKING:
    from firedrill.world.kube.cluster import Settings
    from firedrill.world.kube.kinds import Kind, Kinds, Subresource


def groups(kinds: Kinds) -> dict[str, list[str]]:
    """The versions of each group, the preferred one first, in the order of discovery."""
    out: dict[str, list[str]] = {}
    for group, version in kinds.versions():
        out.setdefault(group, []).append(version)
    return out


def core_versions(address: str) -> Obj:
    """The answer to `/api`; `address` as in `127.0.0.1:6443`."""
    return {
        "kind": "APIVersions",
        "versions": ["v1"],
        "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": address}],
    }


def group_list(kinds: Kinds) -> Obj:
    """The plain answer to `/apis`."""
    items = [_group(name, versions) for name, versions in groups(kinds).items() if name]
    return {"kind": "APIGroupList", "apiVersion": "v1", "groups": items}


def group(kinds: Kinds, name: str) -> Obj | None:
    """The answer to `/apis/{group}`; None for a group that is not served."""
    versions = groups(kinds).get(name)
    return {"kind": "APIGroup", "apiVersion": "v1", **_group(name, versions)} if versions else None


def _group(name: str, versions: list[str]) -> Obj:
    entries = [{"groupVersion": f"{name}/{version}", "version": version} for version in versions]
    return {"name": name, "versions": entries, "preferredVersion": entries[0]}


def resource_list(kinds: Kinds, name: str, version: str) -> Obj | None:
    """The answer to `/apis/{group}/{version}` and `/api/v1`; None for what is not served."""
    members = _members(kinds, name, version)
    if not members:
        return None
    entries = [entry for kind in members for entry in _resources(kind)]
    head: Obj = {"kind": "APIResourceList"}
    if name:
        head["apiVersion"] = "v1"
    return {**head, "groupVersion": members[0].api_version, "resources": entries}


def _members(kinds: Kinds, name: str, version: str) -> list[Kind]:
    return [kind for kind in kinds.all() if kind.group == name and kind.version == version]


def _resources(kind: Kind) -> Iterator[Obj]:
    out: Obj = {
        "name": kind.plural,
        "singularName": kind.singular,
        "namespaced": kind.namespaced,
        "kind": kind.kind,
        "verbs": list(kind.verbs),
    }
    if kind.short:
        out["shortNames"] = list(kind.short)
    if kind.categories:
        out["categories"] = list(kind.categories)
    yield out
    for sub in kind.subresources.values():
        entry: Obj = {
            "name": f"{kind.plural}/{sub.name}",
            "singularName": "",
            "namespaced": kind.namespaced,
        }
        if (sub.group, sub.version) != (kind.group, kind.version):
            entry |= {"group": sub.group, "version": sub.version}
        yield {**entry, "kind": sub.kind, "verbs": list(sub.verbs)}


def aggregated(kinds: Kinds, version: str, *, core: bool) -> Obj:
    """The answer to `/api` (`core`) or `/apis` in the form that kubectl asks for first."""
    items = []
    for name, versions in groups(kinds).items():
        if (name == "") is not core:
            continue
        meta: Obj = {"name": name, "creationTimestamp": None} if name else {"creationTimestamp": None}
        entries = [
            {
                "version": item,
                "resources": [_aggregated(kind) for kind in _members(kinds, name, item)],
                "freshness": "Current",
            }
            for item in versions
        ]
        items.append({"metadata": meta, "versions": entries})
    return {
        "kind": "APIGroupDiscoveryList",
        "apiVersion": f"apidiscovery.k8s.io/{version}",
        "metadata": {},
        "items": items,
    }


def _aggregated(kind: Kind) -> Obj:
    out: Obj = {
        "resource": kind.plural,
        "responseKind": {"group": kind.group, "version": kind.version, "kind": kind.kind},
        "scope": "Namespaced" if kind.namespaced else "Cluster",
        "singularResource": kind.singular,
        "verbs": list(kind.verbs),
    }
    if kind.short:
        out["shortNames"] = list(kind.short)
    if kind.categories:
        out["categories"] = list(kind.categories)
    if kind.subresources:
        out["subresources"] = [_aggregated_part(sub) for sub in kind.subresources.values()]
    return out


def _aggregated_part(sub: Subresource) -> Obj:
    return {
        "subresource": sub.name,
        "responseKind": {"group": sub.group, "version": sub.version, "kind": sub.kind},
        "verbs": list(sub.verbs),
    }


def version(settings: Settings) -> dict[str, Any]:
    """The answer to `/version`."""
    major, _, minor = settings.version.partition(".")
    return {
        "major": major,
        "minor": minor,
        "gitVersion": settings.git_version,
        "gitCommit": "firedrill",
        "gitTreeState": "clean",
        "buildDate": "2024-10-22T20:28:14Z",
        "goVersion": "go1.22.8",
        "compiler": "gc",
        "platform": "linux/amd64",
    }
