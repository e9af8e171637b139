"""An application as data: what its services do for a request, and who sends requests.

Times in ms, sizes in bytes unless a name says otherwise; shares and probabilities are in 0 to 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Protocol = Literal["http", "grpc", "redis", "sql", "kafka", "tcp"]
Without = Literal["crash", "errors"]
Loop = Literal["open", "closed"]
FlagParameter = Literal[
    "io_ms",
    "delay_ms",
    "error_rate",
    "work_factor",
    "cache_off",
    "leak_mb_s",
    "load_factor",
    "flood",
    "message_factor",
    "unreachable",
]
"""What a flag changes: waiting in ms on average; the same wait in ms for each request; share of failures;
factor of work; whether caches work; growth of memory; factor of the users' load; further requests for the
operation with each request of a user, made without a pause; factor of messages that are published; no call
reaches `target`."""


@dataclass(frozen=True, slots=True)
class Credential:
    """A password that both ends of a call have to know.

    Attributes:
        client: variable of the caller that holds it.
        server: variable of the callee that holds it; a server that has none asks for none.
    """

    client: str
    server: str


@dataclass(frozen=True, slots=True)
class Call:
    """One call that an operation makes.

    Attributes:
        service, operation: what is called.
        address: variable of the caller that holds `host:port`; empty where `host` says it.
        host: `host:port` that is built into the program.
        protocol: what is spoken.
        probability: that a request makes the call at all.
        times: how often, if it does.
        parallel: all of these at once.
        group: calls in a row with the same group are made at once; empty for one after the other.
        critical: the operation fails where the call fails; else it goes on without.
        timeout_ms: the caller's patience; 0 for none.
        retries: further attempts after a failure.
        backoff_ms: pause before the first of them; it doubles.
        pool: connections of one pod of the caller, each for one call at a time; 0 for as many as it takes.
        pool_timeout_ms: how long a call waits for one.
        cache_hit: share of calls that a warm cache saves.
        cache: service that is this cache: it saves as many calls as the operation's calls to it succeed.
            Empty for a cache in the caller's memory.
        publishes: a message is in this queue once the call has succeeded.
        credential: what both ends have to know, or None.
    """

    service: str
    operation: str
    address: str = ""
    host: str = ""
    protocol: Protocol = "grpc"
    probability: float = 1.0
    times: int = 1
    parallel: bool = False
    group: str = ""
    critical: bool = True
    timeout_ms: int = 0
    retries: int = 0
    backoff_ms: int = 100
    pool: int = 0
    pool_timeout_ms: int = 2000
    cache_hit: float = 0.0
    cache: str = ""
    publishes: str = ""
    credential: Credential | None = None


@dataclass(frozen=True, slots=True)
class Operation:
    """One thing that a service does.

    Attributes:
        name: key in its service.
        title: name of its spans, such as `GET /cart`.
        cpu_ms: mean work of a request itself.
        cv: coefficient of variation of that work.
        io_ms: mean time that it waits for a disk or for something outside of the cluster.
        error_rate: share that fails by itself.
        calls: in the order in which they are made.
        error: text of its own failures.
        logs: names of templates of the lines that a request writes.
        clock_ms: it compares dates with the clock, such as those of tokens or cards, and fails where that is
            wrong by more than this; 0 for never.
    """

    name: str
    title: str
    cpu_ms: float
    cv: float = 0.5
    io_ms: float = 0.0
    error_rate: float = 0.0
    calls: tuple[Call, ...] = ()
    error: str = ""
    logs: tuple[str, ...] = ()
    clock_ms: int = 0


@dataclass(frozen=True, slots=True)
class Needs:
    """What a program must find when it starts.

    Attributes:
        env, hosts: variables that must be there; those that name a host which must resolve.
        secrets: variables whose value must come from a Secret.
        without: what happens else.
    """

    env: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    secrets: tuple[str, ...] = ()
    without: Without = "crash"


@dataclass(frozen=True, slots=True)
class Service:
    """One program of the application.

    Attributes:
        name: in the graph.
        workload: (resource, name), such as `("deployments.apps", "cart")`.
        also: further workloads that run the program, such as other versions behind the same Service.
        container: that runs the program.
        language, framework: decide the form of its logs and errors.
        port, protocol: where it answers.
        workers: requests that one pod works on at a time; 0 for as many as come.
        queue: requests that wait in one pod before it refuses more.
        threads: processors that one pod can use at a time; 0 for all.
        start_ms: shortest and longest start; None for what is usual for the language.
        memory_base, memory_request: bytes when idle, and more for each request in flight.
        warm_ms: until a cache is warm after a start.
        needs: at the start.
        health: HTTP path, or empty for gRPC and TCP.
        database: kind of data store, such as `redis` or `postgresql`; empty for none.
        operations: in order.
    """

    name: str
    workload: tuple[str, str]
    container: str
    language: str
    framework: str
    port: int
    protocol: Protocol
    workers: int
    queue: int
    threads: int
    start_ms: tuple[int, int] | None
    memory_base: int
    memory_request: int
    warm_ms: int
    needs: Needs
    health: str
    database: str
    also: tuple[tuple[str, str], ...]
    operations: tuple[Operation, ...]


@dataclass(frozen=True, slots=True)
class Flag:
    """A switch of the application and what it does.

    Attributes:
        name: of the flag.
        service, operation: what it changes; an empty operation means all of the service.
        variable: environment variable of the service that sets it; a duration counts in ms. Or:
        provider, file: service that hands the flag out, and a mounted file of it, as flagd reads them, in
            which it is a flag of that name.
        parameter: what it changes.
        value: by how much where the flag is on; where it is a number, that number times this.
        target: service that the flag is about besides, see `unreachable`.
    """

    name: str
    service: str
    operation: str = ""
    variable: str = ""
    provider: str = ""
    file: str = ""
    parameter: FlagParameter = "error_rate"
    value: float = 1.0
    target: str = ""


@dataclass(frozen=True, slots=True)
class Queue:
    """Messages that wait until somebody works on them.

    Attributes:
        name: of the queue or topic.
        consumers: one for each group: the operation that works on a message, and how its service reaches
            the broker. Every group gets every message, but for its call's `probability`.
    """

    name: str
    consumers: tuple[Call, ...]


@dataclass(frozen=True, slots=True)
class Entry:
    """One kind of request that users make: its share of all, and the call."""

    share: float
    call: Call


@dataclass(frozen=True, slots=True)
class Burst:
    """For `length_ms` of every `every_ms` there is `factor` times the load."""

    every_ms: int
    length_ms: int
    factor: float


@dataclass(frozen=True, slots=True)
class Load:
    """Who sends requests: a program in the cluster.

    Attributes:
        workload: (resource, name) of the load generator.
        container: of its pods.
        entries: the mix of requests.
        language, framework: of the load generator.
        loop: `closed`: each user waits for an answer and thinks; `open`: requests come whatever happens.
        users: of each ready pod, where its environment says nothing.
        users_variable: that says it.
        think_ms: between an answer and the next request of a user.
        rate: requests per second and user of an open loop.
        daily: factors by the hour (UTC), 24 of them or none.
        bursts: on top.
    """

    workload: tuple[str, str]
    container: str
    loop: Loop
    users: int
    users_variable: str
    think_ms: int
    rate: float
    entries: tuple[Entry, ...]
    language: str = "python"
    framework: str = ""
    daily: tuple[float, ...] = ()
    bursts: tuple[Burst, ...] = ()


@dataclass(frozen=True, slots=True)
class Application:
    """The graph of an application.

    Attributes:
        name: of the application.
        namespace: where its objects are.
        services: in order.
        load: who uses it.
        flags: its switches.
        queues: between its services.
        depth: the longest chain of calls; deeper ones are cut.
    """

    name: str
    namespace: str
    services: tuple[Service, ...]
    load: Load
    flags: tuple[Flag, ...] = ()
    queues: tuple[Queue, ...] = ()
    depth: int = 12
