"""What objects count for in a ResourceQuota, in thousandths, by the names that quotas use."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from firedrill.world.kube.objects import annotations_of, dig, is_deleting
from firedrill.world.kube.quantity import from_bytes, from_milli, milli, parse

Usage = dict[str, int]

_COUNTED = frozenset(
    {
        "pods",
        "services",
        "replicationcontrollers",
        "resourcequotas",
        "secrets",
        "configmaps",
        "persistentvolumeclaims",
    }
)
_COMPUTE = frozenset({"cpu", "memory", "ephemeral-storage"})
_ONE = 1000


def usage_of(resource: str, obj: Mapping[str, Any]) -> Usage:
    """What one object counts for; nothing for a pod that has ended.

    Args:
        resource: as in `deployments.apps`.
        obj: the object.
    """
    out: Usage = {f"count/{resource}": _ONE}
    if resource in _COUNTED:
        out[resource] = _ONE
    if resource == "pods":
        return _pod(obj, out)
    if resource == "services":
        out.update(_service(obj))
    elif resource == "persistentvolumeclaims":
        out.update(_claim(obj))
    return out


def _pod(pod: Mapping[str, Any], out: Usage) -> Usage:
    from firedrill.world.kube.admission.limits import pod_total

    if not counts(pod):
        return {"count/pods": _ONE}
    spec = pod.get("spec") or {}
    for name, amount in pod_total(spec, "requests").items():
        if name in _COMPUTE or name.startswith("hugepages-"):
            out[name] = amount
        if name in _COMPUTE or "/" in name or name.startswith("hugepages-"):
            out[f"requests.{name}"] = amount
    for name, amount in pod_total(spec, "limits").items():
        if name in _COMPUTE:
            out[f"limits.{name}"] = amount
    return out


def counts(pod: Mapping[str, Any]) -> bool:
    """Whether a pod still counts: it has not ended, nor is it stuck on its way out."""
    if dig(pod, "status", "phase") in ("Succeeded", "Failed"):
        return False
    return not (is_deleting(pod) and dig(pod, "metadata", "deletionGracePeriodSeconds") == 0)


def _service(service: Mapping[str, Any]) -> Usage:
    spec = service.get("spec") or {}
    kind, ports = spec.get("type", "ClusterIP"), spec.get("ports") or ()
    if kind == "NodePort":
        return {"services.nodeports": len(ports) * _ONE}
    if kind == "LoadBalancer":
        given = sum(1 for port in ports if port.get("nodePort"))
        allocate = spec.get("allocateLoadBalancerNodePorts") is not False
        return {
            "services.loadbalancers": _ONE,
            "services.nodeports": (len(ports) if allocate else given) * _ONE,
        }
    return {}


def _claim(claim: Mapping[str, Any]) -> Usage:
    out: Usage = {}
    amount = dig(claim, "spec", "resources", "requests", "storage")
    if amount is not None:
        out["requests.storage"] = milli(amount)
    storage_class = annotations_of(claim).get("volume.beta.kubernetes.io/storage-class") or dig(
        claim, "spec", "storageClassName"
    )
    if storage_class:
        tail = f"{storage_class}.storageclass.storage.k8s.io"
        out[f"{tail}/persistentvolumeclaims"] = _ONE
        if amount is not None:
            out[f"{tail}/requests.storage"] = milli(amount)
    return out


def required(name: str) -> tuple[str, str] | None:
    """The part and resource that every container must state where a quota limits this name; else None."""
    if name in _COMPUTE - {"ephemeral-storage"}:
        return "requests", name
    part, _, resource = name.partition(".")
    if part in ("requests", "limits") and resource in ("cpu", "memory"):
        return part, resource
    return None


def missing(pod: Mapping[str, Any], names: Iterable[str]) -> list[str]:
    """`limits.cpu for: a,b` for each limited name that containers of the pod do not state."""
    out = []
    for name in sorted(names):
        wanted = required(name)
        if wanted is None:
            continue
        spec = pod.get("spec") or {}
        without = sorted(
            str(item.get("name"))
            for item in [*(spec.get("containers") or ()), *(spec.get("initContainers") or ())]
            if wanted[1] not in dig(item, "resources", wanted[0], default={})
        )
        if without:
            out.append(f"{name} for: {','.join(without)}")
    return out


def show(name: str, thousandths: int) -> str:
    """An amount as a quota prints it: bytes with binary suffixes, everything else decimal."""
    if thousandths % 1000 == 0 and ("memory" in name or "storage" in name or "hugepages" in name):
        return from_bytes(thousandths // 1000)
    return from_milli(thousandths)


# --- scopes


def matches_scopes(quota: Mapping[str, Any], resource: str, obj: Mapping[str, Any]) -> bool:
    """Whether a quota's scopes take in the object."""
    spec = quota.get("spec") or {}
    scopes = [{"scopeName": name, "operator": "Exists"} for name in spec.get("scopes") or ()]
    scopes += dig(spec, "scopeSelector", "matchExpressions", default=())
    if not scopes:
        return True
    return resource == "pods" and all(_in_scope(item, obj) for item in scopes)


def _in_scope(item: Mapping[str, Any], pod: Mapping[str, Any]) -> bool:
    name, spec = item.get("scopeName"), pod.get("spec") or {}
    if name in ("Terminating", "NotTerminating"):
        return (spec.get("activeDeadlineSeconds") is not None) is (name == "Terminating")
    if name in ("BestEffort", "NotBestEffort"):
        return _best_effort(spec) is (name == "BestEffort")
    if name == "CrossNamespacePodAffinity":
        return _crosses(spec)
    if name == "PriorityClass":
        here, operator = spec.get("priorityClassName") or "", item.get("operator")
        if operator == "Exists":
            return bool(here)
        if operator == "DoesNotExist":
            return not here
        return (here in (item.get("values") or ())) is (operator == "In")
    return False


def _best_effort(spec: Mapping[str, Any]) -> bool:
    return not any(
        parse(amount)
        for container in [*(spec.get("containers") or ()), *(spec.get("initContainers") or ())]
        for part in ("requests", "limits")
        for name, amount in dig(container, "resources", part, default={}).items()
        if name in ("cpu", "memory")
    )


def _crosses(spec: Mapping[str, Any]) -> bool:
    for kind in ("podAffinity", "podAntiAffinity"):
        terms = list(
            dig(spec, "affinity", kind, "requiredDuringSchedulingIgnoredDuringExecution", default=())
        )
        soft = dig(spec, "affinity", kind, "preferredDuringSchedulingIgnoredDuringExecution", default=())
        terms += [item.get("podAffinityTerm") or {} for item in soft]
        if any(term.get("namespaces") or term.get("namespaceSelector") is not None for term in terms):
            return True
    return False


def total_of(quota: Mapping[str, Any], objects: Iterable[tuple[str, Mapping[str, Any]]]) -> Usage:
    """What (resource, object) pairs use of a quota, for every name that it limits.

    This is what the quota controller counts anew.
    """
    hard = dig(quota, "spec", "hard", default={})
    out: Usage = dict.fromkeys(hard, 0)
    for resource, obj in objects:
        if matches_scopes(quota, resource, obj):
            for name, amount in usage_of(resource, obj).items():
                if name in out:
                    out[name] += amount
    return out


def resources_of(names: Iterable[str]) -> list[str]:
    """The resources whose objects matter for these names, sorted."""
    out = set()
    for name in names:
        if name.startswith("count/"):
            out.add(name.removeprefix("count/"))
        elif name.startswith("services."):
            out.add("services")
        elif name.endswith(("persistentvolumeclaims", "requests.storage")):
            out.add("persistentvolumeclaims")
        elif name in _COUNTED:
            out.add(name)
        else:
            out.add("pods")
    return sorted(out)
