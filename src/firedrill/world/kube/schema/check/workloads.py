"""The rules of Deployments, ReplicaSets, StatefulSets and DaemonSets."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from firedrill.world.kube import selectors
from firedrill.world.kube.objects import Obj, dig
from firedrill.world.kube.schema.check import names
from firedrill.world.kube.schema.check.fields import Errors, Go, go_map, go_selector
from firedrill.world.kube.schema.check.metadata import check_annotations, check_labels, check_selector
from firedrill.world.kube.schema.check.pods import check_template

_PERCENT = re.compile(r"[0-9]{1,9}%")


def _check_owner(errors: Errors, spec: Obj, kind: str, *, active_kind: str = "ReplicaSet") -> None:
    """Selector and template of what keeps pods running."""
    check_selector(errors, "spec.selector", spec.get("selector"), kind=kind, empty=False)
    template = spec.get("template")
    if template is None:
        errors.required("spec.template")
        return
    check_match(errors, spec.get("selector"), template)
    if active_kind == "StatefulSet":
        # Its volumes are complete only with the claims of each pod: the API server leaves the rest to them.
        labels, annotations = (dig(template, "metadata", key) for key in ("labels", "annotations"))
        check_labels(errors, "spec.template.labels", labels)
        check_annotations(errors, "spec.template.annotations", annotations)
    else:
        check_template(errors, "spec.template", template)
    policy = dig(template, "spec", "restartPolicy")
    if policy != "Always":
        errors.unsupported("spec.template.spec.restartPolicy", policy or "", ("Always",))
    if dig(template, "spec", "activeDeadlineSeconds") is not None:
        errors.forbidden(
            "spec.template.spec.activeDeadlineSeconds",
            f"activeDeadlineSeconds in {active_kind} is not Supported",
        )


def check_match(errors: Errors, selector: Mapping[str, Any] | None, template: Obj) -> None:
    """The labels of a template answer to the selector beside it."""
    if selector is not None and not any(selector.values()):
        return
    labels = dig(template, "metadata", "labels", default={})
    try:
        matched = selectors.selects(selector, labels)
    except (selectors.SelectorError, KeyError):
        return  # a broken selector has been named already
    if not matched:
        errors.invalid(
            "spec.template.metadata.labels",
            go_map(labels or None),
            "`selector` does not match template `labels`",
        )


def _go_int_or_string(value: Any) -> Go:
    if isinstance(value, str):
        return Go(f'intstr.IntOrString{{Type:1, IntVal:0, StrVal:"{value}"}}')
    return Go(f'intstr.IntOrString{{Type:0, IntVal:{value}, StrVal:""}}')


def check_int_or_percent(errors: Errors, path: str, value: Any) -> int | None:
    """A count or a percentage; gives its number, None where it has none."""
    if isinstance(value, str):
        if _PERCENT.fullmatch(value) is None:
            for problem in names.problems("percent", value):
                errors.invalid(path, _go_int_or_string(value), problem)
            return None
        number = int(value[:-1])
        if number > 100:
            errors.invalid(path, _go_int_or_string(value), "must not be greater than 100%")
        return number
    if isinstance(value, int):
        errors.not_negative(path, value)
        return value
    return None


def check_deployment(errors: Errors, obj: Obj) -> None:
    """A Deployment."""
    spec = obj.get("spec") or {}
    errors.not_negative("spec.replicas", spec.get("replicas"))
    _check_owner(errors, spec, "deployment")
    strategy = spec.get("strategy") or {}
    rolling = strategy.get("rollingUpdate")
    here = "spec.strategy"
    if strategy.get("type") == "Recreate":
        if rolling is not None:
            errors.forbidden(
                f"{here}.rollingUpdate", "may not be specified when strategy `type` is 'Recreate'"
            )
    else:
        errors.one_of(f"{here}.type", strategy.get("type"), ("Recreate", "RollingUpdate"))
        if strategy.get("type") == "RollingUpdate" and rolling is not None:
            down = check_int_or_percent(
                errors, f"{here}.rollingUpdate.maxUnavailable", rolling.get("maxUnavailable")
            )
            up = check_int_or_percent(errors, f"{here}.rollingUpdate.maxSurge", rolling.get("maxSurge"))
            if down == 0 and up == 0:
                errors.invalid(
                    f"{here}.rollingUpdate.maxUnavailable",
                    _go_int_or_string(rolling["maxUnavailable"]),
                    "may not be 0 when `maxSurge` is 0",
                )
    for key in ("minReadySeconds", "revisionHistoryLimit", "progressDeadlineSeconds"):
        errors.not_negative(f"spec.{key}", spec.get(key))
    deadline = spec.get("progressDeadlineSeconds")
    if deadline is not None and deadline <= (spec.get("minReadySeconds") or 0):
        errors.invalid("spec.progressDeadlineSeconds", deadline, "must be greater than minReadySeconds")


def check_replica_set(errors: Errors, obj: Obj) -> None:
    """A ReplicaSet."""
    spec = obj.get("spec") or {}
    errors.not_negative("spec.replicas", spec.get("replicas"))
    errors.not_negative("spec.minReadySeconds", spec.get("minReadySeconds"))
    _check_owner(errors, spec, "deployment")


def check_replication_controller(errors: Errors, obj: Obj) -> None:
    """A ReplicationController, whose selector is a plain map."""
    spec = obj.get("spec") or {}
    errors.not_negative("spec.replicas", spec.get("replicas"))
    if not spec.get("selector"):
        errors.required("spec.selector")
    template = spec.get("template")
    if template is None:
        errors.required("spec.template")
        return
    check_match(errors, {"matchLabels": spec.get("selector") or {}}, template)
    check_template(errors, "spec.template", template)


def check_stateful_set(errors: Errors, obj: Obj) -> None:
    """A StatefulSet."""
    spec = obj.get("spec") or {}
    policy = spec.get("podManagementPolicy")
    if policy not in {"OrderedReady", "Parallel"}:
        errors.invalid("spec.podManagementPolicy", policy or "", "must be 'OrderedReady' or 'Parallel'")
    strategy = (spec.get("updateStrategy") or {}).get("type")
    if strategy not in {"RollingUpdate", "OnDelete"}:
        errors.invalid("spec.updateStrategy", strategy or "", "must be 'RollingUpdate' or 'OnDelete'")
    errors.not_negative("spec.replicas", spec.get("replicas"))
    errors.not_negative("spec.minReadySeconds", spec.get("minReadySeconds"))
    _check_owner(errors, spec, "statefulset", active_kind="StatefulSet")


def check_daemon_set(errors: Errors, obj: Obj) -> None:
    """A DaemonSet."""
    spec = obj.get("spec") or {}
    _check_owner(errors, spec, "daemonset", active_kind="DaemonSet")
    errors.one_of(
        "spec.updateStrategy.type", dig(spec, "updateStrategy", "type"), ("RollingUpdate", "OnDelete")
    )
    errors.not_negative("spec.minReadySeconds", spec.get("minReadySeconds"))
    rolling = dig(spec, "updateStrategy", "rollingUpdate")
    if dig(spec, "updateStrategy", "type") != "RollingUpdate":
        return
    here = "spec.updateStrategy.rollingUpdate"
    if rolling is None:
        errors.required(here)
        return
    down = check_int_or_percent(errors, f"{here}.maxUnavailable", rolling.get("maxUnavailable"))
    up = check_int_or_percent(errors, f"{here}.maxSurge", rolling.get("maxSurge"))
    if down and up:
        shown = _go_int_or_string(rolling["maxSurge"])
        errors.invalid(f"{here}.maxSurge", shown, "may not be set when maxUnavailable is non-zero")
    elif not down and not up:
        errors.required(f"{here}.maxUnavailable", "cannot be 0 when maxSurge is 0")


def selector_stays(errors: Errors, new: Obj, old: Obj) -> None:
    """The selector of a workload never changes."""
    after, before = dig(new, "spec", "selector"), dig(old, "spec", "selector")
    errors.immutable("spec.selector", after, before, go_selector(after))


_STATEFUL_FREE = frozenset(
    {
        "replicas",
        "ordinals",
        "template",
        "updateStrategy",
        "persistentVolumeClaimRetentionPolicy",
        "minReadySeconds",
    }
)


def stateful_stays(errors: Errors, new: Obj, old: Obj) -> None:
    """What of a StatefulSet may change."""
    kept = [
        {key: value for key, value in (obj.get("spec") or {}).items() if key not in _STATEFUL_FREE}
        for obj in (new, old)
    ]
    if kept[0] != kept[1]:
        errors.forbidden(
            "spec",
            "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', "
            "'updateStrategy', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden",
        )
