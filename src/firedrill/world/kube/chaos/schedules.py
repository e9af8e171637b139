"""Schedules: an experiment whenever the text of a schedule says so, and no more of them than it keeps.

Source: Chaos Mesh 2.6, `controllers/schedule` (cron, active, gc, pause).
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from firedrill.world.kube import events
from firedrill.world.kube.api.client import Client
from firedrill.world.kube.api.errors import ApiError
from firedrill.world.kube.chaos import records
from firedrill.world.kube.chaos.kinds import API, GROUP, KINDS, MANAGER, PAUSE
from firedrill.world.kube.controllers._schedule import Schedule, ScheduleError, parse
from firedrill.world.kube.controllers.base import (
    Controller,
    all_keys,
    enqueue,
    own_key,
    owner_keys,
    register,
    split_key,
)
from firedrill.world.kube.objects import (
    Obj,
    annotations_of,
    controller_of,
    dig,
    is_deleting,
    meta,
    name_of,
    namespace_of,
    owner_reference,
    uid_of,
)
from firedrill.world.sim.clock import epoch_ms

if TYPE_CHECKING:
    from firedrill.world.kube.store import Change
    from firedrill.world.world import World

NAME = "chaos-mesh-schedules"
SCHEDULES = f"schedules.{GROUP}"
_MISSED = 100


def _reconcile(world: World, key: str) -> None:
    schedule = world.cluster.store.get(SCHEDULES, *split_key(key))
    if schedule is None or is_deleting(schedule) or not records.is_up(world):
        return
    client = records.client_of(world)
    _hold_back(client, schedule)
    if not records.is_paused(schedule):
        _spawn_when_due(client, schedule, key)
    schedule = world.cluster.store.get(SCHEDULES, *split_key(key)) or schedule
    _list_active(client, schedule)
    _forget_old(client, schedule, key)


def _tell(world: World, obj: Obj, reason: str, text: str, component: str, type_: str = "Normal") -> None:
    events.record(world, obj, type_, reason, text, component=f"schedule-{component}")


def _children(world: World, schedule: Obj) -> list[Obj]:
    """The experiments of a schedule that are there, the oldest first."""
    kind = KINDS.get(str(dig(schedule, "spec", "type", default="")))
    if kind is None:
        return []
    found = [
        obj
        for obj in world.cluster.store.list(kind.resource, namespace_of(schedule))
        if (controller_of(obj) or {}).get("uid") == uid_of(schedule)
    ]
    return sorted(found, key=lambda obj: (str(meta(obj)["creationTimestamp"]), name_of(obj)))


def _hold_back(client: Client, schedule: Obj) -> None:
    """What is paused or goes on, its experiments are too."""
    paused = records.is_paused(schedule)
    for child in _children(client.world, schedule):
        if is_deleting(child) or records.is_one_shot(child) or records.is_paused(child) == paused:
            continue
        if not paused and annotations_of(child).get(PAUSE) is None:
            continue
        note = {"metadata": {"annotations": {PAUSE: "true" if paused else None}}}
        client.patch(KINDS[child["kind"]].resource, namespace_of(child), name_of(child), note)


def _spawn_when_due(client: Client, schedule: Obj, key: str) -> None:
    world = client.world
    try:
        plan = parse(str(dig(schedule, "spec", "schedule", default="")))
    except ScheduleError as problem:
        _tell(world, schedule, "Failed", f"Failed to get run time: {problem}", "cron", "Warning")
        return
    last = str(dig(schedule, "status", "time") or meta(schedule)["creationTimestamp"])
    due, nxt = _moments(plan, epoch_ms(last), world.now)
    if due is not None:
        _spawn(client, schedule, due)
        nxt = plan.after(world.now)
    if nxt is not None:
        enqueue(world, NAME, key, nxt - world.now)


def _moments(plan: Schedule, since: int, now: int) -> tuple[int | None, int | None]:
    """The last moment that has come since then, and the next: `@every` counts from the last round."""
    found, moment, missed = None, plan.after(since), 0
    while moment is not None and moment <= now and missed < _MISSED:
        found, missed = moment, missed + 1
        moment = plan.after(moment)
    if missed >= _MISSED:
        return now, moment
    return found, moment


def _spawn(client: Client, schedule: Obj, due: int) -> None:
    world, spec = client.world, schedule["spec"]
    deadline = spec.get("startingDeadlineSeconds")
    if deadline is not None and due + int(deadline) * 1000 < world.now:
        when = datetime.fromtimestamp(due // 1000, UTC).strftime("%a, %d %b %Y %H:%M:%S +0000")
        text = f"Missed scheduled time to start a job: {when}"
        _tell(world, schedule, "MissSchedule", text, "cron", "Warning")
        return
    children = _children(world, schedule)
    if (spec.get("concurrencyPolicy") or "Forbid") == "Forbid":
        for child in children:
            if not records.is_finished(child, world.now):
                text = f"Forbid spawning new job because: {name_of(child)} is still running"
                _tell(world, schedule, "Forbid", text, "cron", "Warning")
                return
    kind = KINDS.get(str(spec.get("type")))
    inner = spec.get(kind.field) if kind is not None else None
    if kind is None or not isinstance(inner, dict):
        text = f"Failed to generate new object: unknown kind {spec.get('type')}"
        _tell(world, schedule, "Failed", text, "cron", "Warning")
        return
    name = f"{name_of(schedule)[:58]}-{world.rng.suffix(5, 'chaos.spawn', uid_of(schedule), due)}"
    child = {
        "apiVersion": API,
        "kind": kind.kind,
        "metadata": {
            "name": name,
            "namespace": namespace_of(schedule),
            "labels": {"managed-by": name_of(schedule)[:63]},
            "ownerReferences": [owner_reference(schedule)],
        },
        "spec": inner,
    }
    try:
        client.create(child)
    except ApiError as refusal:
        text = f"Failed to create new object: {refusal.message}"
        _tell(world, schedule, "Failed", text, "cron", "Warning")
        return
    _tell(world, schedule, "Spawned", f"Create new object: {name}", "cron")
    latest = client.get(SCHEDULES, namespace_of(schedule), name_of(schedule))
    client.update({**latest, "status": {**(latest.get("status") or {}), "time": world.time}})
    _tell(world, schedule, "Updated", "Successfully update lastScheduleTime of resource", "cron")


def _list_active(client: Client, schedule: Obj) -> None:
    """The experiments that are there, in the schedule's status."""
    kept = ("apiVersion", "kind")
    active = [
        {
            **{key: child[key] for key in kept},
            "name": name_of(child),
            "namespace": namespace_of(child),
            "uid": uid_of(child),
        }
        for child in sorted(_children(client.world, schedule), key=name_of)
    ]
    before = list(dig(schedule, "status", "active", default=()))
    if [item.get("uid") for item in before] == [item["uid"] for item in active]:
        return
    client.update({**schedule, "status": {**(schedule.get("status") or {}), "active": active}})
    _tell(client.world, schedule, "Updated", "Successfully update active of resource", "active")


def _forget_old(client: Client, schedule: Obj, key: str) -> None:
    """Delete the oldest experiments beyond the history limit, once their time is up."""
    world = client.world
    children = [child for child in _children(world, schedule) if not is_deleting(child)]
    limit = max(int(dig(schedule, "spec", "historyLimit", default=1)), 1)
    for child in children[: max(len(children) - limit, 0)]:
        end = records.ends(child)
        if not records.is_one_shot(child) and end is not None and end > world.now:
            text = f"Skip removing history: {name_of(child)} is still running"
            _tell(world, schedule, "Skip", text, "gc", "Warning")
            enqueue(world, NAME, key, end - world.now)
            continue
        client.delete(KINDS[child["kind"]].resource, namespace_of(child), name_of(child), uid=uid_of(child))


_of_schedule = owner_keys("Schedule")


def _when_up(world: World, change: Change) -> Iterable[str]:
    return all_keys(SCHEDULES)(world) if records.has_come_up(change) else ()


CONTROLLER = register(
    Controller(
        name=NAME,
        component=MANAGER,
        watches={
            SCHEDULES: own_key,
            **{kind.resource: _of_schedule for kind in KINDS.values()},
            "pods": _when_up,
        },
        reconcile=_reconcile,
        resync=all_keys(SCHEDULES),
        delay=(40, 250),
    )
)
