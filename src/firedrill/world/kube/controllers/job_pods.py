"""The pods of a job: how they are labelled and counted, and what their failures mean.

Source: kube-controller-manager 1.31, `pkg/controller/job`; the job strategy of the API server.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from firedrill.world.kube.controllers import _pods
from firedrill.world.kube.objects import (
    Obj,
    annotations_of,
    dig,
    is_deleting,
    meta,
    name_of,
    namespace_of,
    uid_of,
    with_path,
)
from firedrill.world.sim.clock import epoch_ms

if TYPE_CHECKING:
    from firedrill.world.world import World

TRACKING = "batch.kubernetes.io/job-tracking"
INDEX = "batch.kubernetes.io/job-completion-index"
FAILURES = "batch.kubernetes.io/job-index-failure-count"
_UID, _NAME = "batch.kubernetes.io/controller-uid", "batch.kubernetes.io/job-name"
_RUN = re.compile(r"(\d{1,10})(?:-(\d{1,10}))?", re.ASCII)
_MOST_INDEXES = 200_000
_BACK_OFF, _BACK_OFF_MAX = 10_000, 600_000


def with_selector(_: World, new: Obj, old: Obj | None) -> Obj:
    """A new job with the labels and the selector that tell its pods from those of all others."""
    if old is not None or dig(new, "spec", "manualSelector"):
        return new
    uid, name = uid_of(new), name_of(new)
    labels = dict(dig(new, "spec", "template", "metadata", "labels", default={}))
    labels |= {_UID: uid, _NAME: name, "controller-uid": uid, "job-name": name}
    new = with_path(new, ("spec", "template", "metadata", "labels"), labels)
    given = dig(new, "spec", "selector", default={})
    matched = {**(given.get("matchLabels") or {}), _UID: uid}
    return with_path(new, ("spec", "selector"), {**given, "matchLabels": matched})


def is_indexed(job: Mapping[str, Any]) -> bool:
    """Whether each completion has a number."""
    return bool(dig(job, "spec", "completionMode") == "Indexed")


def index_of(pod: Mapping[str, Any]) -> int | None:
    """The number of the completion that the pod works on."""
    text = str(annotations_of(pod).get(INDEX, ""))
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None


def pod_for(job: Obj, index: int | None, failures: int = 0) -> Obj:
    """A new pod of the job."""
    pod = _pods.pod_from(dig(job, "spec", "template", default={}), job)
    metadata = pod["metadata"]
    metadata["finalizers"] = [*(metadata.get("finalizers") or ()), TRACKING]
    if index is None:
        return pod
    metadata["generateName"] = f"{name_of(job)}-{index}-"
    notes = {**(metadata.get("annotations") or {}), INDEX: str(index)}
    if dig(job, "spec", "backoffLimitPerIndex") is not None:
        notes[FAILURES] = str(failures)
    metadata["annotations"] = notes
    metadata["labels"] = {**(metadata.get("labels") or {}), INDEX: str(index)}
    source = {"fieldRef": {"fieldPath": f"metadata.labels['{INDEX}']"}}
    variable = {"name": "JOB_COMPLETION_INDEX", "valueFrom": source}
    spec = {**pod["spec"], "hostname": f"{name_of(job)}-{index}"}
    for key in ("initContainers", "containers"):
        if spec.get(key):
            spec[key] = [_with_variable(item, variable) for item in spec[key]]
    return {**pod, "spec": spec}


def _with_variable(container: Mapping[str, Any], variable: Obj) -> Obj:
    env = list(container.get("env") or ())
    if any(item.get("name") == variable["name"] for item in env):
        return dict(container)
    return {**container, "env": [*env, variable]}


def is_tracked(pod: Mapping[str, Any]) -> bool:
    """Whether the pod has not been counted yet."""
    return TRACKING in (meta(pod).get("finalizers") or ())


def has_failed(job: Mapping[str, Any], pod: Mapping[str, Any]) -> bool:
    """Whether the pod counts as failed: one that is deleted before its end does, without a policy."""
    if dig(pod, "status", "phase") == "Failed":
        return True
    if dig(job, "spec", "podFailurePolicy") is not None:
        return False
    return is_deleting(pod) and dig(pod, "status", "phase") != "Succeeded"


def policy_for(job: Mapping[str, Any], pod: Mapping[str, Any]) -> tuple[str, str]:
    """(action, message) of the first rule that a failed pod meets; (`Count`, ``) where none does."""
    for number, rule in enumerate(dig(job, "spec", "podFailurePolicy", "rules", default=())):
        action = str(rule.get("action"))
        where = f"{namespace_of(pod)}/{name_of(pod)}"
        end = f"matching {action} rule at index {number}"
        if rule.get("onExitCodes"):
            found = _exit(rule["onExitCodes"], pod)
            if found is not None:
                name, code = found
                return action, f"Container {name} for pod {where} failed with exit code {code} {end}"
        for wanted in rule.get("onPodConditions") or ():
            for item in dig(pod, "status", "conditions", default=()):
                same = item.get("status") == (wanted.get("status") or "True")
                if item.get("type") == wanted.get("type") and same:
                    return action, f"Pod {where} has condition {item['type']} {end}"
    return "Count", ""


def _exit(rule: Mapping[str, Any], pod: Mapping[str, Any]) -> tuple[str, int] | None:
    values = set(rule.get("values") or ())
    inside = rule.get("operator") == "In"
    for key in ("containerStatuses", "initContainerStatuses"):
        for status in dig(pod, "status", key, default=()):
            if rule.get("containerName") and status.get("name") != rule["containerName"]:
                continue
            code = dig(status, "state", "terminated", "exitCode", default=0)
            if code and (code in values) == inside:
                return str(status.get("name")), int(code)
    return None


def ended_at(pod: Mapping[str, Any], now: int) -> int:
    """When the pod ended, in ms."""
    times = [
        dig(status, "state", "terminated", "finishedAt")
        for status in dig(pod, "status", "containerStatuses", default=())
    ]
    if times and all(times):
        return max(epoch_ms(str(item)) for item in times)
    return now


def back_off(pods: Iterable[Mapping[str, Any]], job: Mapping[str, Any], now: int) -> int:
    """In how many ms the next pod may be made, after failures without a success in between."""
    over = [
        (ended_at(pod, now), dig(pod, "status", "phase") == "Succeeded")
        for pod in pods
        if dig(pod, "status", "phase") == "Succeeded" or has_failed(job, pod)
    ]
    failures, last = 0, 0
    for when, well in sorted(over):
        failures = 0 if well else failures + 1
        last = when
    if not failures:
        return 0
    wait = min(_BACK_OFF * 2 ** min(failures - 1, 20), _BACK_OFF_MAX)
    return int(max(last + wait - now, 0))


def restarts_of(pods: Iterable[Mapping[str, Any]]) -> int:
    """The restarts of all containers of pods that are not over."""
    total = 0
    for pod in pods:
        if dig(pod, "status", "phase") in {"Running", "Pending"}:
            for key in ("initContainerStatuses", "containerStatuses"):
                total += sum(
                    int(item.get("restartCount") or 0) for item in dig(pod, "status", key, default=())
                )
    return total


def read_runs(text: str) -> list[range]:
    """The runs of numbers in `1,3-5`; what cannot be read is left out."""
    out = []
    for match in filter(None, map(_RUN.fullmatch, text.split(","))):
        first, last = int(match[1]), int(match[2] or match[1])
        if first <= last:
            out.append(range(first, last + 1))
    return out


def read_indexes(text: str) -> set[int]:
    """The numbers in `1,3-5`: no more of them than a job can have pods in its life."""
    out: set[int] = set()
    for run in read_runs(text):
        out.update(run[: max(_MOST_INDEXES - len(out), 0)])
    return out


def write_indexes(numbers: Iterable[int]) -> str:
    """Numbers as `1,3-5`; two in a row are `1,2`, as the job controller writes them."""
    runs: list[list[int]] = []
    for number in sorted(set(numbers)):
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    out = []
    for first, last in runs:
        out.append(str(first) if first == last else f"{first}{',' if last == first + 1 else '-'}{last}")
    return ",".join(out)


def surplus(pods: Sequence[Obj], world: World, count: int) -> list[Obj]:
    """Which active pods go when there are so many too many."""
    seen: set[int] = set()
    twins: list[Obj] = []
    rest: list[Obj] = []
    for pod in _pods.deletion_order(world, pods, {}):
        number = index_of(pod)
        (twins if number is not None and number in seen else rest).append(pod)
        if number is not None:
            seen.add(number)
    highest = sorted(rest, key=lambda pod: -(index_of(pod) or 0)) if seen else rest
    return (twins + highest)[:count]
