"""Cron jobs: a job whenever the schedule says so.

Source: kube-controller-manager 1.31, `pkg/controller/cronjob`.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from firedrill.world.kube import events
from firedrill.world.kube.api.client import Client, component_client
from firedrill.world.kube.api.errors import ApiError
from firedrill.world.kube.controllers import _pods
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
from firedrill.world.kube.controllers.job import finished
from firedrill.world.kube.objects import (
    Obj,
    dig,
    is_deleting,
    meta,
    name_of,
    namespace_of,
    owner_reference,
    uid_of,
)
from firedrill.world.sim.clock import epoch_ms, rfc3339

if TYPE_CHECKING:
    from firedrill.world.world import World

NAME = "cronjob-controller"
_RESOURCE, _JOBS = "cronjobs.batch", "jobs.batch"
_WHEN = "batch.kubernetes.io/cronjob-scheduled-timestamp"
_MANY_MISSED = 100
_DELTA = 100
"""How much later than the minute the controller looks, so that the minute has surely come (ms)."""


def _tell(world: World, cron: Obj, type_: str, reason: str, text: str) -> None:
    events.record(world, cron, type_, reason, text, component=NAME)


def _reconcile(world: World, key: str) -> None:
    cron = world.cluster.store.get(_RESOURCE, *split_key(key))
    if cron is None:
        return
    client = component_client(world, NAME)
    jobs = _pods.owned(world, cron, _JOBS)
    cron = _see_to_jobs(client, cron, jobs)
    _clear_history(client, cron, jobs)
    if is_deleting(cron) or dig(cron, "spec", "suspend", default=False):
        return
    zone = str(dig(cron, "spec", "timeZone", default=""))
    try:
        schedule = parse(str(dig(cron, "spec", "schedule", default="")), zone)
    except ScheduleError as problem:
        if zone and str(problem).startswith("unknown time zone"):
            _tell(world, cron, "Warning", "UnknownTimeZone", f'invalid timeZone: "{zone}": {problem}')
        else:
            text = f'unparseable schedule: "{dig(cron, "spec", "schedule")}" : {problem}'
            _tell(world, cron, "Warning", "UnparseableSchedule", text)
        return
    due = _due(world, cron, schedule)
    if due is not None:
        _run(client, cron, schedule, due)
    nxt = schedule.after(world.now)
    if nxt is not None:
        enqueue(world, NAME, key, nxt + _DELTA - world.now)


def _see_to_jobs(client: Client, cron: Obj, jobs: list[Obj]) -> Obj:
    """Bring the list of running jobs up to date."""
    world = client.world
    status = dict(cron.get("status") or {})
    listed = list(status.get("active") or ())
    uids = {item.get("uid") for item in listed}
    here = {uid_of(job): job for job in jobs}
    for job in jobs:
        end = finished(job)
        if not end and uid_of(job) not in uids:
            listed.append(_reference(job))
        elif end and uid_of(job) in uids:
            listed = [item for item in listed if item.get("uid") != uid_of(job)]
            text = f"Saw completed job: {name_of(job)}, condition: {end}"
            _tell(world, cron, "Normal", "SawCompletedJob", text)
            if end == "Complete":
                status["lastSuccessfulTime"] = max(
                    str(dig(job, "status", "completionTime", default="")),
                    str(status.get("lastSuccessfulTime", "")),
                )
    for item in list(listed):
        if item.get("uid") not in here:
            _tell(world, cron, "Normal", "MissingJob", f"Active job went missing: {item.get('name')}")
            listed.remove(item)
    return _with_active(client, cron, status, listed)


def _reference(job: Obj) -> Obj:
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "name": name_of(job),
        "namespace": namespace_of(job),
        "uid": uid_of(job),
        "resourceVersion": job["metadata"]["resourceVersion"],
    }


def _with_active(client: Client, cron: Obj, status: Obj, active: list[Obj]) -> Obj:
    status.pop("active", None)
    if active:
        status["active"] = active
    if status == (cron.get("status") or {}):
        return cron
    return client.update_status(cron, status)


def _clear_history(client: Client, cron: Obj, jobs: list[Obj]) -> None:
    for end, field, usual in (
        ("Complete", "successfulJobsHistoryLimit", 3),
        ("Failed", "failedJobsHistoryLimit", 1),
    ):
        limit = int(dig(cron, "spec", field, default=usual))
        done = [job for job in jobs if finished(job) == end and not is_deleting(job)]
        done.sort(key=lambda job: (str(dig(job, "status", "startTime", default="")), name_of(job)))
        for job in done[: max(len(done) - limit, 0)]:
            _delete(client, cron, job)


def _delete(client: Client, cron: Obj, job: Obj) -> None:
    client.delete(_JOBS, namespace_of(job), name_of(job), propagation="Background", uid=uid_of(job))
    _tell(client.world, cron, "Normal", "SuccessfulDelete", f"Deleted job {name_of(job)}")


def _due(world: World, cron: Obj, schedule: Schedule) -> int | None:
    """The latest moment that has come since the last run; None where there is none."""
    last = dig(cron, "status", "lastScheduleTime") or meta(cron)["creationTimestamp"]
    earliest = epoch_ms(str(last))
    deadline = dig(cron, "spec", "startingDeadlineSeconds")
    if deadline is not None:
        earliest = max(earliest, world.now - int(deadline) * 1000)
    found, missed = None, 0
    moment = schedule.after(earliest)
    while moment is not None and moment <= world.now:
        found, missed = moment, missed + 1
        if missed > _MANY_MISSED:
            moment = schedule.after(max(moment, world.now - 86_400_000))
            continue
        moment = schedule.after(moment)
    if missed > _MANY_MISSED:
        text = (
            "too many missed start times. Set or decrease .spec.startingDeadlineSeconds or check clock skew"
        )
        _tell(world, cron, "Warning", "TooManyMissedTimes", text)
    return found


def _run(client: Client, cron: Obj, schedule: Schedule, due: int) -> None:
    world = client.world
    deadline = dig(cron, "spec", "startingDeadlineSeconds")
    if deadline is not None and due + int(deadline) * 1000 < world.now:
        moment = datetime.fromtimestamp(due // 1000, schedule.zone).strftime("%a, %d %b %Y %H:%M:%S %z")
        _tell(world, cron, "Warning", "MissSchedule", f"Missed scheduled time to start a job: {moment}")
        return
    active = list(dig(cron, "status", "active", default=()))
    policy = dig(cron, "spec", "concurrencyPolicy")
    if active and policy == "Forbid":
        text = "Not starting job because prior execution is running and concurrency policy is Forbid"
        _tell(world, cron, "Normal", "JobAlreadyActive", text)
        return
    if policy == "Replace":
        for item in active:
            job = client.find(_JOBS, namespace_of(cron), str(item["name"]))
            if job is not None:
                _delete(client, cron, job)
        active = []
    try:
        made = client.create(_job(cron, schedule, due))
    except ApiError as problem:
        if problem.reason == "AlreadyExists" or _pods.of_ending_namespace(problem):
            return
        _tell(world, cron, "Warning", "FailedCreate", f"Error creating job: {problem.message}")
        raise
    _tell(world, cron, "Normal", "SuccessfulCreate", f"Created job {name_of(made)}")
    status = {**(cron.get("status") or {}), "lastScheduleTime": rfc3339(due)}
    _with_active(client, cron, status, [*active, _reference(made)])


def _job(cron: Obj, schedule: Schedule, due: int) -> Obj:
    template: Mapping[str, Any] = dig(cron, "spec", "jobTemplate", default={})
    given = meta(template)
    local = datetime.fromtimestamp(due // 1000, schedule.zone).isoformat()
    metadata: Obj = {
        "name": f"{name_of(cron)}-{due // 60_000}",
        "namespace": namespace_of(cron),
        "annotations": {**(given.get("annotations") or {}), _WHEN: local.replace("+00:00", "Z")},
        "creationTimestamp": None,
        "ownerReferences": [owner_reference(cron)],
    }
    if given.get("labels"):
        metadata["labels"] = given["labels"]
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": template.get("spec") or {}}


register(
    Controller(
        name=NAME,
        component="kube-controller-manager",
        watches={_RESOURCE: own_key, _JOBS: owner_keys("CronJob")},
        reconcile=_reconcile,
        resync=all_keys(_RESOURCE),
    )
)
