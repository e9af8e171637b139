"""What an installation remembers, and the policies that are in force."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Self

from firedrill.core.errors import InputError
from firedrill.world.kube.objects import Obj, dig, labels_of, name_of, namespace_of
from firedrill.world.policy.kyverno import wildcard
from firedrill.world.policy.kyverno.model import LookupFailed, Nothing, Policy, Row, Subject, User
from firedrill.world.policy.kyverno.reading import load

if TYPE_CHECKING:
    from firedrill.world.kube.kinds import Kind, Kinds
    from firedrill.world.world import World

NAMESPACE = "kyverno"
POLICIES = (
    "clusterpolicies.kyverno.io",
    "policies.kyverno.io",
    "validatingpolicies.policies.kyverno.io",
    "namespacedvalidatingpolicies.policies.kyverno.io",
)
EXCEPTIONS = ("policyexceptions.kyverno.io", "policyexceptions.policies.kyverno.io")
REPORTS = ("policyreports.wgpolicyk8s.io", "clusterpolicyreports.wgpolicyk8s.io")
_DEPLOYMENT = "kyverno-admission-controller"
_KEPT = 4096


class Kyverno:
    """What the webhook has said of requests that were let in, until the next report about the object."""

    __slots__ = ("admitted",)

    def __init__(self) -> None:
        self.admitted: dict[str, tuple[Row, ...]] = {}

    def fork(self) -> Self:
        """An independent copy."""
        twin = type(self)()
        twin.admitted = self.admitted.copy()
        return twin

    def state(self) -> object:
        """All of it as plain data."""
        return sorted(
            [uid, *([row.policy, row.rule, row.result, row.message] for row in rows)]
            for uid, rows in self.admitted.items()
        )


def installed(world: World) -> bool:
    """Whether Kyverno is part of the world."""
    return world.cluster.store.get("deployments.apps", NAMESPACE, _DEPLOYMENT) is not None


def is_up(world: World, component: str) -> bool:
    """Whether a pod of one of its controllers is ready."""
    for pod in world.cluster.store.pods_labelled(NAMESPACE, "app.kubernetes.io/component", component):
        for item in dig(pod, "status", "conditions", default=()):
            if item.get("type") == "Ready" and item.get("status") == "True":
                return True
    return False


_LOADED: dict[tuple[str, str], tuple[Obj, Policy | None]] = {}
"""Policies as they were read, by uid and version; good only for the very same object."""


def loaded(obj: Obj) -> Policy | None:
    """A stored policy, read; None for one that cannot be."""
    key = (str(obj["metadata"].get("uid")), str(obj["metadata"].get("resourceVersion")))
    known = _LOADED.get(key)
    if known is not None and known[0] is obj:
        return known[1]
    try:
        found = load(obj)
    except InputError:
        found = None
    if len(_LOADED) >= _KEPT:
        _LOADED.clear()
    _LOADED[key] = (obj, found)
    return found


def policies(world: World) -> list[Policy]:
    """The policies in force, by kind and name."""
    store = world.cluster.store
    found = [loaded(obj) for resource in POLICIES for obj in store.list(resource)]
    return [item for item in found if item is not None]


def exceptions(world: World) -> list[Policy]:
    """The exceptions from them."""
    store = world.cluster.store
    found = [loaded(obj) for resource in EXCEPTIONS for obj in store.list(resource)]
    return [item for item in found if item is not None]


@lru_cache(maxsize=64)
def _filters(text: str) -> tuple[tuple[str, str, str], ...]:
    found = (item.split(",") for item in re.findall(r"\[([^\[\]]{1,300})\]", text[:20_000]))
    padded = ([*(part.strip() for part in item), "", ""][:3] for item in found)
    return tuple((item[0] or "*", item[1] or "*", item[2] or "*") for item in padded)


def filtered(world: World, kind: str, subresource: str, namespace: str, name: str) -> bool:
    """Whether the settings keep Kyverno from looking at an object at all."""
    settings = world.cluster.store.get("configmaps", NAMESPACE, "kyverno") or {}
    text = str((settings.get("data") or {}).get("resourceFilters") or "")
    shown = f"{kind}/{subresource}" if subresource else kind
    return any(
        _kind_fits(wanted, shown) and wildcard.match(space, namespace) and wildcard.match(which, name)
        for wanted, space, which in _filters(text)
    )


def _kind_fits(wanted: str, shown: str) -> bool:
    if wanted in ("*/*", "*"):
        return True
    return ("/" in wanted) == ("/" in shown) and wildcard.match(wanted, shown)


def namespace_labels(world: World, namespace: str) -> Mapping[str, str]:
    """The labels of a namespace, empty for none."""
    found = world.cluster.store.get("namespaces", "", namespace) if namespace else None
    return labels_of(found) if found else {}


def subject_of(world: World, kind: Kind, obj: Obj, **more: Any) -> Subject:
    """An object to judge, in its namespace."""
    space = namespace_of(obj)
    found = world.cluster.store.get("namespaces", "", space) if space else None
    typed = obj if obj.get("kind") else {"apiVersion": kind.api_version, "kind": kind.kind, **obj}
    labels = labels_of(found) if found else {}
    made = Subject(typed, operation="", namespace_labels=labels, plural=kind.plural, namespace_object=found)
    return replace(made, **more)


def user_of(world: World, name: str, groups: Sequence[str], *, roles: bool, **more: Any) -> User:
    """Who asks, with the roles that bindings give."""
    everybody = tuple(groups)
    if name and "system:authenticated" not in everybody and name != "system:anonymous":
        everybody = (*everybody, "system:authenticated")
    if not roles:
        return User(name, everybody, **more)
    own, cluster = [], []
    store = world.cluster.store
    for binding in store.list("rolebindings.rbac.authorization.k8s.io"):
        if _bound(binding, name, everybody):
            reference = binding.get("roleRef") or {}
            if reference.get("kind") == "Role":
                own.append(f"{namespace_of(binding)}:{reference.get('name')}")
            else:
                cluster.append(str(reference.get("name")))
    for binding in store.list("clusterrolebindings.rbac.authorization.k8s.io"):
        if _bound(binding, name, everybody):
            cluster.append(str((binding.get("roleRef") or {}).get("name")))
    return User(name, everybody, roles=tuple(own), cluster_roles=tuple(dict.fromkeys(cluster)), **more)


def _bound(binding: Obj, name: str, groups: Sequence[str]) -> bool:
    for item in binding.get("subjects") or ():
        if item.get("kind") == "ServiceAccount":
            if name == f"system:serviceaccount:{item.get('namespace')}:{item.get('name')}":
                return True
        elif item.get("name") == name if item.get("kind") == "User" else item.get("name") in groups:
            return True
    return False


class Around(Nothing):
    """What policies find when they ask the world's API."""

    def __init__(self, world: World) -> None:
        self._world = world

    def get(self, api_version: str, kind: str, namespace: str, name: str) -> Mapping[str, Any] | None:
        """One object."""
        group, _, version = api_version.rpartition("/")
        found = self._world.cluster.kinds.by_gvk(group, version, kind)
        if found is None:
            return None
        space = namespace if found.namespaced else ""
        return self._world.cluster.store.get(found.resource, space, name)

    def list(self, api_version: str, kind: str, namespace: str = "") -> Sequence[Mapping[str, Any]]:
        """The objects of a kind."""
        group, _, version = api_version.rpartition("/")
        found = self._world.cluster.kinds.by_gvk(group, version, kind)
        if found is None:
            return ()
        space = namespace if found.namespaced and namespace else None
        return self._world.cluster.store.list(found.resource, space)

    def raw(self, path: str, method: str = "GET", data: Any = None) -> Any:
        """The answer of the API server to a path."""
        match = _PATH.fullmatch(path.partition("?")[0])
        kind = None
        if match and method == "GET":
            version = match["core"] or match["version"]
            kind = self._world.cluster.kinds.by_gvr(match["group"] or "", version, match["plural"])
        if match is None or kind is None:
            raise LookupFailed(f"failed to {method} resource with raw url\n: {path}: not found")
        space = match["namespace"] or ""
        store = self._world.cluster.store
        if match["name"]:
            found = store.get(kind.resource, space if kind.namespaced else "", match["name"])
            if found is None:
                raise LookupFailed(f'{kind.resource} "{match["name"]}" not found')
            return found
        items = store.list(kind.resource, space if kind.namespaced and space else None)
        return {"apiVersion": kind.api_version, "kind": kind.list_kind, "items": list(items)}


_PATH = re.compile(
    r"/(?:api/(?P<core>[\w]+)|apis/(?P<group>[\w.-]+)/(?P<version>[\w]+))"
    r"(?:/namespaces/(?P<namespace>[\w.-]+)(?=/))?/(?P<plural>[\w-]+)(?:/(?P<name>[\w.:-]+))?"
)


def serves(world: World, group: str, version: str, kind: str) -> bool:
    """Whether the API serves a kind; each part may have wildcards."""
    return any(True for _ in kinds_for(world.cluster.kinds, group, version, kind))


def kinds_for(known: Kinds, group: str, version: str, kind: str) -> Iterator[Kind]:
    """The kinds of the API that fit."""
    for item in known.all():
        if (
            wildcard.match(kind, item.kind)
            and wildcard.match(group, item.group)
            and wildcard.match(version, item.version)
        ):
            yield item


def named(obj: Obj) -> str:
    """Kind, namespace and name, as events say it."""
    space = namespace_of(obj)
    return f"{obj.get('kind')} {space}/{name_of(obj)}" if space else f"{obj.get('kind')} {name_of(obj)}"
