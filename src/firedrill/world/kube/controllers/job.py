"""Jobs: pods that run to their end, and what is left of finished ones.

Source: kube-controller-manager 1.31, `pkg/controller/job` and `pkg/controller/ttlafterfinished`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from firedrill.world.kube import events
from firedrill.world.kube.api import strategy
from firedrill.world.kube.api.client import Client, component_client
from firedrill.world.kube.api.errors import ApiError
from firedrill.world.kube.controllers import _pods, job_pods
from firedrill.world.kube.controllers.base import (
    Controller,
    all_keys,
    enqueue,
    own_key,
    register,
    split_key,
)
from firedrill.world.kube.objects import (
    Obj,
    annotations_of,
    condition,
    controller_of,
    dig,
    is_deleting,
    meta,
    name_of,
    namespace_of,
    with_condition,
)
from firedrill.world.sim.clock import epoch_ms

if TYPE_CHECKING:
    from firedrill.world.world import World

NAME = "job-controller"
_TTL = "ttl-after-finished-controller"
_RESOURCE = "jobs.batch"
_BURST = 500
_NEXT_BURST = 1_000
_NO_LIMIT = 2**31 - 1
_REACHED = ("CompletionsReached", "Reached expected number of succeeded pods")
_BACK_OFF = ("BackoffLimitExceeded", "Job has reached the specified backoff limit")
_DEADLINE = ("DeadlineExceeded", "Job was active longer than specified deadline")
_MANY = ("MaxFailedIndexesExceeded", "Job has exceeded the specified maximal number of failed indexes")
_SOME = ("FailedIndexes", "Job has failed indexes")
_ALL_WELL = ("SuccessPolicy", "Matched rules at index {}")


def finished(job: Mapping[str, Any]) -> str:
    """`Complete`, `Failed`, or nothing while the job is not over."""
    for type_ in ("Complete", "Failed"):
        if (condition(job, type_) or {}).get("status") == "True":
            return type_
    return ""


class Look:
    """One look at a job: its pods, and what they add up to.

    Attributes:
        job: the job.
        pods: all of its pods.
        active: those that are neither over nor being deleted.
        succeeded, failed: how many pods have ended so, those counted before included.
        completed, broken: the indexes that succeeded, and those that may not be tried again.
        verdict: reason and message of a rule of the failure policy that ends the job.
    """

    __slots__ = (
        "active",
        "broken",
        "client",
        "completed",
        "failed",
        "job",
        "key",
        "pods",
        "succeeded",
        "verdict",
        "world",
    )

    def __init__(self, client: Client, key: str, job: Obj) -> None:
        self.client, self.world, self.key, self.job = client, client.world, key, job
        wanted = _pods.requirements_of(_pods.selector_of(job))
        self.pods = _pods.claim(client, job, wanted, finished=True)
        self.active = [pod for pod in self.pods if _pods.is_active(pod)]
        self.succeeded = int(dig(job, "status", "succeeded", default=0))
        self.failed = int(dig(job, "status", "failed", default=0))
        self.completed = job_pods.read_indexes(str(dig(job, "status", "completedIndexes", default="")))
        self.broken = job_pods.read_indexes(str(dig(job, "status", "failedIndexes", default="")))
        self.verdict: tuple[str, str] | None = None
        for pod in self.pods:
            if job_pods.is_tracked(pod):
                self._count(pod)
        if job_pods.is_indexed(job):
            self.succeeded = len(self.completed)

    def _count(self, pod: Obj) -> None:
        index = job_pods.index_of(pod)
        if dig(pod, "status", "phase") == "Succeeded":
            self.succeeded += 1
            if index is not None:
                self.completed.add(index)
        elif job_pods.has_failed(self.job, pod):
            action, text = job_pods.policy_for(self.job, pod)
            if action == "FailJob":
                self.verdict = self.verdict or ("PodFailurePolicy", text)
            self.failed += action != "Ignore"
            limit = self.of_spec("backoffLimitPerIndex", None)
            if limit is not None and index is not None:
                tries = int(annotations_of(pod).get(job_pods.FAILURES, 0)) + (action != "Ignore")
                if tries > limit or action == "FailIndex":
                    self.broken.add(index)

    def of_spec(self, field: str, default: Any) -> Any:
        """A field of the job's spec."""
        return dig(self.job, "spec", field, default=default)

    @property
    def terminating(self) -> int:
        """How many pods are going and have not ended."""
        over = {"Succeeded", "Failed"}
        return sum(is_deleting(pod) and dig(pod, "status", "phase") not in over for pod in self.pods)

    @property
    def started(self) -> int | None:
        """When the job began, in ms."""
        when = dig(self.job, "status", "startTime")
        return epoch_ms(when) if when else None


def _reconcile(world: World, key: str) -> None:
    namespace, name = split_key(key)
    job = world.cluster.store.get(_RESOURCE, namespace, name)
    client = component_client(world, NAME)
    if job is None or is_deleting(job) or finished(job):
        _let_go(client, namespace, name, job)
        return
    if dig(job, "spec", "managedBy") not in {None, "kubernetes.io/job-controller"}:
        return
    look = Look(client, key, job)
    failure = _failure(look)
    success = None if failure else _success(look)
    problem: ApiError | None = None
    try:
        if failure or success:
            _delete(look, look.active)
        else:
            _manage(look)
    except ApiError as caught:
        problem = caught
    counted = [pod for pod in look.pods if _is_countable(look, pod)]
    look.pods = _pods.owned(world, job)
    look.active = [pod for pod in look.pods if _pods.is_active(pod)]
    _pods.rest_after(world, NAME, key, len(look.pods))
    _write(look, failure, success)
    for pod in counted:
        _untrack(client, pod)
    if problem is not None and not _pods.of_ending_namespace(problem):
        raise problem


def _is_countable(look: Look, pod: Obj) -> bool:
    over = dig(pod, "status", "phase") == "Succeeded" or job_pods.has_failed(look.job, pod)
    return over and job_pods.is_tracked(pod)


def _let_go(client: Client, namespace: str, name: str, job: Obj | None) -> None:
    """Take the finalizer off pods that nobody counts any more."""
    for pod in client.world.cluster.store.pods_labelled(namespace, "batch.kubernetes.io/job-name", name):
        above = controller_of(pod)
        mine = job is None or (above is not None and above.get("uid") == job["metadata"]["uid"])
        if mine and job_pods.is_tracked(pod):
            _untrack(client, pod)


def _untrack(client: Client, pod: Obj) -> None:
    now = client.find("pods", namespace_of(pod), name_of(pod))
    if now is None or not job_pods.is_tracked(now):
        return
    rest = [item for item in meta(now).get("finalizers") or () if item != job_pods.TRACKING]
    client.patch("pods", namespace_of(pod), name_of(pod), {"metadata": {"finalizers": rest or None}})


def _failure(look: Look) -> tuple[str, str] | None:
    """Why the job has failed, if it has."""
    said = condition(look.job, "FailureTarget")
    if said is not None:
        return str(said["reason"]), str(said["message"])
    if condition(look.job, "SuccessCriteriaMet") is not None:
        return None
    if look.verdict is not None:
        return look.verdict
    per_index = look.of_spec("backoffLimitPerIndex", None)
    limit = int(look.of_spec("backoffLimit", 6 if per_index is None else _NO_LIMIT))
    if look.failed > limit or _restarted_too_often(look, limit):
        return _BACK_OFF
    deadline = look.of_spec("activeDeadlineSeconds", None)
    if deadline is not None and look.started is not None and not look.of_spec("suspend", False):
        left = look.started + int(deadline) * 1000 - look.world.now
        if left <= 0:
            return _DEADLINE
        enqueue(look.world, NAME, look.key, left)
    if per_index is not None and look.broken:
        most = look.of_spec("maxFailedIndexes", None)
        if most is not None and len(look.broken) > most:
            return _MANY
        if len(look.completed | look.broken) >= int(look.of_spec("completions", 0)):
            return _SOME
    return None


def _restarted_too_often(look: Look, limit: int) -> bool:
    if dig(look.job, "spec", "template", "spec", "restartPolicy") != "OnFailure":
        return False
    restarts = job_pods.restarts_of(look.pods)
    return restarts > 0 if limit == 0 else restarts >= limit


def _success(look: Look) -> tuple[str, str] | None:
    said = condition(look.job, "SuccessCriteriaMet")
    if said is not None:
        return str(said["reason"]), str(said["message"])
    for number, rule in enumerate(dig(look.job, "spec", "successPolicy", "rules", default=())):
        runs = job_pods.read_runs(str(rule.get("succeededIndexes") or ""))
        hits = sum(not runs or any(number in run for run in runs) for number in look.completed)
        if hits >= int(rule.get("succeededCount") or sum(map(len, runs)) or _NO_LIMIT):
            return _ALL_WELL[0], _ALL_WELL[1].format(number)
    completions = look.of_spec("completions", None)
    done = look.succeeded > 0 if completions is None else look.succeeded >= int(completions)
    return _REACHED if done and not look.active else None


def _manage(look: Look) -> None:
    """Bring the number of active pods to what is wanted."""
    if look.of_spec("suspend", False):
        _delete(look, look.active)
        return
    parallelism, completions = int(look.of_spec("parallelism", 1)), look.of_spec("completions", None)
    if completions is None:
        wanted = len(look.active) if look.succeeded > 0 else parallelism
    else:
        left = int(completions) - look.succeeded - len(look.broken - look.completed)
        wanted = max(min(left, parallelism), 0)
    missing = wanted - len(look.active)
    if missing < 0:
        _delete(look, job_pods.surplus(look.active, look.world, -missing))
        return
    if look.of_spec("podReplacementPolicy", "") == "Failed":
        missing -= look.terminating
    if missing <= 0:
        return
    wait = job_pods.back_off(look.pods, look.job, look.world.now)
    if wait:
        enqueue(look.world, NAME, look.key, wait)
        return
    now = _pods.still_to_make(look.world, look.pods, missing, _BURST)
    if now < missing:
        enqueue(look.world, NAME, look.key, _NEXT_BURST)
    _create(look, now)


def _create(look: Look, count: int) -> None:
    indexes: list[int | None] = [None] * count
    if job_pods.is_indexed(look.job):
        busy = {job_pods.index_of(pod) for pod in look.active} | look.completed | look.broken
        free = (number for number in range(int(look.of_spec("completions", 0))) if number not in busy)
        indexes = [number for number, _ in zip(free, range(count), strict=False)]
    done = 0
    for batch in _pods.slow_start(len(indexes)):
        problem: ApiError | None = None
        for index in indexes[done : done + batch]:
            try:
                pod = job_pods.pod_for(look.job, index, _tries(look, index))
                _pods.create_pod(look.client, look.job, pod, NAME)
            except ApiError as caught:
                problem = problem or caught
        done += batch
        if problem is not None:
            raise problem


def _tries(look: Look, index: int | None) -> int:
    """How often an index has failed so far."""
    if index is None:
        return 0
    mine = [
        pod for pod in look.pods if job_pods.index_of(pod) == index and job_pods.has_failed(look.job, pod)
    ]
    return max((int(annotations_of(pod).get(job_pods.FAILURES, 0)) + 1 for pod in mine), default=0)


def _delete(look: Look, pods: Iterable[Obj]) -> None:
    for pod in pods:
        _pods.delete_pod(look.client, look.job, pod, NAME)


def _write(look: Look, failure: tuple[str, str] | None, success: tuple[str, str] | None) -> None:
    world, job = look.world, look.job
    old = job.get("status") or {}
    conditions = list(old.get("conditions") or ())
    told: list[tuple[str, str, str]] = []
    status: Obj = {
        "active": len(look.active),
        "ready": sum(map(_pods.is_ready, look.active)),
        "succeeded": look.succeeded,
        "failed": look.failed,
    }
    status = {key: count for key, count in status.items() if count or key == "ready"}
    status |= {"terminating": look.terminating, "uncountedTerminatedPods": {}}
    if "startTime" in old:
        status["startTime"] = old["startTime"]
    if job_pods.is_indexed(job) and look.completed:
        status["completedIndexes"] = job_pods.write_indexes(look.completed)
    if look.of_spec("backoffLimitPerIndex", None) is not None:
        status["failedIndexes"] = job_pods.write_indexes(look.broken)
    conditions = _suspended(look, status, conditions, told)
    verdict = failure or success
    if verdict is not None:
        target, end = ("FailureTarget", "Failed") if failure else ("SuccessCriteriaMet", "Complete")
        conditions = _stated(world, conditions, target, "True", *verdict)
        if not look.active and not look.terminating:
            conditions = _stated(world, conditions, end, "True", *verdict)
            if success:
                status["completionTime"] = world.time
            told.append(("Normal", "Completed", "Job completed") if success else ("Warning", *verdict))
    if conditions:
        status["conditions"] = conditions
    look.client.update_status(job, status)
    for type_, reason, text in told:
        events.record(world, job, type_, reason, text, component=NAME)


def _suspended(look: Look, status: Obj, conditions: list[Any], told: list[tuple[str, str, str]]) -> list[Any]:
    world, now = look.world, condition(look.job, "Suspended")
    is_so = now is not None and now.get("status") == "True"
    if look.of_spec("suspend", False):
        if not is_so:
            told.append(("Normal", "Suspended", "Job suspended"))
            conditions = _stated(world, conditions, "Suspended", "True", "JobSuspended", "Job suspended")
        status.pop("startTime", None)
        return conditions
    if is_so:
        told.append(("Normal", "Resumed", "Job resumed"))
        conditions = _stated(world, conditions, "Suspended", "False", "JobResumed", "Job resumed")
    if "startTime" not in status:
        status["startTime"] = world.time
        if (deadline := look.of_spec("activeDeadlineSeconds", None)) is not None:
            enqueue(world, NAME, look.key, int(deadline) * 1000)
    return conditions


def _stated(
    world: World, conditions: list[Any], type_: str, status: str, reason: str, text: str
) -> list[Any]:
    new = {"type": type_, "status": status, "lastProbeTime": world.time, "reason": reason, "message": text}
    return with_condition(conditions, new, world.time)


def _clean(world: World, key: str) -> None:
    """Delete a job some time after its end."""
    job = world.cluster.store.get(_RESOURCE, *split_key(key))
    if job is None or is_deleting(job):
        return
    seconds, end = dig(job, "spec", "ttlSecondsAfterFinished"), condition(job, finished(job) or "-")
    if seconds is None or end is None:
        return
    left = epoch_ms(str(end["lastTransitionTime"])) + int(seconds) * 1000 - world.now
    if left > 0:
        enqueue(world, _TTL, key, left)
        return
    client = component_client(world, _TTL)
    client.delete(_RESOURCE, *split_key(key), propagation="Foreground", uid=job["metadata"]["uid"])


strategy.on_write(_RESOURCE, job_pods.with_selector)
register(
    Controller(
        name=NAME,
        component="kube-controller-manager",
        watches={_RESOURCE: own_key, "pods": _pods.stray_or_owned(_RESOURCE, "Job")},
        reconcile=_reconcile,
        resync=all_keys(_RESOURCE),
    )
)
register(
    Controller(
        name=_TTL,
        component="kube-controller-manager",
        watches={_RESOURCE: own_key},
        reconcile=_clean,
        resync=all_keys(_RESOURCE),
    )
)
