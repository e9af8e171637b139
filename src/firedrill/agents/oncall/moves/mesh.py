"""Policies of a mesh that say who may call: to allow those who do."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from typing import Any

from firedrill.agents.oncall.earlier import key_of
from firedrill.agents.oncall.fields import writes
from firedrill.agents.oncall.steps import Obj, Scene, Step, patch
from firedrill.agents.sleuth.case import listing, mapping

_WORKLOADS = ("Deployment", "StatefulSet", "DaemonSet")
_TRUST = "cluster.local"


def allow(scene: Scene, entity: str, why: str) -> Iterator[Step]:
    """A policy whose allowed callers somebody wrote, made to allow the workloads that call."""
    found = scene.get(entity)
    if found is None or found[1]["kind"] != "AuthorizationPolicy":
        return
    obj = found[1]
    if not writes(obj, scene.before.base) or mapping(obj, "spec").get("action") not in (None, "ALLOW"):
        return
    namespace = key_of(obj)[1]
    selector = mapping(obj, "spec", "selector", "matchLabels")
    covered = {
        key_of(item)[2]
        for item in scene.of(*_WORKLOADS, namespace=namespace)
        if selector.items() <= mapping(item, "spec", "template", "metadata", "labels").items()
    }
    principals = sorted(callers(scene, namespace, covered))
    wanted = copy.deepcopy(dict(obj))
    told = False
    for rule in listing(wanted, "spec", "rules"):
        for source in listing(rule, "from"):
            inner = source.get("source")
            if isinstance(inner, dict) and not set(principals) <= set(inner.get("principals") or ()):
                inner.clear()
                inner["principals"] = principals
                told = True
    action = patch(scene, obj, wanted) if told and principals else None
    if action is not None:
        text = f"{entity}: allow {', '.join(principals)}, who call"
        yield Step(entity, text, why, (action,), guessed=True)


def callers(scene: Scene, namespace: str, covered: set[str]) -> set[str]:
    """The identities of those who called some workloads, by what the mesh has counted."""
    out = set()
    for one in scene.found.metrics:
        labels = one.get("metric") or {}
        if labels.get("destination_workload") not in covered:
            continue
        if labels.get("destination_workload_namespace") != namespace:
            continue
        space, name = labels.get("source_workload_namespace"), labels.get("source_workload")
        identity = _identity(scene, str(space or namespace), str(name or ""))
        if identity:
            out.add(identity)
    return out


def _identity(scene: Scene, namespace: str, name: str) -> str:
    for kind in _WORKLOADS:
        found: Obj | Mapping[str, Any] | None = scene.at(kind, namespace, name)
        if found is not None:
            account = mapping(found, "spec", "template", "spec").get("serviceAccountName") or "default"
            return f"{_TRUST}/ns/{namespace}/sa/{account}"
    return ""
