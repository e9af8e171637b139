"""The rules of ConfigMaps, Secrets, quotas, ranges, roles, autoscalers, budgets and priorities."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping

import orjson

from firedrill.world.kube import quantity
from firedrill.world.kube.objects import Obj, dig, name_of
from firedrill.world.kube.schema.check import cluster, names
from firedrill.world.kube.schema.check.fields import Errors, Go, quote
from firedrill.world.kube.schema.check.metadata import check_selector
from firedrill.world.kube.schema.check.workloads import check_int_or_percent

_LARGEST = 1024 * 1024
_FROZEN = "field is immutable when `immutable` is set"
_RBAC = "rbac.authorization.k8s.io"
_NEEDED_KEYS: Mapping[str, tuple[str, ...]] = {
    "kubernetes.io/dockercfg": (".dockercfg",),
    "kubernetes.io/dockerconfigjson": (".dockerconfigjson",),
    "kubernetes.io/tls": ("tls.crt", "tls.key"),
    "kubernetes.io/ssh-auth": ("ssh-privatekey",),
}


def check_config_map(errors: Errors, obj: Obj) -> None:
    """A ConfigMap."""
    size = 0
    texts, binary = obj.get("data") or {}, obj.get("binaryData") or {}
    for title, data in (("data", texts), ("binaryData", binary)):
        for key, value in data.items():
            for problem in names.config_key(key):
                errors.invalid(f"{title}[{key}]", key, problem)
            size += len(str(value).encode("utf-8", "surrogatepass"))
    for key in sorted(set(texts) & set(binary)):
        errors.invalid(f"data[{key}]", key, "duplicate of key present in binaryData")
    if size > _LARGEST:
        errors.too_long("[]", "", _LARGEST)


def config_map_stays(errors: Errors, new: Obj, old: Obj) -> None:
    """What was declared immutable stays."""
    if not old.get("immutable"):
        return
    if not new.get("immutable"):
        errors.forbidden("immutable", _FROZEN)
    for key in ("data", "binaryData"):
        if (new.get(key) or {}) != (old.get(key) or {}):
            errors.forbidden(key, _FROZEN)


def check_secret(errors: Errors, obj: Obj) -> None:
    """A Secret, with the keys that its type needs."""
    data = obj.get("data") or {}
    size = 0
    for key, value in data.items():
        for problem in names.config_key(key):
            errors.invalid(f"data[{key}]", key, problem)
        size += len(value) * 3 // 4
    if size > _LARGEST:
        errors.too_long("data", "", _LARGEST)
    type_ = obj.get("type")
    for key in _NEEDED_KEYS.get(str(type_), ()):
        if key not in data:
            errors.required(f"data[{key}]")
        elif key.startswith(".docker") and not _is_json(data[key]):
            errors.invalid(
                f"data[{key}]", "<secret contents redacted>", "invalid character in secret contents"
            )
    if type_ == "kubernetes.io/basic-auth" and not {"username", "password"} & set(data):
        errors.required("data[username]")
        errors.required("data[password]")
    if type_ == "kubernetes.io/service-account-token" and not dig(
        obj, "metadata", "annotations", "kubernetes.io/service-account.name"
    ):
        errors.required("metadata.annotations[kubernetes.io/service-account.name]")


def _is_json(coded: str) -> bool:
    try:
        orjson.loads(base64.b64decode(coded))
    except (ValueError, binascii.Error):
        return False
    return True


def secret_stays(errors: Errors, new: Obj, old: Obj) -> None:
    """The type of a Secret stays, and so does all that was declared immutable."""
    errors.immutable("type", new.get("type") or "", old.get("type") or "")
    config_map_stays(errors, new, old)


def check_resource_quota(errors: Errors, obj: Obj) -> None:
    """A ResourceQuota."""
    for name, amount in (dig(obj, "spec", "hard", default={})).items():
        cluster.check_quota_resource(errors, name, amount)
    cluster.check_quota_scopes(errors, obj.get("spec") or {})


def check_limit_range(errors: Errors, obj: Obj) -> None:
    """A LimitRange: least, usual and most in that order."""
    order = ("min", "defaultRequest", "default", "max")
    titles = {"min": "min", "max": "max", "default": "default", "defaultRequest": "default request"}
    seen: set[str] = set()
    for index, item in enumerate(dig(obj, "spec", "limits", default=())):
        here = f"spec.limits[{index}]"
        if not item.get("type"):
            errors.required(f"{here}.type")
        elif item["type"] in seen:
            errors.duplicate(f"{here}.type", item["type"])
        seen.add(str(item.get("type")))
        for key in ("default", "defaultRequest"):
            if item.get("type") == "Pod" and item.get(key):
                errors.forbidden(f"{here}.{key}", "may not be specified when `type` is 'Pod'")
        cluster.check_ratio(errors, here, item)
        for low_at, low in enumerate(order):
            for high in order[low_at + 1 :]:
                for name, amount in (item.get(low) or {}).items():
                    most = (item.get(high) or {}).get(name)
                    if most is not None and quantity.parse(amount) > quantity.parse(most):
                        errors.invalid(
                            f"{here}.{low}[{name}]",
                            amount,
                            f"{titles[low]} value {amount} is greater than {titles[high]} value {most}",
                        )


def check_role(errors: Errors, obj: Obj) -> None:
    """A Role or ClusterRole."""
    namespaced = obj.get("kind") == "Role"
    for index, rule in enumerate(obj.get("rules") or ()):
        here = f"rules[{index}]"
        if not rule.get("verbs"):
            errors.required(f"{here}.verbs", "verbs must contain at least one value")
        urls = rule.get("nonResourceURLs")
        if urls:
            if namespaced:
                errors.invalid(
                    f"{here}.nonResourceURLs", urls, "namespaced rules cannot apply to non-resource URLs"
                )
            if any(rule.get(key) for key in ("apiGroups", "resources", "resourceNames")):
                errors.invalid(
                    f"{here}.nonResourceURLs",
                    urls,
                    "rules cannot apply to both regular resources and non-resource URLs",
                )
            continue
        if not rule.get("apiGroups"):
            errors.required(f"{here}.apiGroups", "resource rules must supply at least one api group")
        if not rule.get("resources"):
            errors.required(f"{here}.resources", "resource rules must supply at least one resource")


def check_role_binding(errors: Errors, obj: Obj) -> None:
    """A RoleBinding or ClusterRoleBinding."""
    reference = obj.get("roleRef") or {}
    kinds = ("Role", "ClusterRole") if obj.get("kind") == "RoleBinding" else ("ClusterRole",)
    if reference.get("apiGroup") != _RBAC:
        errors.unsupported("roleRef.apiGroup", reference.get("apiGroup") or "", (_RBAC,))
    if reference.get("kind") not in kinds:
        errors.unsupported("roleRef.kind", reference.get("kind") or "", kinds)
    if not reference.get("name"):
        errors.required("roleRef.name")
    for index, subject in enumerate(obj.get("subjects") or ()):
        _check_subject(errors, f"subjects[{index}]", subject, binding=str(obj.get("kind")))


def _check_subject(errors: Errors, path: str, subject: Obj, *, binding: str) -> None:
    if not subject.get("name"):
        errors.required(f"{path}.name")
    kind, group = subject.get("kind"), subject.get("apiGroup") or ""
    if kind == "ServiceAccount":
        if subject.get("name"):
            for problem in names.problems("subdomain", subject["name"]):
                errors.invalid(f"{path}.name", subject["name"], problem)
        if group:
            errors.unsupported(f"{path}.apiGroup", group, ("",))
        if binding == "ClusterRoleBinding" and not subject.get("namespace"):
            errors.required(f"{path}.namespace")
    elif kind in {"User", "Group"}:
        if group != _RBAC:
            errors.unsupported(f"{path}.apiGroup", group, (_RBAC,))
    else:
        errors.unsupported(f"{path}.kind", kind or "", ("ServiceAccount", "User", "Group"))


def role_binding_stays(errors: Errors, new: Obj, old: Obj) -> None:
    """A binding is bound to its role for good."""
    after = new.get("roleRef") or {}
    if after != old.get("roleRef"):
        parts = (("APIGroup", "apiGroup"), ("Kind", "kind"), ("Name", "name"))
        shown = ", ".join(f"{title}:{quote(after.get(key) or '')}" for title, key in parts)
        errors.invalid("roleRef", Go(f"rbac.RoleRef{{{shown}}}"), "cannot change roleRef")


def check_autoscaler(errors: Errors, obj: Obj) -> None:
    """A HorizontalPodAutoscaler."""
    spec = obj.get("spec") or {}
    least, most = spec.get("minReplicas"), spec.get("maxReplicas") or 0
    if least is not None and least < 1:
        errors.invalid("spec.minReplicas", least, "must be greater than or equal to 1")
    if most < 1:
        errors.invalid("spec.maxReplicas", most, "must be greater than 0")
    if least is not None and most < least:
        errors.invalid("spec.maxReplicas", most, "must be greater than or equal to `minReplicas`")
    target = spec.get("scaleTargetRef") or {}
    for key in ("kind", "name"):
        if not target.get(key):
            errors.required(f"spec.scaleTargetRef.{key}")
        else:
            for problem in names.path_segment(target[key]):
                errors.invalid(f"spec.scaleTargetRef.{key}", target[key], problem)
    for index, metric in enumerate(spec.get("metrics") or ()):
        _check_metric(errors, f"spec.metrics[{index}]", metric)
    for side in ("scaleUp", "scaleDown"):
        rules = dig(spec, "behavior", side)
        if rules is not None:
            _check_scaling(errors, f"spec.behavior.{side}", rules)


_METRIC_FIELDS = {
    "ContainerResource": "containerResource",
    "External": "external",
    "Object": "object",
    "Pods": "pods",
    "Resource": "resource",
}


def _check_metric(errors: Errors, path: str, metric: Obj) -> None:
    type_ = metric.get("type")
    if not type_:
        errors.required(f"{path}.type", "must specify a metric source type")
        return
    if type_ not in _METRIC_FIELDS:
        errors.unsupported(f"{path}.type", type_, _METRIC_FIELDS)
        return
    field = _METRIC_FIELDS[type_]
    source = metric.get(field)
    if source is None:
        errors.required(f"{path}.{field}", "must populate information for the given metric source")
        return
    target = source.get("target") or {}
    here = f"{path}.{field}.target"
    if target.get("type") not in {"Utilization", "Value", "AverageValue"}:
        errors.invalid(
            f"{here}.type", target.get("type") or "", "must be either Utilization, Value, or AverageValue"
        )
    used = target.get("averageUtilization")
    if used is not None and used < 1:
        errors.invalid(f"{here}.averageUtilization", used, "must be greater than 0")
    if type_ == "Resource":
        if not source.get("name"):
            errors.required(f"{path}.{field}.name", "must specify a resource name")
        if used is None and target.get("averageValue") is None:
            errors.required(
                f"{here}.averageUtilization", "must set either a target raw value or a target utilization"
            )
        elif used is not None and target.get("averageValue") is not None:
            errors.forbidden(
                f"{here}.averageValue", "may not set both a target raw value and a target utilization"
            )


def _check_scaling(errors: Errors, path: str, rules: Obj) -> None:
    window = rules.get("stabilizationWindowSeconds")
    if window is not None and not 0 <= window <= 3600:
        errors.invalid(
            f"{path}.stabilizationWindowSeconds",
            window,
            "must be greater than or equal to zero" if window < 0 else "must be less than or equal to 3600",
        )
    errors.one_of(
        f"{path}.selectPolicy", rules.get("selectPolicy"), ("Disabled", "Max", "Min"), required=False
    )
    if not rules.get("policies"):
        errors.required(f"{path}.policies", "must specify at least one Policy")
    for index, policy in enumerate(rules.get("policies") or ()):
        here = f"{path}.policies[{index}]"
        errors.one_of(f"{here}.type", policy.get("type"), ("Percent", "Pods"))
        for key, most in (("value", None), ("periodSeconds", 1800)):
            number = policy.get(key) or 0
            if number <= 0:
                errors.invalid(f"{here}.{key}", number, "must be greater than zero")
            elif most is not None and number > most:
                errors.invalid(f"{here}.{key}", number, f"must be less than or equal to {most}")


_GO_BUDGET = Go(
    "policy.PodDisruptionBudgetSpec{MinAvailable:(*intstr.IntOrString)(0xc00a3b5d20), "
    "Selector:(*v1.LabelSelector)(0xc00a3b5d40), MaxUnavailable:(*intstr.IntOrString)(0xc00a3b5d60), "
    "UnhealthyPodEvictionPolicy:(*policy.UnhealthyPodEvictionPolicyType)(nil)}"
)
"""A real server prints the addresses of what the budget points to."""


def check_budget(errors: Errors, obj: Obj) -> None:
    """A PodDisruptionBudget."""
    spec = obj.get("spec") or {}
    least, most = spec.get("minAvailable"), spec.get("maxUnavailable")
    if least is not None and most is not None:
        errors.invalid("spec", _GO_BUDGET, "minAvailable and maxUnavailable cannot be both set")
    check_int_or_percent(errors, "spec.minAvailable", least)
    check_int_or_percent(errors, "spec.maxUnavailable", most)
    if spec.get("selector") is not None:
        check_selector(errors, "spec.selector", spec["selector"])
    policy = spec.get("unhealthyPodEvictionPolicy")
    if policy is not None and policy not in {"AlwaysAllow", "IfHealthyBudget"}:
        errors.unsupported("spec.unhealthyPodEvictionPolicy", policy, ("AlwaysAllow", "IfHealthyBudget"))


def check_priority_class(errors: Errors, obj: Obj) -> None:
    """A PriorityClass."""
    name, number = name_of(obj), obj.get("value") or 0
    if name.startswith("system-"):
        if name not in {"system-node-critical", "system-cluster-critical"}:
            errors.forbidden(
                "metadata.name", "priority class names with 'system-' prefix are reserved for system use only"
            )
    elif number > 1_000_000_000:
        errors.forbidden("value", "maximum allowed value of a user defined priority is 1000000000")
    errors.one_of("preemptionPolicy", obj.get("preemptionPolicy"), ("PreemptLowerPriority", "Never"))


def priority_class_stays(errors: Errors, new: Obj, old: Obj) -> None:
    """The value of a class stays."""
    if new.get("value") != old.get("value"):
        errors.forbidden("value", "may not be changed in an update.")
    errors.immutable("preemptionPolicy", new.get("preemptionPolicy"), old.get("preemptionPolicy"))
