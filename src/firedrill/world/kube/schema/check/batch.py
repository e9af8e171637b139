"""The rules of Jobs and CronJobs.

Source: `pkg/apis/batch/validation`.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from firedrill.world.kube.objects import Obj, dig, name_of
from firedrill.world.kube.schema.check import names
from firedrill.world.kube.schema.check.cron import cron_problem
from firedrill.world.kube.schema.check.fields import IMMUTABLE, Errors, Go, go_map, go_selector, quote
from firedrill.world.kube.schema.check.metadata import check_selector
from firedrill.world.kube.schema.check.pods import check_template
from firedrill.world.kube.schema.check.workloads import check_match

_CONCURRENCY = ("Allow", "Forbid", "Replace")
_COUNTS = (
    "parallelism",
    "completions",
    "activeDeadlineSeconds",
    "backoffLimit",
    "ttlSecondsAfterFinished",
    "backoffLimitPerIndex",
    "maxFailedIndexes",
)
_ACTIONS = ("Count", "FailIndex", "FailJob", "Ignore")
_MOST_INDEXES = 100_000
_MOST_RULES, _MOST_PATTERNS, _MOST_CODES = 20, 20, 255
_ZONE_PART = re.compile(r"[A-Za-z.\-_0-9+]{1,14}")


def check_job(errors: Errors, obj: Obj) -> None:
    """A Job."""
    spec = obj.get("spec") or {}
    _check_spec(errors, "spec", spec)
    if spec.get("selector") is not None:
        check_selector(errors, "spec.selector", spec["selector"])
        check_match(errors, spec["selector"], spec.get("template") or {})
    completions = spec.get("completions") or 0
    if spec.get("completionMode") == "Indexed" and completions > 0:
        last = f"{name_of(obj)}-{completions - 1}"
        if names.problems("label", last):
            errors.invalid(
                "metadata.name", name_of(obj), f"will not able to create pod with invalid DNS label: {last}"
            )


def _check_spec(errors: Errors, path: str, spec: Obj) -> None:
    for key in _COUNTS:
        errors.not_negative(f"{path}.{key}", spec.get(key))
    per_index, failed = spec.get("backoffLimitPerIndex"), spec.get("maxFailedIndexes")
    if failed is not None and per_index is None:
        errors.required(f"{path}.backoffLimitPerIndex", "when maxFailedIndexes is specified")
    _check_mode(errors, path, spec)
    if spec.get("podFailurePolicy") is not None:
        _check_failure_policy(errors, f"{path}.podFailurePolicy", spec)
    replacement = spec.get("podReplacementPolicy")
    if replacement is not None:
        allowed = ("Failed",) if spec.get("podFailurePolicy") else ("Failed", "TerminatingOrFailed")
        if replacement not in allowed:
            errors.unsupported(f"{path}.podReplacementPolicy", replacement, allowed)
    template = spec.get("template")
    if template is None:
        errors.required(f"{path}.template")
        return
    check_template(errors, f"{path}.template", template)
    here = f"{path}.template.spec.restartPolicy"
    policy = dig(template, "spec", "restartPolicy")
    if policy in (None, "", "Always"):
        errors.required(here, 'valid values: "OnFailure", "Never"')
    elif policy not in {"OnFailure", "Never"}:
        errors.unsupported(here, policy, ("OnFailure", "Never"))
    elif spec.get("podFailurePolicy") is not None and policy != "Never":
        errors.invalid(here, policy, 'only "Never" is supported when podFailurePolicy is specified')


def _check_mode(errors: Errors, path: str, spec: Obj) -> None:
    mode, failed = spec.get("completionMode"), spec.get("maxFailedIndexes")
    if mode is not None and mode not in {"Indexed", "NonIndexed"}:
        errors.unsupported(f"{path}.completionMode", mode, ("NonIndexed", "Indexed"))
    if mode == "Indexed":
        total, parallel = spec.get("completions"), spec.get("parallelism")
        if total is None:
            errors.required(f"{path}.completions", "when completion mode is Indexed")
        if parallel is not None and parallel > _MOST_INDEXES:
            errors.invalid(
                f"{path}.parallelism",
                parallel,
                f"must be less than or equal to {_MOST_INDEXES} when completion mode is Indexed",
            )
        if total is not None and failed is not None and failed > total:
            errors.invalid(f"{path}.maxFailedIndexes", failed, "must be less than or equal to completions")
    elif mode in {None, "NonIndexed"}:
        for key in ("backoffLimitPerIndex", "maxFailedIndexes"):
            if spec.get(key) is not None:
                errors.invalid(f"{path}.{key}", spec[key], "requires indexed completion mode")


def _check_failure_policy(errors: Errors, path: str, spec: Obj) -> None:
    rules = dig(spec, "podFailurePolicy", "rules", default=())
    if len(rules) > _MOST_RULES:
        errors.too_many(f"{path}.rules", len(rules), _MOST_RULES)
    pod = dig(spec, "template", "spec", default={})
    containers = {item.get("name") for key in ("containers", "initContainers") for item in pod.get(key) or ()}
    for index, rule in enumerate(rules):
        here = f"{path}.rules[{index}]"
        action = rule.get("action")
        if not action:
            errors.required(f"{here}.action", f"valid values: {_listed(_ACTIONS)}")
        elif action == "FailIndex":
            if spec.get("backoffLimitPerIndex") is None:
                errors.invalid(f"{here}.action", action, "requires the backoffLimitPerIndex to be set")
        elif action not in _ACTIONS:
            errors.unsupported(f"{here}.action", action, _ACTIONS)
        codes, patterns = rule.get("onExitCodes"), rule.get("onPodConditions") or ()
        if codes is not None:
            _check_exit_codes(errors, f"{here}.onExitCodes", codes, containers)
        _check_patterns(errors, f"{here}.onPodConditions", patterns)
        if codes is not None and patterns:
            errors.wrong(here, "specifying both OnExitCodes and OnPodConditions is not supported")
        if codes is None and not patterns:
            errors.wrong(here, "specifying one of OnExitCodes and OnPodConditions is required")


def _check_patterns(errors: Errors, path: str, patterns: Sequence[Obj]) -> None:
    if len(patterns) > _MOST_PATTERNS:
        errors.too_many(path, len(patterns), _MOST_PATTERNS)
    for index, pattern in enumerate(patterns):
        here = f"{path}[{index}]"
        for problem in names.qualified(str(pattern.get("type") or "")):
            errors.invalid(f"{here}.type", pattern.get("type") or "", problem)
        status = pattern.get("status")
        if not status:
            errors.required(f"{here}.status", f"valid values: {_listed(('False', 'True', 'Unknown'))}")
        elif status not in {"False", "True", "Unknown"}:
            errors.unsupported(f"{here}.status", status, ("False", "True", "Unknown"))


def _check_exit_codes(errors: Errors, path: str, codes: Obj, containers: Collection[Any]) -> None:
    operator, values = codes.get("operator"), codes.get("values") or ()
    if not operator:
        errors.required(f"{path}.operator", f"valid values: {_listed(('In', 'NotIn'))}")
    elif operator not in {"In", "NotIn"}:
        errors.unsupported(f"{path}.operator", operator, ("In", "NotIn"))
    name = codes.get("containerName")
    if name is not None and name not in containers:
        errors.invalid(
            f"{path}.containerName",
            name,
            "must be one of the container or initContainer names in the pod template",
        )
    here = f"{path}.values"
    if not values:
        errors.invalid(here, Go("[]int32(nil)"), "at least one value is required")
    elif len(values) > _MOST_CODES:
        errors.too_many(here, len(values), _MOST_CODES)
    seen: set[int] = set()
    for index, value in enumerate(values):
        if operator == "In" and value == 0:
            errors.invalid(f"{here}[{index}]", value, "must not be 0 for the In operator")
        if value in seen:
            errors.duplicate(f"{here}[{index}]", value)
        seen.add(value)
    if any(after < before for before, after in pairwise(values)):
        shown = ", ".join(str(value) for value in values)
        errors.invalid(here, Go(f"[]int32{{{shown}}}"), "must be ordered")


def _listed(items: Sequence[str]) -> str:
    return "[" + " ".join(quote(item) for item in items) + "]"


def job_stays(errors: Errors, new: Obj, old: Obj) -> None:
    """What of a Job may not change. A suspended Job that has not started may get other placement."""
    after, before = new.get("spec") or {}, old.get("spec") or {}
    _completions_stay(errors, after, before)
    errors.immutable(
        "spec.selector", after.get("selector"), before.get("selector"), go_selector(after.get("selector"))
    )
    free = before.get("suspend") and not dig(old, "status", "startTime")
    now, was = after.get("template") or {}, before.get("template") or {}
    if free:
        now, was = _without_placement(now), _without_placement(was)
    if now != was:
        errors.invalid("spec.template", _go_template(after.get("template") or {}), IMMUTABLE)
    for key in ("completionMode", "podFailurePolicy", "backoffLimitPerIndex"):
        shown = Go("batch.PodFailurePolicy{…}") if key == "podFailurePolicy" and after.get(key) else None
        errors.immutable(f"spec.{key}", after.get(key), before.get(key), shown)


def _completions_stay(errors: Errors, after: Obj, before: Obj) -> None:
    new, old = after.get("completions"), before.get("completions")
    if after.get("completionMode") != "Indexed":
        errors.immutable("spec.completions", new, old)
    elif new is not None and new != old and new != after.get("parallelism"):
        errors.invalid("spec.completions", new, "can only be modified in tandem with spec.parallelism")


def _without_placement(template: Obj) -> Obj:
    """A template but for what a Job that has not started may still change."""
    spec = {
        key: value
        for key, value in (template.get("spec") or {}).items()
        if key not in {"nodeSelector", "tolerations", "schedulingGates"}
    }
    affinity = spec.pop("affinity", None) or {}
    affinity = {key: value for key, value in affinity.items() if key != "nodeAffinity"}
    meta = {
        key: value
        for key, value in (template.get("metadata") or {}).items()
        if key not in {"labels", "annotations"}
    }
    return {**template, "metadata": meta, "spec": {**spec, "affinity": affinity}}


def _go_template(template: Obj) -> Go:
    labels = go_map(dig(template, "metadata", "labels"))
    meta = f'v1.ObjectMeta{{Name:"", Labels:{labels}}}'
    return Go(f"core.PodTemplateSpec{{ObjectMeta:{meta}, Spec:core.PodSpec{{…}}}}")


def check_cron_job(errors: Errors, obj: Obj) -> None:
    """A new CronJob; its name leaves room for the suffix of its Jobs."""
    _check_cron_spec(errors, obj.get("spec") or {}, None)
    if len(name_of(obj)) > 52:
        errors.invalid("metadata.name", name_of(obj), "must be no more than 52 characters")


def check_cron_job_change(errors: Errors, new: Obj, old: Obj) -> None:
    """A changed CronJob; what it already had is not held against rules that came later."""
    _check_cron_spec(errors, new.get("spec") or {}, old.get("spec") or {})


def _check_cron_spec(errors: Errors, spec: Obj, old: Obj | None) -> None:
    schedule = str(spec.get("schedule") or "")
    if not schedule:
        errors.required("spec.schedule")
    else:
        if problem := cron_problem(schedule):
            errors.invalid("spec.schedule", schedule, problem)
        if "TZ" in schedule and "TZ" not in str((old or {}).get("schedule") or ""):
            errors.invalid(
                "spec.schedule",
                schedule,
                "cannot use TZ or CRON_TZ in schedule, use timeZone field instead",
            )
    errors.not_negative("spec.startingDeadlineSeconds", spec.get("startingDeadlineSeconds"))
    zone = spec.get("timeZone")
    if zone is not None and (old is None or old.get("timeZone") != zone):
        _check_zone(errors, "spec.timeZone", str(zone))
    errors.one_of("spec.concurrencyPolicy", spec.get("concurrencyPolicy"), _CONCURRENCY)
    job = dig(spec, "jobTemplate", "spec", default={})
    _check_spec(errors, "spec.jobTemplate.spec", job)
    if job.get("selector") is not None:
        shown = go_selector(job["selector"])
        errors.invalid("spec.jobTemplate.spec.selector", shown, "`selector` will be auto-generated")
    if job.get("manualSelector"):
        errors.unsupported("spec.jobTemplate.spec.manualSelector", True, ("nil", "false"))
    for key in ("successfulJobsHistoryLimit", "failedJobsHistoryLimit"):
        errors.not_negative(f"spec.{key}", spec.get(key))


def _check_zone(errors: Errors, path: str, zone: str) -> None:
    if not zone:
        errors.invalid(path, zone, "timeZone must be nil or non-empty string")
        return
    parts = zone.split("/")
    if any(p in {".", ".."} or p.startswith("-") or _ZONE_PART.fullmatch(p) is None for p in parts):
        errors.invalid(path, zone, f"unknown time zone {zone}")
        return
    if zone.lower() == "local":
        errors.invalid(
            path,
            zone,
            "timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones",
        )
    elif not _known_zone(zone):
        errors.invalid(path, zone, f"unknown time zone {zone}")


@lru_cache(maxsize=1024)
def _known_zone(zone: str) -> bool:
    try:
        ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True
