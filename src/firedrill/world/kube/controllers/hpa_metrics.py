"""How many pods each metric of an autoscaler asks for.

Source: kube-controller-manager 1.31, `pkg/controller/podautoscaler/replica_calculator.go`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from firedrill.world.kube import quantity
from firedrill.world.kube.api import ApiError, strategy
from firedrill.world.kube.controllers import _pods
from firedrill.world.kube.objects import Obj, condition, dig, is_deleting, meta, name_of
from firedrill.world.sim.clock import epoch_ms

if TYPE_CHECKING:
    from firedrill.world.world import World

TOLERANCE = 0.1
SCRAPE = 15_000
_INITIALISATION = 300_000
_INITIAL_READINESS = 30_000
_METRICS = "pods.metrics.k8s.io"
_SERVER = ("kube-system", "k8s-app", "metrics-server")

Usage = dict[str, dict[str, dict[str, int]]]
"""By pod, container and resource: thousandths of a core, thousandths of a byte."""


class MetricError(Exception):
    """A metric cannot be had.

    Attributes:
        reason: of the event and the condition.
    """

    def __init__(self, message: str, reason: str = "FailedGetResourceMetric") -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Proposal:
    """What one metric asks for.

    Attributes:
        replicas: so many pods.
        name: what the metric is called in texts.
        status: the entry of `status.currentMetrics`.
    """

    replicas: int
    name: str
    status: Obj


def readings(world: World, namespace: str, pods: Sequence[Obj]) -> Usage:
    """What the metrics API tells of the pods now.

    Raises:
        MetricError: nothing serves it.
    """
    lister = strategy.computed(_METRICS)
    if lister is not None:
        try:
            found = {name_of(item): item for item in lister(world, namespace)}
        except ApiError as refusal:
            raise MetricError(
                f"unable to fetch metrics from resource metrics API: {refusal.message}"
            ) from None
        return {name_of(pod): _of_item(found[name_of(pod)]) for pod in pods if name_of(pod) in found}
    from firedrill.world.kube import kubelet

    servers = world.cluster.store.pods_labelled(*_SERVER)
    if not any(map(_pods.is_ready, servers)):
        text = "the server is currently unable to handle the request (get pods.metrics.k8s.io)"
        raise MetricError(f"unable to fetch metrics from resource metrics API: {text}")
    out: Usage = {}
    for pod in pods:
        used = kubelet.usage(world, namespace, name_of(pod))
        if used:
            out[name_of(pod)] = {
                name: {"cpu": cpu, "memory": 1000 * size} for name, (cpu, size) in used.items()
            }
    return out


def _of_item(item: Mapping[str, Any]) -> dict[str, dict[str, int]]:
    return {
        str(entry.get("name")): {
            key: quantity.milli(text) for key, text in (entry.get("usage") or {}).items()
        }
        for entry in item.get("containers") or ()
    }


def propose(
    world: World, namespace: str, pods: Sequence[Obj], spec: Mapping[str, Any], current: int
) -> Proposal:
    """How many pods one metric of an autoscaler asks for.

    Args:
        world: where it is.
        namespace: of the autoscaler.
        pods: those that the target's selector takes in.
        spec: one entry of `spec.metrics`.
        current: how many pods the target wants now.

    Raises:
        MetricError: it cannot be had.
    """
    type_ = str(spec.get("type"))
    if type_ == "Resource":
        return _resource(world, namespace, pods, spec["resource"], current, "")
    if type_ == "ContainerResource":
        given = spec["containerResource"]
        return _resource(world, namespace, pods, given, current, str(given.get("container")))
    from firedrill.world.kube.controllers import hpa_sources

    return hpa_sources.propose(world, namespace, pods, spec, current)


def _resource(
    world: World, namespace: str, pods: Sequence[Obj], given: Mapping[str, Any], current: int, container: str
) -> Proposal:
    resource, target = str(given.get("name")), given.get("target") or {}
    reason = "FailedGetContainerResourceMetric" if container else "FailedGetResourceMetric"
    by_use = target.get("averageUtilization") is not None
    what = "utilization" if by_use or not target.get("averageValue") else "usage"
    try:
        used = _used(world, namespace, pods, resource, container)
        sums = Sums(world, pods, used, resource)
        wanted = (
            _requests(pods, container, resource)
            if by_use
            else dict.fromkeys((name_of(pod) for pod in pods), quantity.milli(target.get("averageValue", 0)))
        )
        goal = int(target["averageUtilization"]) if by_use else 100
        replicas, share, average = sums.replicas(wanted, goal, current)
    except MetricError as problem:
        raise MetricError(f"failed to get {resource} {what}: {problem}", reason) from None
    shown: Obj = {"averageValue": _shown(resource, average)}
    if by_use:
        shown = {"averageUtilization": share, **shown}
    kind = "container resource" if container else "resource"
    name = f"{resource} {kind} utilization (percentage of request)" if by_use else f"{resource} {kind}"
    entry: Obj = {"name": resource, "current": shown}
    if container:
        return Proposal(
            replicas,
            name,
            {"type": "ContainerResource", "containerResource": {"container": container, **entry}},
        )
    return Proposal(replicas, name, {"type": "Resource", "resource": entry})


def _shown(resource: str, milli: int) -> str:
    return quantity.from_milli(milli) if resource == "cpu" or milli % 1000 else str(milli // 1000)


def _used(world: World, namespace: str, pods: Sequence[Obj], resource: str, container: str) -> dict[str, int]:
    try:
        found = readings(world, namespace, pods)
    except MetricError as problem:
        raise MetricError(f"unable to get metrics for resource {resource}: {problem}") from None
    if not found:
        text = "no metrics returned from resource metrics API"
        raise MetricError(f"unable to get metrics for resource {resource}: {text}")
    out = {}
    for name, containers in found.items():
        if container and container not in containers:
            raise MetricError(f"container {container} not present in metrics for pod {namespace}/{name}")
        chosen = [containers[container]] if container else list(containers.values())
        out[name] = sum(item.get(resource, 0) for item in chosen)
    return out


def _requests(pods: Sequence[Obj], container: str, resource: str) -> dict[str, int]:
    out = {}
    for pod in pods:
        total = 0
        for item in dig(pod, "spec", "containers", default=()):
            if container and item.get("name") != container:
                continue
            asked = dig(item, "resources", "requests", resource)
            if asked is None:
                raise MetricError(
                    f"missing request for {resource} in container {item.get('name')} of Pod {name_of(pod)}"
                )
            total += quantity.milli(asked)
        out[name_of(pod)] = total
    return out


class Sums:
    """The pods of a target sorted by what their readings are worth."""

    def __init__(self, world: World, pods: Sequence[Obj], used: Mapping[str, int], resource: str) -> None:
        if not pods:
            raise MetricError("no pods returned by selector while calculating replica count")
        self.used = dict(used)
        self.unready: list[str] = []
        self.missing: list[str] = []
        self.ready = 0
        for pod in pods:
            name = name_of(pod)
            phase = dig(pod, "status", "phase", default="Pending")
            if is_deleting(pod) or phase == "Failed":
                self.used.pop(name, None)
            elif phase == "Pending":
                self.unready.append(name)
            elif name not in used:
                self.missing.append(name)
            elif resource == "cpu" and _is_unready(world, pod):
                self.unready.append(name)
            else:
                self.ready += 1
        for name in self.unready:
            self.used.pop(name, None)
        if not self.used:
            raise MetricError("did not receive metrics for targeted pods (pods might be unready)")

    def replicas(self, wanted: Mapping[str, int], goal: int, current: int) -> tuple[int, int, int]:
        """(pods asked for, use as a percentage of what was wanted, average use)."""
        ratio, share = self._ratio(wanted, goal)
        average = sum(self.used.values()) // len(self.used)
        growing = bool(self.unready) and ratio > 1
        if not growing and not self.missing:
            if abs(1 - ratio) <= TOLERANCE + 1e-12:
                return current, share, average
            return round_up(ratio * self.ready), share, average
        full = max(100, goal)
        for name in self.missing:
            self.used[name] = wanted.get(name, 0) * full // 100 if ratio < 1 else 0
        for name in self.unready if growing else ():
            self.used[name] = 0
        new, _ = self._ratio(wanted, goal)
        turned = (ratio < 1 < new) or (new < 1 < ratio)
        if abs(1 - new) <= TOLERANCE + 1e-12 or turned:
            return current, share, average
        count = round_up(new * len(self.used))
        backwards = (new < 1 and count > current) or (new > 1 and count < current)
        return (current if backwards else count), share, average

    def _ratio(self, wanted: Mapping[str, int], goal: int) -> tuple[float, int]:
        known = [name for name in self.used if name in wanted]
        asked = sum(wanted[name] for name in known)
        if asked == 0:
            raise MetricError("no metrics returned matched known pods")
        share = sum(self.used[name] for name in known) * 100 // asked
        return share / max(goal, 1), share


def round_up(number: float) -> int:
    """The next whole number; what is off by an error of rounding is not taken for more."""
    return int(-(-round(number, 9) // 1))


def _is_unready(world: World, pod: Obj) -> bool:
    """Whether the use of processor time while starting says nothing about the load."""
    found, started = condition(pod, "Ready"), dig(pod, "status", "startTime")
    if found is None or not started:
        return True
    ready = found.get("status") == "True"
    since = epoch_ms(str(found.get("lastTransitionTime") or meta(pod)["creationTimestamp"]))
    begun = epoch_ms(str(started))
    if begun + _INITIALISATION > world.now:
        read_at = world.now // SCRAPE * SCRAPE
        return not ready or read_at < since + SCRAPE
    return not ready and begun + _INITIAL_READINESS > since
