"""What the pods of a workload were like before it was made anew, as far as series tell."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from firedrill.agents.oncall.earlier import key_of
from firedrill.agents.oncall.steps import Scene

_PODS = {
    "Deployment": r"-[a-z0-9]{1,10}-[a-z0-9]{5}",
    "StatefulSet": r"-\d+",
    "DaemonSet": r"-[a-z0-9]{5}",
}


@dataclass
class Former:
    """By container: its image, and limits and requests by resource; and the names of what initialised.

    ``known`` says whether there were pods at all.
    """

    known: bool = False
    images: dict[str, str] = field(default_factory=dict)
    limits: dict[str, dict[str, float]] = field(default_factory=dict)
    requests: dict[str, dict[str, float]] = field(default_factory=dict)
    initial: set[str] = field(default_factory=set)


def former(scene: Scene, obj: Mapping[str, Any]) -> Former:
    """What the series told of a workload's pods at the beginning of the window."""
    kind, namespace, name = key_of(obj)
    pattern = re.compile(re.escape(name) + _PODS.get(kind, "$^"))
    out = Former()
    figures = scene.before.figures
    if figures is None:
        return out

    def told(metric: str) -> list[tuple[Mapping[str, str], float]]:
        found = figures.at_first(metric, namespace=namespace)
        return [(labels, value) for labels, value in found if pattern.fullmatch(labels.get("pod", ""))]

    for labels, _ in told("kube_pod_container_info"):
        out.known = True
        out.images[labels.get("container", "")] = labels.get("image", "")
    for labels, _ in told("kube_pod_init_container_status_ready"):
        out.initial.add(labels.get("container", ""))
    for metric, into in (
        ("kube_pod_container_resource_limits", out.limits),
        ("kube_pod_container_resource_requests", out.requests),
    ):
        for labels, value in told(metric):
            into.setdefault(labels.get("container", ""), {})[labels.get("resource", "")] = value
    return out
