"""The state of one cluster. Every part of it can be copied; no part knows the world or another part."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, Self, TypeVar

from firedrill.world.kube.objects import Obj
from firedrill.world.kube.store import Store


class Part(Protocol):
    """A piece of state that some room keeps in the cluster: made without arguments, copied by `fork`."""

    def __init__(self) -> None: ...

    def fork(self) -> Self:
        """An independent copy."""
        ...

    def state(self) -> object:
        """All of it as plain data (dicts, lists, tuples, str, int), for digests."""
        ...


P = TypeVar("P", bound=Part)
_DEFINITIONS = "customresourcedefinitions.apiextensions.k8s.io"


@dataclass(frozen=True, slots=True)
class Settings:
    """What differs between clusters of one version and another, or one operator and another. Times in ms.

    Attributes:
        version: minor version, as in `1.31`.
        git_version: as `kubectl version` prints it.
        node_grace: silence of a kubelet until its node counts as unknown (50 s from 1.32 on).
        node_lease: period of lease renewals.
        back_off_start, back_off_max, back_off_reset: of containers that keep ending.
        pull_back_off_start, pull_back_off_max: of image pulls that keep failing.
        event_ttl: how long an event is kept.
        service_cidr, pod_cidr, node_cidr: address ranges.
        cluster_domain: of the cluster's DNS.
        default_runtime: container runtime and version.
        database_bytes: how much the API server's database holds.
        freeze: stored objects refuse to change (tests).
    """

    version: str = "1.31"
    git_version: str = "v1.31.2"
    node_grace: int = 40_000
    node_lease: int = 10_000
    back_off_start: int = 10_000
    back_off_max: int = 300_000
    back_off_reset: int = 600_000
    pull_back_off_start: int = 10_000
    pull_back_off_max: int = 300_000
    event_ttl: int = 3_600_000
    service_cidr: str = "10.96.0.0/12"
    pod_cidr: str = "10.244.0.0/16"
    node_cidr: str = "172.18.0.0/16"
    cluster_domain: str = "cluster.local"
    default_runtime: str = "containerd://1.7.23"
    database_bytes: int = 512 << 20
    freeze: bool = False

    @property
    def minor(self) -> int:
        """The minor version as a number."""
        return int(self.version.split(".")[1])


class Log:
    """An append-only list in chunks, so that a copy costs the same however long it is."""

    __slots__ = ("_chunks", "_count")
    _SIZE = 256

    def __init__(self) -> None:
        self._chunks: list[list[Any]] = [[]]
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Any]:
        for chunk in self._chunks:
            yield from chunk

    def append(self, item: object) -> None:
        """Add to the end."""
        if len(self._chunks[-1]) >= self._SIZE:
            self._chunks.append([])
        self._chunks[-1].append(item)
        self._count += 1

    def after(self, count: int) -> Iterator[Any]:
        """The items behind the first `count` ones."""
        first, offset = divmod(count, self._SIZE)
        for index, chunk in enumerate(self._chunks[first:]):
            yield from chunk[offset if index == 0 else 0 :]

    def fork(self) -> Log:
        """An independent copy that shares the full chunks."""
        twin = Log()
        twin._chunks = [*self._chunks[:-1], self._chunks[-1].copy()]
        twin._count = self._count
        return twin


@dataclass(slots=True)
class Work:
    """What controllers have still to do, how often each key failed in a row, and until when it rests."""

    pending: dict[tuple[str, str], int] = field(default_factory=dict)
    failures: dict[tuple[str, str], int] = field(default_factory=dict)
    rests: dict[tuple[str, str], int] = field(default_factory=dict)
    down: frozenset[str] = frozenset()
    second: int = 0
    in_second: dict[tuple[str, str], int] = field(default_factory=dict)

    def fork(self) -> Work:
        """An independent copy."""
        return Work(
            self.pending.copy(),
            self.failures.copy(),
            self.rests.copy(),
            self.down,
            self.second,
            self.in_second.copy(),
        )


class Cluster:
    """Objects, pending work, parts of the rooms, audit.

    Attributes:
        store: the objects.
        settings: what never changes while the world runs.
        work: of the controllers; `work.down` names the components that do not run now.
        audit: one tuple for each request (see `kube.audit`).
    """

    __slots__ = ("_kinds", "_parts", "audit", "settings", "store", "work")

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.store = Store(freeze=settings.freeze)
        self.work = Work()
        self.audit = Log()
        self._parts: dict[type[Any], Any] = {}
        self._kinds: tuple[tuple[str, ...], Any] | None = None

    def part(self, kind: type[P]) -> P:
        """The cluster's state of that type, made at its first use."""
        found = self._parts.get(kind)
        if found is None:
            found = self._parts[kind] = kind()
        out: P = found
        return out

    @property
    def kinds(self) -> Any:
        """The kinds that the API serves now, custom ones included (a `kinds.Kinds`)."""
        known = self._kinds
        if known is not None and not known[0] and not self.store.count(_DEFINITIONS):
            return known[1]
        from firedrill.world.kube.kinds import default_kinds

        custom: Sequence[Obj] = self.store.list(_DEFINITIONS)
        versions = tuple(str(item["metadata"]["resourceVersion"]) for item in custom)
        if self._kinds is None or self._kinds[0] != versions:
            base = default_kinds()
            self._kinds = (versions, base.with_custom(custom) if custom else base)
        return self._kinds[1]

    def fork(self) -> Cluster:
        """An independent copy."""
        twin = Cluster.__new__(Cluster)
        twin.settings = self.settings
        twin.store = self.store.fork()
        twin.work = self.work.fork()
        twin.audit = self.audit.fork()
        twin._parts = {kind: part.fork() for kind, part in self._parts.items()}
        twin._kinds = self._kinds
        return twin

    def parts(self) -> list[tuple[str, Any]]:
        """The parts by the name of their type, for digests."""
        return sorted(
            ((kind.__qualname__, part) for kind, part in self._parts.items()), key=lambda item: item[0]
        )
