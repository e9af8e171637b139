"""Experiments: from an object to what it does to pods, and back, step by step and told in events.

Source: Chaos Mesh 2.6, `controllers/common` (finalizers, desiredphase, records, condition).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from firedrill.world.kube import effects, events
from firedrill.world.kube.api.client import Client
from firedrill.world.kube.api.errors import ApiError
from firedrill.world.kube.api.request import service_account
from firedrill.world.kube.chaos import acting, selecting
from firedrill.world.kube.chaos.acting import Refused, Target
from firedrill.world.kube.chaos.amounts import duration_ms
from firedrill.world.kube.chaos.kinds import FINALIZER, FORCED, KINDS, MANAGER, NAMESPACE, PAUSE, kind_of
from firedrill.world.kube.controllers.base import Controller, Later, enqueue, key_of, register, split_key
from firedrill.world.kube.objects import (
    Obj,
    annotations_of,
    condition,
    dig,
    is_deleting,
    labels_of,
    meta,
    name_of,
    namespace_of,
    uid_of,
)
from firedrill.world.sim.clock import epoch_ms

if TYPE_CHECKING:
    from firedrill.world.kube.store import Change
    from firedrill.world.world import World

NAME = "chaos-mesh-experiments"
_RUN, _STOP = "Run", "Stop"
_INJECTED, _NOT = "Injected", "Not Injected"
_MOST_TOLD = 5
_RETRY = 15_000
_LABEL = "app.kubernetes.io/component"
_COLUMNS = ("Selected", "AllInjected", "AllRecovered", "Paused")


def client_of(world: World) -> Client:
    """The API as the controllers of Chaos Mesh use it."""
    return Client(world, service_account(NAMESPACE, MANAGER), manager=MANAGER, trusted=True)


def is_up(world: World) -> bool:
    """Whether a controller manager of Chaos Mesh runs and is ready."""
    pods = world.cluster.store.list("pods", NAMESPACE)
    return any(labels_of(pod).get(_LABEL) == "controller-manager" and _ready(pod) for pod in pods)


def _ready(pod: Obj) -> bool:
    return (condition(pod, "Ready") or {}).get("status") == "True" and not is_deleting(pod)


def is_paused(obj: Mapping[str, Any]) -> bool:
    """Whether the annotation holds an experiment or a schedule."""
    return annotations_of(obj).get(PAUSE) == "true"


def is_one_shot(obj: Obj) -> bool:
    """Whether an experiment happens at a moment and has nothing to take back."""
    return obj["kind"] == "PodChaos" and dig(obj, "spec", "action") in ("pod-kill", "container-kill")


def ends(obj: Obj) -> int | None:
    """When an experiment's time is up; None where it has no end of its own."""
    length = duration_ms(dig(obj, "spec", "duration")) if dig(obj, "spec", "duration") else None
    return epoch_ms(str(meta(obj)["creationTimestamp"])) + length if length is not None else None


def is_finished(obj: Obj, now: int) -> bool:
    """Whether nothing more comes of an experiment."""
    if is_one_shot(obj):
        return _holds(obj, "AllInjected")
    end = ends(obj)
    return end is not None and end <= now and _holds(obj, "AllRecovered")


def _holds(obj: Obj, name: str) -> bool:
    return (condition(obj, name) or {}).get("status") == "True"


def key_for(resource: str, obj: Mapping[str, Any]) -> str:
    """The key of an experiment."""
    return f"{resource}|{key_of(namespace_of(obj), name_of(obj))}"


def _reconcile(world: World, key: str) -> None:
    resource, _, place = key.partition("|")
    obj = world.cluster.store.get(resource, *split_key(place))
    if obj is None or not is_up(world):
        return
    client = client_of(world)
    obj = _begin(client, obj)
    obj, failed = _carry_out(client, obj)
    if is_deleting(obj):
        _let_go(client, obj)
    elif dig(obj, "status", "experiment", "desiredPhase") == _RUN and not is_one_shot(obj):
        end = ends(obj)
        if end is not None and end > world.now:
            enqueue(world, NAME, key, end - world.now)
    if failed:
        raise Later(_RETRY)


def _tell(world: World, obj: Obj, reason: str, message: str, component: str, type_: str = "Normal") -> None:
    events.record(world, obj, type_, reason, message, component=component)


def _updated(world: World, obj: Obj, field: str, component: str) -> None:
    _tell(world, obj, "Updated", f"Successfully update {field} of resource", component)


def _begin(client: Client, obj: Obj) -> Obj:
    """The finalizer, and what is wanted now."""
    world = client.world
    finalizers = list(meta(obj).get("finalizers") or ())
    wanted, reason, message = _wanted(world, obj)
    before = dig(obj, "status", "experiment", "desiredPhase")
    new = obj
    if FINALIZER not in finalizers and not is_deleting(obj):
        _tell(world, obj, "FinalizerInited", "Finalizer has been inited", "initFinalizers")
        new = {**new, "metadata": {**meta(new), "finalizers": [*finalizers, FINALIZER]}}
    if before != wanted:
        if reason:
            _tell(world, obj, reason, message, "desiredphase")
        experiment = {**dig(new, "status", "experiment", default={}), "desiredPhase": wanted}
        new = {**new, "status": {**(new.get("status") or {}), "experiment": experiment}}
    if new is obj:
        return obj
    made = client.update(new)
    if FINALIZER not in finalizers and not is_deleting(obj):
        _updated(world, made, "finalizer", "initFinalizers")
    if before != wanted:
        _updated(world, made, "desiredPhase", "desiredphase")
    return made


def _wanted(world: World, obj: Obj) -> tuple[str, str, str]:
    """(phase, reason and message of the event that tells of its beginning)."""
    if is_deleting(obj):
        return _STOP, "Deleted", "Experiment has been deleted"
    if is_one_shot(obj):
        return _RUN, "", ""
    end = ends(obj)
    if end is not None and end <= world.now:
        return _STOP, "TimeUp", "Time up according to the duration"
    if is_paused(obj):
        return _STOP, "Paused", "Experiment has been paused"
    return _RUN, "Started", "Experiment has started"


def _carry_out(client: Client, obj: Obj) -> tuple[Obj, bool]:
    """Select, inject and recover; the second value says whether something has to be tried again."""
    world = client.world
    experiment = dig(obj, "status", "experiment", default={})
    known = experiment.get("containerRecords")
    records: list[Obj] | None = [dict(item) for item in known] if known is not None else None
    if records is None and not is_deleting(obj):
        records = _select(world, obj)
    failed = False
    if records:
        failed = _apply_all(client, obj, records, running=experiment.get("desiredPhase") == _RUN)
    status = dict(obj.get("status") or {})
    if records is not None and records != known:
        status["experiment"] = {**experiment, "containerRecords": records}
        if obj["kind"] == "NetworkChaos":
            instances = {item["id"]: 1 for item in records if item["phase"] == _INJECTED}
            status = {**status, "instances": instances} if instances else without(status, "instances")
    status["conditions"] = _conditions(obj, records)
    if status == (obj.get("status") or {}):
        return obj, failed
    latest = client.get(KINDS[obj["kind"]].resource, namespace_of(obj), name_of(obj))
    made = client.update({**latest, "status": status})
    if records is not None and records != known:
        _updated(world, made, "records", "records")
    return made, failed


def without(status: Obj, key: str) -> Obj:
    """The status without one of its fields."""
    return {name: value for name, value in status.items() if name != key}


def _select(world: World, obj: Obj) -> list[Obj] | None:
    """Fresh records; None where a selector fits nothing."""
    parts = [(".", obj["spec"])]
    if obj["kind"] == "NetworkChaos" and obj["spec"].get("target"):
        parts.append((".Target", obj["spec"]["target"]))
    out = []
    for key, part in parts:
        pods = selecting.select(world, obj, part, key)
        if not pods:
            text = "Failed to select targets: no pod is selected"
            _tell(world, obj, "Failed", text, "records", "Warning")
            return None
        for pod in pods:
            out += [_record(identity, key) for identity in _identities(obj, pod)]
    return out


def _record(identity: str, key: str) -> Obj:
    return {"id": identity, "selectorKey": key, "phase": _NOT, "injectedCount": 0, "recoveredCount": 0}


def _identities(obj: Obj, pod: Obj) -> list[str]:
    """What the records about a pod are about: itself, or its containers."""
    own = key_of(namespace_of(pod), name_of(pod))
    spec = obj["spec"]
    if not KINDS[obj["kind"]].contained and spec.get("action") != "container-kill":
        return [own]
    here = [str(item["name"]) for item in pod["spec"].get("containers") or ()]
    named = [name for name in spec.get("containerNames") or () if name in here]
    return [f"{own}/{name}" for name in (named if spec.get("containerNames") else here[:1])]


def _apply_all(client: Client, obj: Obj, records: list[Obj], *, running: bool) -> bool:
    world, failed = client.world, False
    targets = {key: _targets(world, records, key) for key in (".", ".Target")}
    for number, record in enumerate(records):
        if running == (record["phase"] == _INJECTED):
            continue
        pair = ("Apply", "apply") if running else ("Recover", "recover")
        try:
            if running:
                acting.apply(client, obj, record, targets)
            else:
                acting.recover(client, obj, record)
        except (Refused, ApiError) as refusal:
            text = str(refusal) if isinstance(refusal, Refused) else refusal.message
            _tell(world, obj, "Failed", f"Failed to {pair[1]} chaos: {text}", "records", "Warning")
            records[number] = _noted(record, pair[0], world.time, text)
            failed = True
            continue
        count = "injectedCount" if running else "recoveredCount"
        done = {**record, "phase": _INJECTED if running else _NOT, count: int(record.get(count) or 0) + 1}
        records[number] = _noted(done, pair[0], world.time, "")
        reason = "Applied" if running else "Recovered"
        _tell(world, obj, reason, f"Successfully {pair[1]} chaos for {record['id']}", "records")
    return failed


def _noted(record: Obj, operation: str, time: str, problem: str) -> Obj:
    note: Obj = {"operation": operation, "timestamp": time, "type": "Failed" if problem else "Succeeded"}
    if problem:
        note["message"] = problem
    return {**record, "events": [*(record.get("events") or ()), note][-_MOST_TOLD:]}


def _targets(world: World, records: list[Obj], key: str) -> frozenset[str]:
    """The uids of the pods that the records of one part are about."""
    found = (Target.of(world, item["id"]) for item in records if item["selectorKey"] == key)
    return frozenset(uid_of(item.pod) for item in found if item is not None)


def _conditions(obj: Obj, records: list[Obj] | None) -> list[Obj]:
    phases = {item["phase"] for item in records or ()}
    facts = (
        records is not None,
        phases == {_INJECTED},
        phases == {_NOT},
        is_paused(obj),
    )
    return [
        {"type": name, "status": "True" if fact else "False"}
        for name, fact in zip(_COLUMNS, facts, strict=True)
    ]


def _let_go(client: Client, obj: Obj) -> None:
    """Take the finalizer away once all is recovered, or when somebody insists."""
    records = dig(obj, "status", "experiment", "containerRecords", default=())
    forced = annotations_of(obj).get(FORCED) == "forced"
    if not meta(obj).get("finalizers") or not (forced or all(item["phase"] == _NOT for item in records)):
        return
    effects.remove(client.world, acting.source_of(obj))
    resource = KINDS[obj["kind"]].resource
    _tell(client.world, obj, "FinalizerInited", "Finalizer has been removed", "cleanFinalizers")
    client.patch(resource, namespace_of(obj), name_of(obj), {"metadata": {"finalizers": None}})
    _updated(client.world, obj, "finalizer", "cleanFinalizers")


def _own(_: World, change: Change) -> Iterable[str]:
    if change.type == "DELETED":
        return ()
    return (key_for(change.resource, change.obj),)


def has_come_up(change: Change) -> bool:
    """Whether a controller manager of Chaos Mesh has just become ready."""
    if namespace_of(change.obj) != NAMESPACE or labels_of(change.obj).get(_LABEL) != "controller-manager":
        return False
    return _ready(change.obj) and (change.previous is None or not _ready(change.previous))


def _experiments_when_up(world: World, change: Change) -> Iterable[str]:
    return _all(world) if has_come_up(change) else ()


def _all(world: World) -> list[str]:
    out = []
    for kind in KINDS.values():
        out += [key_for(kind.resource, obj) for obj in world.cluster.store.list(kind.resource)]
    return out


def is_experiment(resource: str) -> bool:
    """Whether the resource holds experiments."""
    return kind_of(resource) is not None


CONTROLLER = register(
    Controller(
        name=NAME,
        component=MANAGER,
        watches={**{kind.resource: _own for kind in KINDS.values()}, "pods": _experiments_when_up},
        reconcile=_reconcile,
        resync=_all,
        delay=(60, 400),
    )
)
