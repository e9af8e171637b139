"""Plugins about where a pod runs and how important it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from firedrill.world.kube.admission.base import Attributes, Base
from firedrill.world.kube.api.errors import forbidden
from firedrill.world.kube.objects import Obj, dig, name_of, with_path

_CLASSES = "priorityclasses.scheduling.k8s.io"
_SYSTEM = {"system-cluster-critical": 2_000_000_000, "system-node-critical": 2_000_001_000}


class Priority(Base):
    """Turns the name of a priority class into a number."""

    name = "Priority"

    def admit(self, a: Attributes) -> Obj | None:
        """Fill in the priority of a new pod."""
        if not a.creates("pods") or a.obj is None:
            return None
        spec = a.obj.get("spec") or {}
        name = spec.get("priorityClassName") or ""
        name, value, policy = _class(a, name)
        given, wanted = spec.get("priority"), spec.get("preemptionPolicy")
        tail = "from the given PriorityClass name"
        if given is not None and given != value:
            raise a.forbidden(
                f"the integer value of priority ({given}) must not be provided in pod spec; "
                f"priority admission controller computed {value} {tail}",
                generated=True,
            )
        if wanted is not None and wanted != policy:
            raise a.forbidden(
                f"the string value of PreemptionPolicy ({wanted}) must not be provided in pod spec; "
                f"priority admission controller computed {policy} {tail}",
                generated=True,
            )
        spec = {**spec, "priority": value, "preemptionPolicy": policy}
        if name:
            spec["priorityClassName"] = name
        return {**a.obj, "spec": spec}

    def validate(self, a: Attributes) -> tuple[str, ...]:
        """Refuse a second default class."""
        if a.resource == _CLASSES and a.obj is not None and a.obj.get("globalDefault"):
            for other in a.store.list(_CLASSES):
                if other.get("globalDefault") and name_of(other) != name_of(a.obj):
                    raise forbidden(
                        _CLASSES,
                        name_of(a.obj),
                        f"PriorityClass {name_of(other)} is already marked as default. "
                        "Only one default can exist",
                    )
        return ()


def _class(a: Attributes, name: str) -> tuple[str, int, str]:
    default_policy = "PreemptLowerPriority"
    if not name:
        defaults = [item for item in a.store.list(_CLASSES) if item.get("globalDefault")]
        if not defaults:
            return "", 0, default_policy
        found = min(defaults, key=lambda item: int(item["value"]))
    else:
        stored = a.store.get(_CLASSES, "", name)
        if stored is None and name in _SYSTEM:
            return name, _SYSTEM[name], default_policy
        if stored is None:
            raise a.forbidden(f"no PriorityClass with name {name} was found", generated=True)
        found = stored
    return name_of(found), int(found["value"]), found.get("preemptionPolicy") or default_policy


_EVICTING = ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable")
_PATIENCE_SECONDS = 300


class DefaultTolerationSeconds(Base):
    """Pods stay for five minutes on a node that has gone silent."""

    name = "DefaultTolerationSeconds"

    def admit(self, a: Attributes) -> Obj | None:
        """Add the two tolerations where the pod says nothing."""
        if not a.creates("pods") or a.obj is None:
            return None
        given = list(dig(a.obj, "spec", "tolerations", default=()))
        added = [
            {"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": _PATIENCE_SECONDS}
            for key in _EVICTING
            if not any(_covers(item, key) for item in given)
        ]
        return with_path(a.obj, ("spec", "tolerations"), given + added) if added else None


def _covers(toleration: Mapping[str, Any], key: str) -> bool:
    return (toleration.get("key") or key) == key and toleration.get("effect") in (None, "", "NoExecute")


class TaintNodesByCondition(Base):
    """A new node takes no pods until it is known to be ready."""

    name = "TaintNodesByCondition"

    def admit(self, a: Attributes) -> Obj | None:
        """Taint a new node."""
        if not a.creates("nodes") or a.obj is None:
            return None
        taint = {"key": _EVICTING[0], "effect": "NoSchedule"}
        given = list(dig(a.obj, "spec", "taints", default=()))
        if any(item.get("key") == taint["key"] and item.get("effect") == "NoSchedule" for item in given):
            return None
        return with_path(a.obj, ("spec", "taints"), [*given, taint])


class RuntimeClass(Base):
    """Overhead and placement of pods that ask for another container runtime."""

    name = "RuntimeClass"

    def admit(self, a: Attributes) -> Obj | None:
        """Copy the class's overhead, node selector and tolerations into the pod."""
        if not a.creates("pods") or a.obj is None:
            return None
        spec = a.obj.get("spec") or {}
        name = spec.get("runtimeClassName")
        if not name:
            if spec.get("overhead"):
                raise a.forbidden(
                    "pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead",
                    generated=True,
                )
            return None
        found = a.store.get("runtimeclasses.node.k8s.io", "", name)
        if found is None:
            raise a.forbidden(f'pod rejected: RuntimeClass "{name}" not found', generated=True)
        overhead = dig(found, "overhead", "podFixed")
        if spec.get("overhead") and spec["overhead"] != overhead:
            raise a.forbidden(
                "pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead", generated=True
            )
        return {
            **a.obj,
            "spec": self._placed(a, {**spec, **({"overhead": overhead} if overhead else {})}, found),
        }

    def _placed(self, a: Attributes, spec: Obj, found: Mapping[str, Any]) -> Obj:
        selector = dig(found, "scheduling", "nodeSelector", default={})
        mine = spec.get("nodeSelector") or {}
        for key, text in selector.items():
            if mine.get(key, text) != text:
                raise a.forbidden(
                    f"conflict: runtimeClass.scheduling.nodeSelector[{key}] = {text}; "
                    f"pod.spec.nodeSelector[{key}] = {mine[key]}",
                    generated=True,
                )
        if selector:
            spec["nodeSelector"] = {**mine, **selector}
        more = [
            item
            for item in dig(found, "scheduling", "tolerations", default=())
            if item not in (spec.get("tolerations") or ())
        ]
        if more:
            spec["tolerations"] = [*(spec.get("tolerations") or ()), *more]
        return spec
