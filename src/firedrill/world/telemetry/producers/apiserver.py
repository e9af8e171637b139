"""What the API server tells of itself: requests by verb, resource and code, and how long they took.

Requests are those of the audit, the renewals of leases that nobody audits, and what programs ask again and
again (`kube.api.pressure`). Names: kube-apiserver's metrics; buckets as of its request durations.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import NDArray

from firedrill.world.kube.api.pressure import Pressure
from firedrill.world.telemetry import labels as label_sets
from firedrill.world.telemetry.monitoring import Monitoring
from firedrill.world.telemetry.producers.state import Metering

if TYPE_CHECKING:
    from firedrill.world.telemetry.labels import Labels
    from firedrill.world.world import World

_BOUNDS = (
    0.005,
    0.025,
    0.05,
    0.1,
    0.2,
    0.4,
    0.6,
    0.8,
    1,
    1.25,
    1.5,
    2,
    3,
    4,
    5,
    6,
    8,
    10,
    15,
    20,
    30,
    45,
    60,
)
_DURATION, _TOTAL = "apiserver_request_duration_seconds", "apiserver_request_total"
_WAITING, _TURNED = "apiserver_current_inflight_requests", "apiserver_flowcontrol_rejected_requests_total"
_STEP_S = 5.0
_OWN_MS: Mapping[str, float] = {"GET": 2.0, "LIST": 6.0, "POST": 8.0, "PUT": 6.0, "PATCH": 9.0, "DELETE": 9.0}
_VERBS = {"create": "POST", "update": "PUT", "deletecollection": "DELETE"}
_KINDS = ("readOnly", "mutating")
_RENEWED_S = 10.0
_PARTS = 3
"""Components besides the kubelets that renew a lease."""

Key = tuple[str, str, int]


class ApiMetering:
    """What was told so far, as a part of a cluster's state.

    Attributes:
        read: how many entries of the audit were counted.
        blocks: rows by target and by (verb, resource, code).
        addresses: of targets; rows go with the address that they were found at.
    """

    __slots__ = ("addresses", "blocks", "read")

    def __init__(self) -> None:
        self.read = -1
        self.blocks: dict[tuple[str, Key], int] = {}
        self.addresses: dict[str, str] = {}

    def fork(self) -> Self:
        """An independent copy."""
        twin = type(self)()
        twin.read, twin.blocks = self.read, self.blocks.copy()
        twin.addresses = self.addresses.copy()
        return twin

    def state(self) -> object:
        """All of it as plain data."""
        return [self.read, len(self.blocks)]


def update(world: World) -> None:
    """Count the requests of the last step, and say how busy the server is."""
    pods = world.cluster.part(Metering).pods
    targets = {"/".join(key): address for key, address in pods.items() if key[0] == "apiserver"}
    part = world.cluster.part(ApiMetering)
    if part.read < 0:
        part.read = len(world.cluster.audit)
    counts = _requests(world, part)
    _forget(part, targets)
    if not targets:
        return
    pressure = world.cluster.part(Pressure)
    asked = pressure.rate * _STEP_S
    turned = asked * max(1.0 - 1.0 / max(pressure.use, 1e-9), 0.0)
    for key, more in ((("LIST", "pods", 200), asked - turned), (("LIST", "pods", 429), turned)):
        if more:
            counts[key] = counts.get(key, 0.0) + more
    target = next(iter(targets))
    for key, count in counts.items():
        _count(world, part, target, key, count, pressure.wait)
    _gauges(world, part, target, sum(counts.values()) / _STEP_S, turned, pressure)


def _forget(part: ApiMetering, targets: Mapping[str, str]) -> None:
    """Let go of the rows of servers that went, or came back elsewhere: they went with their targets."""
    gone = {name for name, address in part.addresses.items() if targets.get(name) != address}
    if gone:
        part.blocks = {key: block for key, block in part.blocks.items() if key[0] not in gone}
    part.addresses = dict(targets)


def _requests(world: World, part: ApiMetering) -> dict[Key, float]:
    leases = (world.cluster.store.count("nodes") + _PARTS) / _RENEWED_S * _STEP_S
    out: dict[Key, float] = {("PUT", "leases", 200): leases, ("GET", "leases", 200): leases / 2}
    for entry in world.cluster.audit.after(part.read):
        verb = _VERBS.get(str(entry[1]), str(entry[1]).upper())
        key = (verb, str(entry[4]), int(entry[12]))
        if verb in _OWN_MS and key[1] != "leases":
            out[key] = out.get(key, 0.0) + 1.0
    part.read = len(world.cluster.audit)
    return out


@cache
def _series(key: Key) -> tuple[Labels, ...]:
    verb, resource, code = key
    kind = {"verb": verb, "resource": resource}
    scope = {**kind, "scope": "cluster" if verb == "LIST" else "resource"}
    bounds = [*(f"{bound:g}" for bound in _BOUNDS), "+Inf"]
    whole = {**scope, "code": str(code)}
    return (
        label_sets.make({**kind, "code": str(code)}, _TOTAL),
        *(label_sets.make({**whole, "le": text}, f"{_DURATION}_bucket") for text in bounds),
        label_sets.make(whole, f"{_DURATION}_count"),
        label_sets.make(whole, f"{_DURATION}_sum"),
    )


def _block(world: World, part: ApiMetering, target: str, key: Key, series: tuple[Labels, ...]) -> int:
    found = part.blocks.get((target, key))
    if found is None:
        store = world.cluster.part(Monitoring).store
        found = part.blocks[target, key] = store.block(target, series, world.now)
    return found


def _count(world: World, part: ApiMetering, target: str, key: Key, count: float, wait: float) -> None:
    store = world.cluster.part(Monitoring).store
    row = store.values(_block(world, part, target, key, _series(key)))
    mean = (_OWN_MS[key[0]] + (wait if key[2] != 429 else 0.0)) / 1000.0
    row += _shares(mean) * count


@lru_cache(maxsize=256)
def _shares(mean: float) -> NDArray[np.float64]:
    """What one request of so many seconds on average adds to each series of `_series`."""
    below = [1.0 - math.exp(-bound / mean) for bound in _BOUNDS]
    return np.array([1.0, *below, 1.0, 1.0, mean])


def _gauges(
    world: World, part: ApiMetering, target: str, rate: float, turned: float, pressure: Pressure
) -> None:
    store = world.cluster.part(Monitoring).store
    row = store.values(_block(world, part, target, ("", "", 0), _of_gauges()))
    reading = pressure.rate * (pressure.cost + pressure.wait) / 1000.0 + rate * 0.004
    row[0], row[1] = min(math.ceil(reading), 400), math.ceil(rate * 0.003)
    row[2] += turned


@cache
def _of_gauges() -> tuple[Labels, ...]:
    """What is told besides requests: how many are under way, by kind, and how many were turned away."""
    return (
        *(label_sets.make({"request_kind": kind}, _WAITING) for kind in _KINDS),
        label_sets.make({"priority_level": "workload-low", "reason": "queue-full"}, _TURNED),
    )
