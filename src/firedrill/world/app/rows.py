"""Requests as rows: one for each attempt of a call, with the caller's and the callee's view of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

OK: Final = 0
FAILED: Final = 1
UPSTREAM: Final = 2
TIMEOUT: Final = 3
NO_DNS: Final = 4
DNS_TIMEOUT: Final = 5
REFUSED: Final = 6
DROPPED: Final = 7
RESET: Final = 8
AUTH: Final = 9
PROTOCOL: Final = 10
OVERLOAD: Final = 11
POOL: Final = 12
ABORTED: Final = 13
DENIED: Final = 14
NOT_FOUND: Final = 15
NO_BACKEND: Final = 16
UNREADABLE: Final = 17
KINDS: Final = (
    "ok",
    "failed",
    "upstream",
    "timeout",
    "no_dns",
    "dns_timeout",
    "refused",
    "dropped",
    "reset",
    "auth_failed",
    "wrong_protocol",
    "overload",
    "pool",
    "aborted",
    "denied",
    "not_found",
    "no_backend",
    "unreadable",
)
"""Outcomes by number. `failed`: the program itself; `upstream`: a call that it needs; `overload`: the callee
refused for want of room; `pool`: no connection of the caller's pool became free; `aborted`: by a proxy;
`denied`: by a policy of a proxy; `not_found`: nobody there knows what was asked for; `no_backend`: the route
of a gateway leads nowhere; `unreadable`: the callee answered, and the caller cannot make sense of it."""

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """The requests of one tick, parents before children. Times in µs after the tick's start.

    Attributes:
        weight: how many real requests each row stands for.
        parent: row of the caller's request; -1 for what the load generator asked.
        root: row of that first request.
        edge: of the graph.
        op: the operation that was asked for.
        attempt: 0 for the first.
        source, pod: index of the caller's pod and of the callee's; -1 where none was reached.
        start, duration, kind: as the caller saw it.
        arrived: the callee worked on it.
        server_start, server_duration, server_kind: as the callee saw it; 0 where it did not arrive.
        waited: how much of that it waited for a worker or a processor.
        cpu: how much of that it used a processor.
    """

    weight: int
    parent: Ints
    root: Ints
    edge: Ints
    op: Ints
    attempt: Ints
    source: Ints
    pod: Ints
    start: Ints
    duration: Ints
    kind: Ints
    arrived: NDArray[np.bool_]
    server_start: Ints
    server_duration: Ints
    server_kind: Ints
    waited: Ints
    cpu: Ints

    def __len__(self) -> int:
        return len(self.parent)
