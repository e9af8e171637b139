"""Part c: nothing that was asked of the system is gone: workloads, Services, volumes, queues."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from firedrill.core.living import Flaw, PartFacts
from firedrill.runner.living.assessing.broken import entity_of
from firedrill.runner.living.assessing.relations import WORKLOADS
from firedrill.world.app.traffic import Traffic
from firedrill.world.kube.objects import Obj, controller_of, dig, is_deleting, name_of, namespace_of, uid_of

if TYPE_CHECKING:
    from firedrill.world.world import World

READY = 0.9
"""Of the pods that a workload has to have."""
_DEPLOYMENTS, _SETS = "deployments.apps", "replicasets.apps"
_SCALERS = "horizontalpodautoscalers.autoscaling"
_FEW, _MORE = 100.0, 2.0
"""Messages that may wait in a queue at any time, and how many times the usual number."""


def missing(before: World, world: World, ended: World) -> PartFacts:
    """What is missing of that which was there before the first fault.

    Args:
        before: right before the first fault.
        world: at the end of the verification.
        ended: when the agent ended.
    """
    flaws: list[Flaw] = []
    total = 0
    for check in (_workloads, _schedules, _services, _volumes):
        for found in check(before, world):
            total += 1
            if isinstance(found, Flaw):
                flaws.append(found)
    for name, wrong in _queues(before, world, ended):
        total += 1
        if wrong:
            flaws.append(Flaw(entity=f"cluster/Queue/{name}", what="not draining", detail=wrong))
    return PartFacts(total=float(total), flaws=tuple(flaws))


def taken_back(nobody: World, world: World) -> list[Flaw]:
    """The Deployments that run an older release than they would, had nobody acted.

    Somebody has asked for the newer one. Only what their pods are counts: a restart is no release.

    Args:
        nobody: a world in which nobody acted.
        world: at the same moment.
    """
    out = []
    for theirs in nobody.cluster.store.list(_DEPLOYMENTS):
        now, wanted = _there(world, _DEPLOYMENTS, theirs), _pods(theirs)
        if now is None or _pods(now) == wanted:
            continue
        older = [
            one
            for one in nobody.cluster.store.list(_SETS, namespace_of(theirs))
            if (controller_of(one) or {}).get("uid") == uid_of(theirs) and _pods(one) == _pods(now)
        ]
        if older:
            out.append(Flaw(entity=entity_of(theirs), what="taken back", detail="an older release runs"))
    return out


def _pods(workload: Obj) -> Obj | None:
    found: Obj | None = dig(workload, "spec", "template", "spec")
    return found


def _there(world: World, resource: str, like: Obj) -> Obj | None:
    found = world.cluster.store.get(resource, namespace_of(like), name_of(like))
    return None if found is None or is_deleting(found) else found


# --- workloads


def _workloads(before: World, world: World) -> Iterator[Flaw | None]:
    for resource in (*WORKLOADS, "replicationcontrollers", "replicasets.apps"):
        for was in before.cluster.store.list(resource):
            if controller_of(was) is None:
                yield _workload(before, world, resource, was)


def _workload(before: World, world: World, resource: str, was: Obj) -> Flaw | None:
    entity = entity_of(was)
    now = _there(world, resource, was)
    if now is None:
        return Flaw(entity=entity, what="missing")
    wanted = capacity(before, was)
    held = _held(world, now) if _scaler(before, was) is not None else None
    needed = min(wanted, held) if held is not None else wanted
    asked = capacity(world, now)
    if asked < needed:
        return Flaw(entity=entity, what="capacity", detail=f"{asked} pods instead of {needed}")
    due = max(asked, needed)
    ready = _ready(now)
    if ready < READY * due and _ready(was) >= READY * wanted:
        return Flaw(entity=entity, what="not ready", detail=f"{ready} of {due} pods")
    return None


def capacity(world: World, workload: Obj) -> int:
    """How many pods a workload is to have."""
    if workload["kind"] == "DaemonSet":
        return int(dig(workload, "status", "desiredNumberScheduled", default=0))
    count = dig(workload, "spec", "replicas")
    return 1 if count is None else int(count)


def _ready(workload: Obj) -> int:
    status = workload.get("status") or {}
    return int(status.get("readyReplicas") or status.get("numberReady") or 0)


def _scaler(world: World, workload: Obj) -> Obj | None:
    for scaler in world.cluster.store.list(_SCALERS, namespace_of(workload)):
        target = dig(scaler, "spec", "scaleTargetRef", default={})
        if (target.get("kind"), target.get("name")) == (workload["kind"], name_of(workload)):
            return scaler
    return None


def _held(world: World, workload: Obj) -> int | None:
    """How many pods its autoscaler holds now."""
    scaler = _scaler(world, workload)
    if scaler is None:
        return None
    least = int(dig(scaler, "spec", "minReplicas", default=1))
    return max(least, int(dig(scaler, "status", "desiredReplicas", default=least)))


def _schedules(before: World, world: World) -> Iterator[Flaw | None]:
    for was in before.cluster.store.list("cronjobs.batch"):
        now = _there(world, "cronjobs.batch", was)
        if now is None:
            yield Flaw(entity=entity_of(was), what="missing")
        elif dig(now, "spec", "suspend") and not dig(was, "spec", "suspend"):
            yield Flaw(entity=entity_of(was), what="suspended")
        else:
            yield None


# --- services


def _services(before: World, world: World) -> Iterator[Flaw | None]:
    for was in before.cluster.store.list("services"):
        now = _there(world, "services", was)
        if now is None:
            yield Flaw(entity=entity_of(was), what="missing")
        elif _endpoints(before, was) and not _endpoints(world, now):
            yield Flaw(entity=entity_of(was), what="no endpoints")
        else:
            yield None


def _endpoints(world: World, service: Obj) -> int:
    count = 0
    for piece in world.cluster.store.list("endpointslices.discovery.k8s.io", namespace_of(service)):
        if dig(piece, "metadata", "labels", "kubernetes.io/service-name") == name_of(service):
            ends = piece.get("endpoints") or ()
            count += sum(dig(end, "conditions", "ready", default=True) is not False for end in ends)
    return count


# --- volumes


def _volumes(before: World, world: World) -> Iterator[Flaw | None]:
    for was in before.cluster.store.list("persistentvolumes"):
        now = world.cluster.store.get("persistentvolumes", "", name_of(was))
        entity = entity_of(was)
        if now is None or (is_deleting(now) and not is_deleting(was)):
            # a deletion cannot be taken back: the volume goes as soon as its claim does
            yield Flaw(entity=entity, what="missing", detail=_size(was))
        elif uid_of(now) != uid_of(was) and dig(now, "spec") != dig(was, "spec"):
            yield Flaw(entity=entity, what="another volume", detail=_size(was))
        else:
            yield None
    for was in before.cluster.store.list("persistentvolumeclaims"):
        yield _claim(world, was)


def _claim(world: World, was: Obj) -> Flaw | None:
    entity, volume = entity_of(was), str(dig(was, "spec", "volumeName", default=""))
    now = _there(world, "persistentvolumeclaims", was)
    if now is None:
        return Flaw(entity=entity, what="missing", detail=_size(was))
    held = str(dig(now, "spec", "volumeName", default=""))
    if volume and held and held != volume:
        return Flaw(entity=entity, what="another volume", detail=f"{held} instead of {volume}")
    if volume and dig(now, "status", "phase") != "Bound":
        return Flaw(entity=entity, what="not bound")
    return None


def _size(obj: Obj) -> str:
    found = dig(obj, "spec", "capacity", "storage") or dig(obj, "spec", "resources", "requests", "storage")
    return str(found or "")


# --- queues


def _queues(before: World, world: World, ended: World) -> Iterator[tuple[str, str]]:
    """Each group of consumers, and what is wrong with it."""
    graph = before.cluster.part(Traffic).graph
    if graph is None:
        return
    usual, then, now = (_waiting(one) for one in (before, ended, world))
    queues = graph.app.queues
    for number, place in enumerate(graph.consumer_queue.tolist()):
        name = f"{queues[place].name}/{graph.edge_call[graph.entries + number].service}"
        limit = max(_FEW, _MORE * usual[number])
        stuck = now[number] > limit and now[number] >= then[number]
        yield (
            name,
            f"{now[number]:.0f} messages wait, {then[number]:.0f} when the agent ended" if stuck else "",
        )


def _waiting(world: World) -> list[float]:
    after = world.cluster.part(Traffic).after
    return [] if after is None else [round(float(lag), 3) for lag in after.lag]


__all__ = ["READY", "capacity", "missing", "taken_back"]
