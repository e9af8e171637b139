"""The published definitions of a version, and schemas as nodes that can be walked."""

from __future__ import annotations

import gzip
from collections.abc import Mapping
from functools import cache
from importlib import resources
from types import MappingProxyType
from typing import Any

import orjson

from firedrill.core.errors import InfrastructureError
from firedrill.world.kube.kinds import Kind
from firedrill.world.kube.objects import Obj

_NONE: Mapping[str, Any] = MappingProxyType({})
_META = "io.k8s.apimachinery.pkg.apis.meta.v1."
DEFAULT_VERSION = "1.31"


class Definitions:
    """All types of one version of Kubernetes, by name (`io.k8s.api.core.v1.Pod`)."""

    def __init__(self, version: str, raw: Mapping[str, Obj]) -> None:
        self.version = version
        self.raw = raw
        self._nodes: dict[str, Schema] = {}
        self._kinds: dict[tuple[str, str, str], str] = {}
        for name, node in raw.items():
            for gvk in node.get("x-kubernetes-group-version-kind", ()):
                self._kinds.setdefault((gvk["group"], gvk["version"], gvk["kind"]), name)

    def node(self, name: str) -> Schema:
        """The schema of a type by its name.

        Raises:
            KeyError: there is no such type.
        """
        found = self._nodes.get(name)
        if found is None:
            found = self._nodes[name] = Schema(self, self.raw[name], name)
        return found

    def name_of(self, group: str, version: str, kind: str) -> str | None:
        """The name of the type of a kind."""
        return self._kinds.get((group, version, kind))


class Schema:
    """A place in a type. A reference is followed when it is asked, so types may hold themselves.

    Attributes:
        name: of the type (`io.k8s.api.core.v1.PodSpec`); empty for what has none.
        raw: the node as published, the reference (if it was one) not followed.
        target: the node after the reference.
        type: `object`, `array`, `string`, `integer`, `number`, `boolean`, or empty where anything may be.
        format: as in `int32`, or empty.
        plain: it is a string without a format.
    """

    __slots__ = (
        "_additional",
        "_definitions",
        "_items",
        "_properties",
        "format",
        "gvk",
        "name",
        "plain",
        "raw",
        "target",
        "type",
    )

    def __init__(self, definitions: Definitions | None, raw: Mapping[str, Any], name: str = "") -> None:
        reference = raw.get("$ref")
        self._definitions = definitions
        self.raw = raw
        self.gvk: tuple[str, str, str] | None = None
        if isinstance(reference, str) and definitions is not None:
            self.target: Mapping[str, Any] = definitions.raw.get(reference, raw)
            self.name = reference
        else:
            self.target = raw
            self.name = name
        self.type = str(self.target.get("type") or "")
        self.format = str(self.target.get("format") or "")
        self.plain = self.type == "string" and not self.format
        self._properties: dict[str, Schema] | None = None
        self._items: Schema | None = None
        self._additional: Schema | None = None

    def __repr__(self) -> str:
        return f"Schema({self.name or self.type!r})"

    @property
    def properties(self) -> Mapping[str, Schema]:
        """The declared properties by name, in the published order."""
        if self._properties is None:
            raw = self.target.get("properties") or _NONE
            self._properties = {key: Schema(self._definitions, node) for key, node in raw.items()}
        return self._properties

    def property(self, name: str) -> Schema | None:
        """The schema of a declared property."""
        return self.properties.get(name)

    def items(self) -> Schema | None:
        """The schema of a list's elements."""
        if self._items is None and isinstance(self.target.get("items"), Mapping):
            self._items = Schema(self._definitions, self.target["items"])
        return self._items

    def additional(self) -> Schema | None:
        """The schema of a map's values."""
        if self._additional is None and isinstance(self.target.get("additionalProperties"), Mapping):
            self._additional = Schema(self._definitions, self.target["additionalProperties"])
        return self._additional

    def extension(self, key: str) -> Any:
        """An `x-kubernetes-…` value: of the field itself, else of the type it refers to; None without."""
        here = self.raw.get(key)
        return here if here is not None else self.target.get(key)


@cache
def definitions(version: str = DEFAULT_VERSION) -> Definitions:
    """The definitions of a version, read once.

    Raises:
        InfrastructureError: the data file has not been built.
    """
    path = resources.files(__package__).joinpath(f"data/openapi-{version}.json.gz")
    try:
        packed = path.read_bytes()
    except FileNotFoundError:
        raise InfrastructureError(
            f"the definitions of Kubernetes {version} are missing; `make install` builds them "
            f"(`scripts/schemas {version}` for this version alone)"
        ) from None
    return Definitions(version, orjson.loads(gzip.decompress(packed))["definitions"])


def schema_for(kind: Kind, version: str = DEFAULT_VERSION) -> Schema:
    """The schema of a kind's objects. For a custom resource, of what its definition declares.

    Raises:
        InfrastructureError: the data file has not been built.
        KeyError: a built-in kind is not part of this version.
    """
    if kind.custom:
        return _custom(kind, version)
    return _builtin(kind.group, kind.version, kind.kind, version)


@cache
def _builtin(group: str, version: str, kind: str, release: str) -> Schema:
    known = definitions(release)
    name = known.name_of(group, version, kind)
    if name is None:
        raise KeyError(f"{group}/{version} {kind} is not part of Kubernetes {release}")
    found = Schema(known, {"$ref": name}, name)
    found.gvk = (group, version, kind)
    return found


_CUSTOM: dict[int, tuple[Kind, str, Schema]] = {}
_MANY_CUSTOM = 512


def _custom(kind: Kind, version: str) -> Schema:
    known = _CUSTOM.get(id(kind))
    if known is not None and known[0] is kind and known[1] == version:
        return known[2]
    if len(_CUSTOM) >= _MANY_CUSTOM:
        _CUSTOM.clear()
    declared = kind.openapi or {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    properties = {
        **(declared.get("properties") or {}),
        "apiVersion": {"type": "string"},
        "kind": {"type": "string"},
        "metadata": {"$ref": f"{_META}ObjectMeta"},
    }
    made = Schema(definitions(version), {**declared, "type": "object", "properties": properties})
    made.gvk = (kind.group, kind.version, kind.kind)
    _CUSTOM[id(kind)] = (kind, version, made)
    return made
