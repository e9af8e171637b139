"""Quality of service of pods, and what they ask for. Source: Kubernetes documentation, Pod QoS classes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from firedrill.world.kube import quantity
from firedrill.world.kube.objects import containers_of, dig


def qos_class(spec: Mapping[str, Any]) -> str:
    """`Guaranteed`, `Burstable` or `BestEffort`."""
    guaranteed, any_set = True, False
    for container in containers_of(spec):
        for resource in ("cpu", "memory"):
            request = dig(container, "resources", "requests", resource)
            limit = dig(container, "resources", "limits", resource)
            any_set = any_set or _positive(request) or _positive(limit)
            if limit is None or (request is not None and quantity.parse(request) != quantity.parse(limit)):
                guaranteed = False
    if not any_set:
        return "BestEffort"
    return "Guaranteed" if guaranteed else "Burstable"


def _positive(text: Any) -> bool:
    return text is not None and quantity.parse(text) > 0


def limit_of(container: Mapping[str, Any], resource: str) -> int:
    """Bytes (memory) or thousandths of a core (cpu) that the container may use; 0 for no limit."""
    text = dig(container, "resources", "limits", resource)
    if text is None:
        return 0
    return quantity.milli(text) if resource == "cpu" else quantity.value(text)


def request_of(container: Mapping[str, Any], resource: str) -> int:
    """Bytes or thousandths of a core that the container asks for."""
    text = dig(container, "resources", "requests", resource)
    if text is None:
        return 0
    return quantity.milli(text) if resource == "cpu" else quantity.value(text)


def pod_memory_limit(spec: Mapping[str, Any]) -> int:
    """Bytes that the pod's own control group may use; 0 where a container has no limit."""
    limits = [limit_of(container, "memory") for container in spec.get("containers") or ()]
    if not limits or not all(limits):
        return 0
    inits = [limit_of(container, "memory") for container in spec.get("initContainers") or ()]
    return max(sum(limits), *inits) if inits else sum(limits)
