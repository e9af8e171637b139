"""What is seen of mechanisms by the users of an application: failures, slowness, lag, and what is gone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from firedrill.faults import fitting
from firedrill.world import mesh
from firedrill.world.kube.api.pressure import Pressure
from firedrill.world.kube.kubelet.nettools import route_from
from firedrill.world.kube.objects import condition, dig, labels_of, name_of
from firedrill.world.kube.selectors import selects

if TYPE_CHECKING:
    from firedrill.faults.showing import Look
    from firedrill.world import World

_TICKS = 24
"""Two minutes of traffic."""


def _counts(world: World) -> tuple[int, int, float, float]:
    """(requests, failures, their mean duration in ms, the largest lag) of the last two minutes of calls."""
    from firedrill.world.app import rows
    from firedrill.world.app.traffic import Traffic, sample

    requests = failures = 0
    duration = 0.0
    known = len(world.cluster.part(Traffic).history)
    for number in range(-min(_TICKS, known), 0):
        calls = sample(world, number).calls
        requests += int(calls.counts.sum())
        failures += int(calls.counts.sum() - calls.counts[:, rows.OK].sum())
        duration += float(calls.duration.sum())
    lag = float(max(sample(world).lag, default=0.0)) if known else 0.0
    return requests, failures, duration / max(requests, 1) / 1000.0, lag


def _failing(look: Look, _: str) -> bool:
    """Far more calls fail than before."""
    now, before = _counts(look.world), _counts(look.healthy)
    return now[1] > before[1] + max(0.002 * now[0], 3)


def _slow(look: Look, _: str) -> bool:
    """Calls take far longer on average, or fail."""
    now, before = _counts(look.world), _counts(look.healthy)
    return now[2] > 1.25 * before[2] or _failing(look, "")


def _own_calls(world: World, name: str) -> tuple[float, float]:
    """(mean duration in ms, share of failures) of the calls to a workload's program in two minutes."""
    from firedrill.world.app import rows
    from firedrill.world.app.traffic import Traffic, sample

    graph = fitting.graph_of(world)
    if graph is None:
        return 0.0, 0.0
    own = {s.name for s in graph.app.services if name in {place[1] for place in (s.workload, *s.also)}}
    ops = [number for number, (service, _) in enumerate(graph.op_names) if service in own]
    requests = failures = 0
    duration = 0.0
    for number in range(-min(_TICKS, len(world.cluster.part(Traffic).history)), 0):
        calls = sample(world, number).calls
        here = [place for place, op in enumerate(calls.op.tolist()) if op in ops]
        requests += int(calls.requests[here].sum())
        duration += float(calls.duration[here].sum())
        failures += int(calls.counts[here].sum() - calls.counts[here, rows.OK].sum())
    return duration / max(requests, 1) / 1000.0, failures / max(requests, 1)


def _late(look: Look, _: str) -> bool:
    """Calls to the workload take far longer than before, or calls fail."""
    name = str(look.args["name"])
    return _own_calls(look.world, name)[0] > 1.5 * _own_calls(look.healthy, name)[0] or _failing(look, "")


def _unserved(look: Look, _: str) -> bool:
    """Far more of the calls to the workload fail than before, however few there are among all calls."""
    name = str(look.args["name"])
    return _own_calls(look.world, name)[1] > _own_calls(look.healthy, name)[1] + 0.1 or _failing(look, "")


def _troubled(look: Look, _: str) -> bool:
    """Calls fail, take far longer, or are far more; messages pile up; a program is killed."""
    worse = (_slow, _surging, _lagging)
    return any(symptom(look, "") for symptom in worse) or look.restarts("")


def _unheard(look: Look, _: str) -> bool:
    """Calls fail, or a probe gets no answer."""
    return _failing(look, "") or look.event("Unhealthy")


def _unstarted(look: Look, _: str) -> bool:
    """A container cannot be started, or ends as soon as it is."""
    reasons = ("RunContainerError", "CrashLoopBackOff", "StartError")
    found = any(look.waiting(reason) or look.ended(reason) for reason in reasons)
    return found or look.restarts("") or look.event("FailedCreatePodSandBox")


def _surging(look: Look, _: str) -> bool:
    """There are several times as many calls as before."""
    return _counts(look.world)[0] > 2 * _counts(look.healthy)[0]


def _lagging(look: Look, _: str) -> bool:
    """Messages pile up."""
    return _counts(look.world)[3] > _counts(look.healthy)[3] + 50


def _unnamed(look: Look, _: str) -> bool:
    """A running pod of the workload cannot resolve the name of a Service of its namespace."""
    names = [name_of(item) for item in look.store.list("services", look.space)]
    running = [pod for pod in look.own() if (condition(pod, "Ready") or {}).get("status") == "True"]
    wanted = {"no_dns", "dns_timeout"}
    return any(
        route_from(look.world, pod, name, 80).result in wanted for pod in running for name in names[:1]
    )


def _gone(look: Look, _: str) -> bool:
    """Nobody answers at the port under which the Service was offered."""
    old = look.healthy.cluster.store.get("services", look.space, str(look.args["name"]))
    pods = [
        pod
        for pod in look.store.list("pods", look.space)
        if (condition(pod, "Ready") or {}).get("status") == "True"
    ]
    if old is None or not pods:
        return False
    port = int(old["spec"]["ports"][0]["port"])
    return route_from(look.world, pods[0], name_of(old), port).result != "ok"


def _maxed(look: Look, _: str) -> bool:
    """An autoscaler of the workload is at its upper bound, and was not before."""
    for item in look.store.list("horizontalpodautoscalers.autoscaling", look.space):
        most = dig(item, "spec", "maxReplicas")
        if dig(item, "spec", "scaleTargetRef", "name") == look.args["name"]:
            return bool(dig(item, "status", "currentReplicas") == most)
    return False


def _pressed(look: Look, _: str) -> bool:
    """Requests to the API server wait."""
    return look.world.cluster.part(Pressure).wait > 100


def _unlimited(look: Look, _: str) -> bool:
    """A running container of the workload has no limits."""
    wanted = dig(look.workload(), "spec", "selector")
    return any(
        not dig(item, "resources", "limits")
        for pod in look.store.list("pods", look.space)
        if selects(wanted, labels_of(pod))
        for item in pod["spec"]["containers"]
        if item["name"] == fitting.main_container(look.world, look.workload())["name"]
    )


def _unmeshed(look: Look, _: str) -> bool:
    """Pods of the application that took part in a mesh do so no more."""
    for space in fitting.namespaces(look.healthy):
        for pod in look.store.list("pods", space):
            if mesh.in_mesh(look.healthy, pod) and not mesh.in_mesh(look.world, pod):
                return True
    return False


SYMPTOMS: Mapping[str, Callable[[Look, str], bool]] = {
    "failing": _failing,
    "slow": _slow,
    "late": _late,
    "unserved": _unserved,
    "surging": _surging,
    "lagging": _lagging,
    "unnamed": _unnamed,
    "gone": _gone,
    "maxed": _maxed,
    "unlimited": _unlimited,
    "pressed": _pressed,
    "unmeshed": _unmeshed,
    "troubled": _troubled,
    "unstarted": _unstarted,
    "unheard": _unheard,
}
