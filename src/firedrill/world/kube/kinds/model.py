"""What a kind is, and the set of all kinds that a server knows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import Any

from firedrill.world.kube.objects import Obj, dig, name_of

STANDARD_VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")


@dataclass(frozen=True, slots=True)
class Subresource:
    """A part of an object with a path of its own, such as `status`.

    Attributes:
        name: as in the path.
        group, version, kind: of what a request to it carries; the parent's for `status`.
        verbs: sorted.
    """

    name: str
    group: str
    version: str
    kind: str
    verbs: tuple[str, ...]


def _nothing() -> Mapping[str, Subresource]:
    return MappingProxyType({})


@dataclass(frozen=True)
class Kind:
    """One kind of object in one version.

    Attributes:
        group: empty for the core.
        version: as in `v1`.
        kind: as in `Deployment`.
        plural, singular: as in `deployments`, `deployment`.
        short: short names, as in `deploy`.
        categories: as in `all`.
        namespaced: whether objects lie in namespaces.
        verbs: what may be asked, sorted.
        subresources: by name (`"status" in kind.subresources`), in the order of discovery.
        storage: the resource under which the store holds such objects; empty for what is only
            answered (reviews, metrics). Events of `events.k8s.io` lie under `events`.
        custom: defined by a CustomResourceDefinition.
        openapi: the structural schema of a custom resource in this version, None where it has none.
    """

    group: str
    version: str
    kind: str
    plural: str
    singular: str = ""
    short: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    namespaced: bool = True
    verbs: tuple[str, ...] = STANDARD_VERBS
    subresources: Mapping[str, Subresource] = field(default_factory=_nothing, hash=False)
    storage: str = ""
    custom: bool = False
    openapi: Mapping[str, Any] | None = field(default=None, hash=False, repr=False)

    @cached_property
    def resource(self) -> str:
        """The name that is used everywhere: `pods`, `deployments.apps`."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    @cached_property
    def api_version(self) -> str:
        """As in an object: `v1`, `apps/v1`."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @cached_property
    def list_kind(self) -> str:
        """As in `DeploymentList`."""
        return f"{self.kind}List"


class Kinds:
    """All kinds of a server, in the order of its discovery. Never changes: `with_custom` makes another."""

    def __init__(self, kinds: Iterable[Kind], last_groups: frozenset[str] = frozenset()) -> None:
        self._all = tuple(kinds)
        self._last = last_groups
        self._by_gvr = {(kind.group, kind.version, kind.plural): kind for kind in self._all}
        self._by_gvk = {(kind.group, kind.version, kind.kind): kind for kind in self._all}
        self._stored: dict[str, Kind] = {}
        for kind in self._all:
            self._stored.setdefault(kind.resource, kind)
        for kind in self._all:
            if kind.storage and kind.storage != kind.resource:
                self._stored[kind.resource] = self._stored[kind.storage]
        self._names: dict[str, Kind] = {}
        for kind in self._all:
            for name in _names(kind):
                self._names.setdefault(name, kind)
        for kind in self._all:
            for name in kind.short:
                self._names.setdefault(name, kind)

    def all(self) -> tuple[Kind, ...]:
        """Every kind in every version, the preferred version of a group first."""
        return self._all

    def by_gvr(self, group: str, version: str, plural: str) -> Kind | None:
        """The kind that a path names."""
        return self._by_gvr.get((group, version, plural))

    def by_gvk(self, group: str, version: str, kind: str) -> Kind | None:
        """The kind that an object names."""
        return self._by_gvk.get((group, version, kind))

    def of(self, obj: Mapping[str, Any]) -> Kind | None:
        """The kind of an object, by its apiVersion and kind."""
        group, _, version = str(obj.get("apiVersion") or "").rpartition("/")
        return self._by_gvk.get((group, version, str(obj.get("kind") or "")))

    def storage(self, resource: str) -> Kind | None:
        """The kind in the version that objects of a resource are stored in."""
        return self._stored.get(resource)

    def find(self, text: str) -> Kind | None:
        """The kind of any name: plural, short, `Deployment`, `deploy.apps`, `deployments.v1.apps`."""
        return self._names.get(text.lower())

    def versions(self) -> tuple[tuple[str, str], ...]:
        """(group, version) in the order of discovery."""
        return tuple(dict.fromkeys((kind.group, kind.version) for kind in self._all))

    def with_custom(self, definitions: Sequence[Obj]) -> Kinds:
        """These kinds and those of CustomResourceDefinitions: their served versions, sorted by name."""
        ordered = sorted(
            definitions, key=lambda item: (dig(item, "spec", "group", default=""), name_of(item))
        )
        custom = [kind for item in ordered for kind in custom_kinds(item)]
        builtin = [kind for kind in self._all if not kind.custom]
        first = [kind for kind in builtin if kind.group not in self._last]
        last = [kind for kind in builtin if kind.group in self._last]
        return Kinds([*first, *custom, *last], self._last)


def _names(kind: Kind) -> Iterable[str]:
    for name in (kind.plural, kind.singular, kind.kind.lower()):
        if name:
            yield name
            yield f"{name}.{kind.group}" if kind.group else f"{name}."
            yield f"{name}.{kind.version}.{kind.group}" if kind.group else f"{name}.{kind.version}."
    for name in kind.short:
        if kind.group:
            yield f"{name}.{kind.group}"


def custom_kinds(definition: Obj) -> tuple[Kind, ...]:
    """The kinds that a CustomResourceDefinition serves, the newest version first.

    The order is the one of API versions: stable before beta before alpha, higher before lower.
    """
    spec = definition.get("spec") or {}
    names = spec.get("names") or {}
    group, plural = str(spec.get("group") or ""), str(names.get("plural") or "")
    resource = f"{plural}.{group}"
    versions = [item for item in spec.get("versions") or () if item.get("served")]
    versions.sort(key=lambda item: version_order(str(item.get("name") or "")))
    return tuple(
        Kind(
            group=group,
            version=str(item["name"]),
            kind=str(names.get("kind") or ""),
            plural=plural,
            singular=str(names.get("singular") or str(names.get("kind") or "").lower()),
            short=tuple(names.get("shortNames") or ()),
            categories=tuple(names.get("categories") or ()),
            namespaced=spec.get("scope") != "Cluster",
            subresources=_custom_subresources(item, group, str(names.get("kind") or "")),
            storage=resource,
            custom=True,
            openapi=dig(item, "schema", "openAPIV3Schema"),
        )
        for item in versions
    )


def _custom_subresources(version: Mapping[str, Any], group: str, kind: str) -> Mapping[str, Subresource]:
    wanted = version.get("subresources") or {}
    out: dict[str, Subresource] = {}
    verbs = ("get", "patch", "update")
    if wanted.get("status") is not None:
        out["status"] = Subresource("status", group, str(version["name"]), kind, verbs)
    if wanted.get("scale") is not None:
        out["scale"] = Subresource("scale", "autoscaling", "v1", "Scale", verbs)
    return MappingProxyType(out)


def version_order(version: str) -> tuple[int, int, int, str]:
    """A sort key that puts `v2` before `v1`, both before `v1beta2`, `v1beta1`, `v1alpha1`, then the rest."""
    body = version[1:] if version.startswith("v") else ""
    for rank, word in ((1, "beta"), (2, "alpha")):
        major, found, minor = body.partition(word)
        if found and major.isdecimal() and minor.isdecimal():
            return rank, -int(major[:9]), -int(minor[:9]), ""
    if body.isdecimal():
        return 0, -int(body[:9]), 0, ""
    return 3, 0, 0, version
