"""What logs and traces have to know of requests: rows of a tick, and the names of what they mean.

The traffic offers this; nothing here knows how requests come about. Rows are columns: entry `i` of each array
belongs to row `i`. Times of rows in µs after the tick's start.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol

from numpy.typing import NDArray

Ints = NDArray[Any]


class Rows(Protocol):
    """The requests of one tick: one row for each attempt of each call, parents before children."""

    @property
    def weight(self) -> int:
        """How many real requests each row stands for."""
        ...

    @property
    def parent(self) -> Ints:
        """Row of the caller's request; -1 for what the load generator asked."""
        ...

    @property
    def root(self) -> Ints:
        """Row of that first request."""
        ...

    @property
    def edge(self) -> Ints:
        """Index of the call."""
        ...

    @property
    def op(self) -> Ints:
        """Index of the operation that was asked for."""
        ...

    @property
    def source(self) -> Ints:
        """Index of the caller's pod."""
        ...

    @property
    def pod(self) -> Ints:
        """Index of the callee's pod; -1 where none was reached."""
        ...

    @property
    def start(self) -> Ints:
        """When the caller sent it."""
        ...

    @property
    def duration(self) -> Ints:
        """How long the caller waited for it."""
        ...

    @property
    def kind(self) -> Ints:
        """Index of `Names.outcomes`, as the caller saw it."""
        ...

    @property
    def arrived(self) -> NDArray[Any]:
        """Whether the callee worked on it."""
        ...

    @property
    def server_start(self) -> Ints:
        """When the callee began; 0 where it did not arrive."""
        ...

    @property
    def server_duration(self) -> Ints:
        """How long the callee took."""
        ...

    @property
    def server_kind(self) -> Ints:
        """The outcome as the callee saw it."""
        ...


class Pod(NamedTuple):
    """One pod that sends or serves requests.

    Attributes:
        service: index of `Names.services`.
        namespace, name, uid, node, container: which one.
        attempt: how often its container had been restarted.
        env: variables of that run, where they are known.
        ip: of the pod, where it is known.
    """

    service: int
    namespace: str
    name: str
    uid: str
    node: str
    container: str
    attempt: int = 0
    env: Mapping[str, str] | None = None
    ip: str = ""


@dataclass(frozen=True, slots=True)
class Service:
    """One program.

    Attributes:
        name: as traces call it.
        namespace: of its pods.
        workload: name of the Deployment or the like.
        language, framework: decide how it logs and what its spans look like.
        port: where it answers.
        database: kind of data store, which makes no spans itself; empty for others.
        version: of its image.
    """

    name: str
    namespace: str
    workload: str
    language: str
    framework: str = ""
    port: int = 0
    database: str = ""
    version: str = ""


@dataclass(frozen=True, slots=True)
class Operation:
    """One thing that a service does.

    Attributes:
        service: index of its service.
        name: short, such as `add`.
        title: as spans name it, such as `POST /cart` or `shop.Cart/AddItem`.
        error: text of its own failures.
        logs: names of templates of the lines that a request writes, besides those of the framework.
    """

    service: int
    name: str
    title: str
    error: str = ""
    logs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Call:
    """One call in the text of an operation.

    Attributes:
        target: operation that is called.
        protocol: `http`, `grpc`, `redis`, `sql`, `kafka` or `tcp`.
        host: name that the caller connects to, where its variables do not say it.
        queue: name of the queue, for calls through one.
        timeout_ms: the caller's patience; 0 for none.
        address: variable of the caller that says `host:port`.
        consumer: a message that is taken out of the queue: its rows are roots, and nobody calls.
    """

    target: int
    protocol: str
    host: str = ""
    queue: str = ""
    timeout_ms: int = 0
    consumer: bool = False
    address: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Names:
    """What the numbers in rows mean. Two of them are never equal: they serve as keys of caches.

    Attributes:
        application: its name.
        services: the load generator is the last one.
        operations, calls: by index.
        outcomes: of requests, the first being success.
    """

    application: str
    services: tuple[Service, ...]
    operations: tuple[Operation, ...]
    calls: tuple[Call, ...]
    outcomes: tuple[str, ...]


class Tick(NamedTuple):
    """The requests of one tick.

    Attributes:
        number: of the tick, from 0.
        start: in ms since the Unix epoch.
        length: in ms.
        rows: its requests.
        pods: what `source` and `pod` of the rows mean.
        notes: why proxies turned calls away, by source, edge and pod.
        thrown: (type, message) of what programs throw for a reason of their own, by pod and operation.
        skew: ms by which clocks are ahead, by pod.
    """

    number: int
    start: int
    length: int
    rows: Rows
    pods: Sequence[Pod]
    notes: Mapping[tuple[int, int, int], str] = MappingProxyType({})
    thrown: Mapping[tuple[int, int], tuple[str, str]] = MappingProxyType({})
    skew: Mapping[int, int] = MappingProxyType({})


class Requests(Protocol):
    """The requests of a world, made again whenever they are read: always the same ones."""

    @property
    def names(self) -> Names:
        """What numbers mean."""
        ...

    @property
    def seed(self) -> int:
        """Of ids and of what is drawn for lines and spans."""
        ...

    @property
    def until(self) -> int:
        """When the last tick ended, in ms; nothing before that will change any more."""
        ...

    def ticks(self, start: int, end: int) -> range:
        """The numbers of the ticks that overlap [start, end), in ms."""
        ...

    def tick(self, number: int) -> Tick:
        """One of them."""
        ...
