"""Where the objects of a cluster are: versions that never change, indexes, and a log of changes.

Nothing in here decides anything: defaulting, admission and validation happen before.
A fork copies dicts of pointers; object versions, sealed chunks of the log and index entries are shared.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, NamedTuple, TypeVar

from firedrill.world.kube.objects import Obj, dig, freeze, name_of, namespace_of

ChangeType = Literal["ADDED", "MODIFIED", "DELETED"]
Objects = list[Obj]
Names = list[str]
Ref = tuple[str, str, str]
"""(resource, namespace, name)."""

K = TypeVar("K")
V = TypeVar("V")

_CHUNK = 256
_KEEP_CHUNKS = 64
_CHUNK_BYTES = 4_000_000
_KEEP_BYTES = 64_000_000
_UNREADABLE = 1_000_000


class Change(NamedTuple):
    """One entry of the log; `previous` lets a watcher with a selector see what left its view."""

    rv: int
    type: ChangeType
    resource: str
    obj: Obj
    previous: Obj | None


Chunks = list[list[Change]]


class TooOldError(Exception):
    """The log no longer reaches back that far.

    Attributes:
        oldest: the oldest resourceVersion from which the log can still be followed.
    """

    def __init__(self, asked: int, oldest: int) -> None:
        super().__init__(f"too old resource version: {asked} ({oldest})")
        self.oldest = oldest


class Store:
    """Objects of one cluster by resource, namespace (empty for cluster-scoped) and name.

    Attributes:
        rv: the resourceVersion of the last change.
        size: of all objects as JSON, in bytes.
    """

    __slots__ = (
        "_chunks", "_dropped_to", "_freeze", "_labels", "_nodes", "_objects", "_owners", "_weights",
        "rv", "size",
    )  # fmt: skip

    def __init__(self, *, first_rv: int = 1000, freeze: bool = False) -> None:
        self.rv = first_rv
        self._freeze = freeze
        self._objects: dict[str, dict[str, dict[str, Obj]]] = {}
        self._owners: dict[str, tuple[Ref, ...]] = {}
        self._nodes: dict[str, tuple[tuple[str, str], ...]] = {}
        self._labels: dict[tuple[str, str, str], tuple[str, ...]] = {}
        self._chunks: Chunks = [[]]
        self._weights = [0]
        self._dropped_to = first_rv
        self.size = 0

    # --- reading

    def get(self, resource: str, namespace: str, name: str) -> Obj | None:
        """The object, or None."""
        here = self._objects.get(resource)
        if here is None:
            return None
        names = here.get(namespace)
        return names.get(name) if names is not None else None

    def list(self, resource: str, namespace: str | None = None) -> Objects:
        """All objects of the resource, of one namespace where one is given, by namespace and name."""
        here = self._objects.get(resource)
        if not here:
            return []
        if namespace is not None:
            names = here.get(namespace) or {}
            return [names[name] for name in sorted(names)]
        return [here[space][name] for space in sorted(here) for name in sorted(here[space])]

    def count(self, resource: str, namespace: str | None = None) -> int:
        """How many objects there are."""
        here = self._objects.get(resource) or {}
        if namespace is not None:
            return len(here.get(namespace) or ())
        return sum(map(len, here.values()))

    def resources(self) -> Names:
        """The resources that have objects, sorted."""
        return sorted(key for key, here in self._objects.items() if any(here.values()))

    def owned_by(self, uid: str) -> tuple[Ref, ...]:
        """What names this uid among its owners, in order of creation."""
        return self._owners.get(uid, ())

    def pods_on(self, node: str) -> Objects:
        """The pods that are bound to the node, in order of binding."""
        pods = self._objects.get("pods") or {}
        return [pods[space][name] for space, name in self._nodes.get(node, ())]

    def pods_labelled(self, namespace: str, key: str, value: str) -> Objects:
        """The pods of a namespace that carry the label."""
        pods = (self._objects.get("pods") or {}).get(namespace) or {}
        return [pods[name] for name in self._labels.get((namespace, key, value), ())]

    # --- writing

    def put(self, resource: str, obj: Obj) -> Obj:
        """Keep a new version; sets its resourceVersion and returns what was kept."""
        self.rv += 1
        obj = {**obj, "metadata": {**obj["metadata"], "resourceVersion": str(self.rv)}}
        if self._freeze:
            obj = freeze(obj)
        namespace, name = namespace_of(obj), name_of(obj)
        names = self._objects.setdefault(resource, {}).setdefault(namespace, {})
        previous = names.get(name)
        names[name] = obj
        self._index(resource, namespace, name, previous, obj)
        type_: ChangeType = "ADDED" if previous is None else "MODIFIED"
        weight = _weight(obj)
        self.size += weight - (_weight(previous) if previous is not None else 0)
        self._append(Change(self.rv, type_, resource, obj, previous), weight)
        return obj

    def remove(self, resource: str, namespace: str, name: str) -> Obj | None:
        """Forget the object; returns its last version, with the resourceVersion of the deletion."""
        names = (self._objects.get(resource) or {}).get(namespace)
        previous = names.pop(name, None) if names is not None else None
        if previous is None:
            return None
        self.rv += 1
        self._index(resource, namespace, name, previous, None)
        last = {**previous, "metadata": {**previous["metadata"], "resourceVersion": str(self.rv)}}
        if self._freeze:
            last = freeze(last)
        weight = _weight(previous)
        self.size -= weight
        self._append(Change(self.rv, "DELETED", resource, last, previous), weight)
        return last

    def _index(self, resource: str, namespace: str, name: str, old: Obj | None, new: Obj | None) -> None:
        before, after = _owner_uids(old), _owner_uids(new)
        if before != after:
            ref = (resource, namespace, name)
            for uid in before:
                _discard(self._owners, uid, ref)
            for uid in after:
                self._owners[uid] = (*self._owners.get(uid, ()), ref)
        if resource != "pods":
            return
        was, now = dig(old, "spec", "nodeName"), dig(new, "spec", "nodeName")
        if was != now:
            if was:
                _discard(self._nodes, was, (namespace, name))
            if now:
                self._nodes[now] = (*self._nodes.get(now, ()), (namespace, name))
        had = dig(old, "metadata", "labels", default={})
        has = dig(new, "metadata", "labels", default={})
        if had is has or had == has:
            return
        for key, value in had.items():
            _discard(self._labels, (namespace, key, value), name)
        for key, value in has.items():
            entry = (namespace, key, value)
            self._labels[entry] = (*self._labels.get(entry, ()), name)

    # --- the log

    def _append(self, change: Change, weight: int) -> None:
        if len(self._chunks[-1]) >= _CHUNK or self._weights[-1] >= _CHUNK_BYTES:
            self._chunks.append([])
            self._weights.append(0)
            while len(self._chunks) > _KEEP_CHUNKS or sum(self._weights) > _KEEP_BYTES:
                self._dropped_to = self._chunks.pop(0)[-1].rv
                del self._weights[0]
        self._chunks[-1].append(change)
        self._weights[-1] += weight

    def since(self, rv: int) -> Iterator[Change]:
        """The changes after that version, oldest first.

        Raises:
            TooOldError: the log does not reach back so far.
        """
        if rv < self._dropped_to:
            raise TooOldError(rv, self._dropped_to)
        return self._after(rv)

    def _after(self, rv: int) -> Iterator[Change]:
        start = len(self._chunks)
        while start > 0 and self._chunks[start - 1] and self._chunks[start - 1][0].rv > rv:
            start -= 1
        for chunk in self._chunks[max(start - 1, 0) :]:
            for change in chunk:
                if change.rv > rv:
                    yield change

    @property
    def oldest(self) -> int:
        """The oldest resourceVersion from which the log can be followed."""
        return self._dropped_to

    def forget_log(self) -> None:
        """Drop the whole log, as a compaction does: older watches and lists get `too old`."""
        self._dropped_to = self.rv
        self._chunks = [[]]
        self._weights = [0]

    # --- copies

    def fork(self) -> Store:
        """An independent copy that shares every object version."""
        twin = Store(freeze=self._freeze)
        twin.rv = self.rv
        twin._objects = {
            resource: {space: names.copy() for space, names in spaces.items()}
            for resource, spaces in self._objects.items()
        }
        twin._owners = self._owners.copy()
        twin._nodes = self._nodes.copy()
        twin._labels = self._labels.copy()
        twin._chunks = [*self._chunks[:-1], self._chunks[-1].copy()]
        twin._weights = self._weights.copy()
        twin._dropped_to = self._dropped_to
        twin.size = self.size
        return twin


def _weight(obj: Obj) -> int:
    import orjson

    try:
        return len(orjson.dumps(obj))
    except TypeError:
        return _UNREADABLE  # numbers beyond 64 bits and the like, which only programs can write


def _owner_uids(obj: Obj | None) -> tuple[str, ...]:
    references = dig(obj, "metadata", "ownerReferences", default=())
    return tuple(str(item.get("uid")) for item in references)


def _discard(index: dict[K, tuple[V, ...]], key: K, item: V) -> None:
    rest = tuple(other for other in index.get(key, ()) if other != item)
    if rest:
        index[key] = rest
    else:
        index.pop(key, None)
