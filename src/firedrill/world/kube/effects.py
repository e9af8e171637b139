"""What acts on pods and nodes without being an object: slow networks, busy processors, leaks.

An effect is a row: on what, which parameter, how much, and what caused it. Who simulates the thing that a
parameter is about reads its rows; nobody else needs to know of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Literal, Self

if TYPE_CHECKING:
    from firedrill.world.world import World

Parameter = Literal[
    "delay_ms",
    "jitter_ms",
    "loss",
    "rate",
    "cpu_steal",
    "mem_ballast_mb",
    "mem_leak_mb_s",
    "io_delay_ms",
    "io_error",
    "frozen",
    "http_abort",
    "http_delay_ms",
    "http_code",
    "http_tamper",
    "jvm_error",
    "jvm_delay_ms",
    "gc_pause_ms",
    "dns_error",
    "dns_random",
    "clock_skew_ms",
]
"""Of packets: delay added to each in ms, by how much that varies, share that is lost, bytes per second.
`cpu_steal`: share of the CPU limit taken by something else; `mem_…`: memory held, and its growth.
`io_delay_ms`, `io_error`: delay of disk operations, share that fails. `frozen`: the pod's processes are
stopped. `http_…`: what a proxy before the pod does to requests: break them off (1), hold them, answer with a
code, change them (1). `jvm_…`: of methods: share that throws, delay. `gc_pause_ms`: per second. `dns_…`:
names that do not resolve (1), or to where nobody is (1). `clock_skew_ms`: how far ahead a clock is."""
Detail = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Effect:
    """One row.

    Attributes:
        on: `node/<name>` or `pod/<uid>`.
        parameter: what it changes.
        value: how much, in the parameter's unit; shares in thousandths.
        source: the entity or program that causes it, for those who undo it.
        peers: uids of pods: only packets from the pod to these; empty for all packets.
        share: of the packets, requests or operations that are hit, in thousandths.
        container, attempt: only while that run of that container lasts; -1 for whatever runs.
        detail: what else it is about, as (name, text): `target`, `port`, `path`, `method` of requests,
            `class`, `method`, `exception`, `message` of programs, `patterns` of names, `limit` of queues;
            in thousandths of processors: `threads` that compute, the container's `bound`, the `whole` node.
    """

    on: str
    parameter: Parameter
    value: int
    source: str
    peers: frozenset[str] = frozenset()
    share: int = 1000
    container: str = ""
    attempt: int = -1
    detail: Detail = ()

    def said(self, name: str) -> str:
        """The detail of that name; empty where there is none."""
        return next((text for key, text in self.detail if key == name), "")


class Effects:
    """All rows of a cluster.

    Attributes:
        rows: in the order in which they came.
        version: moves with every change.
    """

    __slots__ = ("rows", "version")

    def __init__(self) -> None:
        self.rows: tuple[Effect, ...] = ()
        self.version = 0

    def fork(self) -> Self:
        """An independent copy."""
        twin = type(self)()
        twin.rows, twin.version = self.rows, self.version
        return twin

    def state(self) -> object:
        """All of it as plain data."""
        return [self.version, [_plain(row) for row in self.rows]]


def _plain(row: Effect) -> list[object]:
    out: list[object] = [row.on, row.parameter, row.value, row.source]
    if row.peers or row.detail or row.container or row.share != 1000:
        out += [sorted(row.peers), row.share, row.container, row.attempt, [list(pair) for pair in row.detail]]
    return out


def add(world: World, *effects: Effect) -> None:
    """Let effects begin."""
    part = world.cluster.part(Effects)
    part.rows = (*part.rows, *effects)
    part.version += 1
    _changed(world)


def remove(world: World, source: str, on: str = "") -> None:
    """Let the effects of a source end, those on one thing only where it is named."""
    part = world.cluster.part(Effects)
    kept = tuple(row for row in part.rows if row.source != source or (on and row.on != on))
    if len(kept) == len(part.rows):
        return
    part.rows = kept
    part.version += 1
    _changed(world)


def _changed(world: World) -> None:
    """Probers that had no reason to look again have one now."""
    from firedrill.world.kube.kubelet import probes

    probes.wake_all(world)


def total(world: World, on: tuple[str, ...], parameter: Parameter) -> int:
    """The sum of a parameter over the effects on any of these, whoever is at the other end."""
    return sum(row.value for row in rows_on(world, on, parameter))


def rows_on(world: World, on: tuple[str, ...], *parameters: Parameter) -> list[Effect]:
    """The rows on any of these that are about one of the parameters, and not about certain peers only."""
    rows = world.cluster.part(Effects).rows
    if not rows:
        return []
    return [row for row in rows if row.parameter in parameters and row.on in on and not row.peers]


def touches(row: Effect, port: int, method: str, path: str) -> bool:
    """Whether a row about HTTP requests is about this one."""
    wanted = row.said("method")
    return (
        row.said("port") in ("", "0", str(port))
        and (not wanted or wanted.upper() == method.upper())
        and like(row.said("path") or "*", path)
    )


@lru_cache(maxsize=4096)
def like(pattern: str, text: str) -> bool:
    """Whether a text is like a pattern in which `*` stands for anything and `?` for one character."""
    places = {0}
    for sign in pattern[:512]:
        if sign == "*":
            places = set(range(min(places), len(text) + 1)) if places else places
        else:
            places = {at + 1 for at in places if at < len(text) and sign in ("?", text[at])}
    return len(text) in places
