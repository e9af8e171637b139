"""Objects as bytes: plain, as tables, as metadata alone. What depends on a version alone is kept."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import orjson
import yaml

from firedrill.gateway.kubernetes.negotiate import Wanted
from firedrill.gateway.kubernetes.wire import dumps
from firedrill.world.kube import printers
from firedrill.world.kube.api import errors, strategy
from firedrill.world.kube.objects import Obj, dig

if TYPE_CHECKING:
    from firedrill.world.kube.kinds import Kind
    from firedrill.world.world import World

V = TypeVar("V")
_INCLUDE = ("None", "Metadata", "Object")


class Kept(Generic[V]):
    """Values by the identity of the object version they were made from, the least used forgotten first.

    Holds the objects too, so that an identity is never used again while it is a key. Never changes an answer.
    """

    __slots__ = ("_limit", "_old", "_young")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._young: dict[int, tuple[Obj, V]] = {}
        self._old: dict[int, tuple[Obj, V]] = {}

    def get(self, obj: Obj, make: Callable[[Obj], V]) -> V:
        """The value for this version."""
        key = id(obj)
        found = self._young.get(key)
        if found is None:
            found = self._old.get(key) or (obj, make(obj))
            if len(self._young) >= self._limit:
                self._old, self._young = self._young, {}
            self._young[key] = found
        return found[1]


def _bare(obj: Obj) -> bytes:
    return orjson.dumps({key: item for key, item in obj.items() if key not in {"apiVersion", "kind"}})


def _metadata(obj: Obj) -> bytes:
    return orjson.dumps(
        {
            "kind": "PartialObjectMetadata",
            "apiVersion": "meta.k8s.io/v1",
            "metadata": obj.get("metadata") or {},
        }
    )


_WHOLE: Kept[bytes] = Kept(8192)
_BARE: Kept[bytes] = Kept(8192)
_METADATA: Kept[bytes] = Kept(8192)
_CELLS: Kept[dict[str, tuple[printers.Cell, ...]]] = Kept(8192)


class Renderer:
    """Turns the answers of one request into bytes.

    Args:
        world: for its time and custom kinds.
        kind: of the resource in the path, in the version of the path.
        wanted: the form.
        include: what a table's rows carry: None, Metadata or Object.
        pretty: indented JSON.

    Raises:
        ApiError: `include` is none of these.
    """

    def __init__(
        self, world: World, kind: Kind, wanted: Wanted, *, include: str = "Metadata", pretty: bool = False
    ) -> None:
        if include not in _INCLUDE:
            raise errors.bad_request(
                f'Unsupported value: "{include}": supported values: "None", "Metadata", "Object"'
            )
        self._world = world
        self._kind = kind
        self._wanted = wanted
        self._include = include
        self._pretty = pretty
        self._keep = not strategy.has_view(kind.resource) and strategy.computed(kind.resource) is None
        self._rows_sent = False

    @property
    def media_type(self) -> bytes:
        """The Content-Type of what `answer` makes."""
        return b"application/yaml" if self._wanted.yaml else b"application/json"

    def answer(self, obj: Obj) -> bytes:
        """A whole answer: an object, a list or a Status."""
        out = self._shaped(obj)
        if self._wanted.yaml:
            return yaml.safe_dump(orjson.loads(out), sort_keys=True).encode()
        if self._pretty:
            return dumps(orjson.loads(out), pretty=True) + b"\n"
        return out + b"\n"

    def event(self, type_: str, obj: Obj) -> bytes:
        """One line of a watch."""
        if type_ in {"ERROR", "BOOKMARK"}:
            body = orjson.dumps(obj)
            if type_ == "BOOKMARK" and self._wanted.shape == "Table":
                body = self._table([obj], dig(obj, "metadata", default={}), b"null")
            elif type_ == "BOOKMARK" and self._wanted.shape:
                body = _metadata(obj)
        elif self._wanted.shape == "Table":
            version = {"resourceVersion": dig(obj, "metadata", "resourceVersion", default="")}
            body = self._table([obj], version, b"null" if self._rows_sent else None)
            self._rows_sent = True
        elif self._wanted.shape:
            body = self._of(_METADATA, obj, _metadata)
        else:
            body = self._of(_WHOLE, obj, orjson.dumps)
        return b'{"type":"' + type_.encode() + b'","object":' + body + b"}\n"

    def _of(self, kept: Kept[bytes], obj: Obj, make: Callable[[Obj], bytes]) -> bytes:
        return kept.get(obj, make) if self._keep else make(obj)

    def _shaped(self, obj: Obj) -> bytes:
        shape = self._wanted.shape
        if obj.get("kind") == "Status" and obj.get("apiVersion") == "v1":
            return orjson.dumps(obj)
        listed = obj.get("items") if obj.get("kind") == self._kind.list_kind else None
        if listed is None:
            return self._single(obj, shape)
        if shape == "Table":
            return self._table(listed, obj.get("metadata") or {}, None)
        if shape:
            items = [self._of(_METADATA, item, _metadata) for item in listed]
            return self._list("PartialObjectMetadataList", "meta.k8s.io/v1", obj, items)
        make = (_WHOLE, orjson.dumps) if self._kind.custom else (_BARE, _bare)
        items = [self._of(make[0], item, make[1]) for item in listed]
        return self._list(obj["kind"], obj["apiVersion"], obj, items)

    def _single(self, obj: Obj, shape: str) -> bytes:
        if shape == "Table" and obj.get("kind") == self._kind.kind:
            version = {"resourceVersion": dig(obj, "metadata", "resourceVersion", default="")}
            return self._table([obj], version, None)
        if shape == "Table" and obj.get("kind") == "Scale":
            kind = replace(self._kind, group="autoscaling", version="v1", kind="Scale", plural="scales")
            return Renderer(self._world, kind, self._wanted, include=self._include)._single(obj, shape)
        if shape and shape != "Table":
            return self._of(_METADATA, obj, _metadata)
        return self._of(_WHOLE, obj, orjson.dumps)

    def _list(self, kind: str, api_version: str, obj: Obj, items: Sequence[bytes]) -> bytes:
        head = orjson.dumps({"kind": kind, "apiVersion": api_version, "metadata": obj.get("metadata") or {}})
        return head[:-1] + b',"items":[' + b",".join(items) + b"]}"

    # --- tables

    def _table(self, objects: Sequence[Obj], meta: Mapping[str, Any], columns: bytes | None) -> bytes:
        custom = self._custom_columns()
        if columns is None:
            columns = orjson.dumps(printers.columns(self._kind, custom))
        key = (
            f"{self._kind.resource}/{self._kind.version}" if custom is None else orjson.dumps(custom).decode()
        )
        now = self._world.now
        rows = [self._row(obj, key, custom, now) for obj in objects]
        head = orjson.dumps(
            {"kind": "Table", "apiVersion": f"meta.k8s.io/{self._wanted.version}", "metadata": meta}
        )
        return head[:-1] + b',"columnDefinitions":' + columns + b',"rows":[' + b",".join(rows) + b"]}"

    def _row(self, obj: Obj, key: str, custom: Sequence[Mapping[str, Any]] | None, now: int) -> bytes:
        if self._keep:
            known = _CELLS.get(obj, lambda _: {})
            cells = known.get(key)
            if cells is None:
                cells = known[key] = printers.cells(self._kind, obj, custom)
        else:
            cells = printers.cells(self._kind, obj, custom)
        if self._include == "Object":
            shown = self._of(_WHOLE, obj, orjson.dumps)
        else:
            shown = self._of(_METADATA, obj, _metadata) if self._include == "Metadata" else b"null"
        return b'{"cells":' + orjson.dumps(printers.at(cells, now)) + b',"object":' + shown + b"}"

    def _custom_columns(self) -> Sequence[Mapping[str, Any]] | None:
        if not self._kind.custom:
            return None
        store = self._world.cluster.store
        definition = store.get("customresourcedefinitions.apiextensions.k8s.io", "", self._kind.resource)
        for item in dig(definition, "spec", "versions", default=()):
            if item.get("name") == self._kind.version:
                return list(item.get("additionalPrinterColumns") or ())
        return ()
