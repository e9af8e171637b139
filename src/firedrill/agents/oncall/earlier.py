"""What objects were like before: from revisions, from who wrote what, and from series about objects."""

from __future__ import annotations

import copy
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from firedrill.agents.oncall.fields import last_write, made_at, touches, without, writes
from firedrill.agents.oncall.recording import Recording
from firedrill.agents.sleuth.case import listing, mapping

Obj = dict[str, Any]
Key = tuple[str, str, str]
"""Kind, namespace and name."""
_REVISION = "deployment.kubernetes.io/revision"
_HASH = "pod-template-hash"


@dataclass(frozen=True)
class State:
    """What an object was like since a moment. ``guessed``: some of it is not known and left out."""

    time: float
    body: Obj
    guessed: bool = False


@dataclass
class Past:
    """Earlier states of objects, by kind, namespace and name; the first is from before the window.

    ``gone`` are objects that the series tell of and that are no more, with the moment at which they went.
    ``labels`` are those that namespaces and nodes had at first, as series spell them.
    """

    base: float
    states: dict[Key, list[State]] = field(default_factory=dict)
    gone: dict[Key, tuple[float, Obj]] = field(default_factory=dict)
    labels: dict[Key, dict[str, str]] = field(default_factory=dict)
    figures: Figures | None = None

    def before(self, key: Key, moment: float) -> State | None:
        """The state of an object at a moment, None where it was not there or never changed."""
        known = [state for state in self.states.get(key, []) if state.time <= moment]
        return known[-1] if known else None


def key_of(obj: Mapping[str, Any]) -> Key:
    """Kind, namespace and name of an object."""
    about = mapping(obj, "metadata")
    return str(obj.get("kind")), str(about.get("namespace") or ""), str(about.get("name"))


def past(found: Recording, span_s: float) -> Past:
    """Everything that the evidence tells of the last ``span_s`` seconds."""
    out = Past(found.now - span_s)
    figures = Figures(found, out.base)
    revisions = _revisions(found)
    for _, obj in found.all():
        if made_at(obj) > out.base:
            continue
        states = _states(obj, out.base, figures, revisions.get(key_of(obj), []))
        if states:
            out.states[key_of(obj)] = states
    out.figures = figures
    out.gone = figures.gone()
    out.labels = figures.labels()
    return out


def _states(obj: Obj, base: float, figures: Figures, revisions: list[tuple[float, Obj]]) -> list[State]:
    """Earlier states of one object, without its present one."""
    written = writes(obj, base)
    first: Obj | None = None
    templated = bool(revisions) and "template" in mapping(obj, "spec")
    if written:
        first = without(obj, written)
    known = figures.restored(obj, first)
    guessed = known is None and first is not None
    first = known if known is not None else first
    if not templated:
        return [State(base, first, guessed)] if first is not None and first != obj else []
    if first is None:
        first = obj
    out = []
    replicas = mapping(first, "spec").get("replicas")
    old = sum(time <= base for time, _ in revisions)
    for time, template in revisions[max(old - 1, 0) :]:
        spec: Obj = {**mapping(first, "spec"), "template": template}
        if replicas is None:
            spec["replicas"] = mapping(obj, "spec").get("replicas")
        out.append(State(max(time, base), {**first, "spec": spec}))
    if len(out) == 1 and known is None and not touches(written, "spec"):
        return []
    return out


def _revisions(found: Recording) -> dict[Key, list[tuple[float, Obj]]]:
    """By workload, its templates with the moment from which on each was wanted, oldest first."""
    out: dict[Key, list[tuple[int, float, Obj]]] = defaultdict(list)
    for item in found.of("replicasets.apps"):
        number = mapping(item, "metadata", "annotations").get(_REVISION)
        owner = _controller(item)
        if owner is not None and str(number or "").isdigit():
            template: Obj = copy.deepcopy(dict(mapping(item, "spec", "template")))
            (template.get("metadata") or {}).get("labels", {}).pop(_HASH, None)
            out[owner].append((int(str(number)), made_at(item), template))
    for item in found.of("controllerrevisions.apps"):
        owner, kept = _controller(item), mapping(item, "data", "spec", "template")
        if owner is not None and kept and isinstance(item.get("revision"), int):
            plain = {key: value for key, value in copy.deepcopy(dict(kept)).items() if key != "$patch"}
            out[owner].append((item["revision"], made_at(item), plain))
    return {
        owner: [(time, template) for _, time, template in sorted(known, key=lambda one: one[:2])]
        for owner, known in out.items()
    }


def _controller(obj: Mapping[str, Any]) -> Key | None:
    for reference in listing(obj, "metadata", "ownerReferences"):
        if reference.get("controller"):
            space = str(mapping(obj, "metadata").get("namespace") or "")
            return str(reference.get("kind")), space, str(reference.get("name"))
    return None


class Figures:
    """Series about objects: what they were at the beginning of the window.

    Args:
        found: what was recorded.
        base: the beginning, in seconds.
    """

    def __init__(self, found: Recording, base: float) -> None:
        self._last_sample = found.now
        self._base = base
        self._series: dict[str, list[tuple[Mapping[str, str], list[tuple[float, float]]]]] = defaultdict(list)
        self._present = {key_of(obj) for _, obj in found.all()}
        for one in found.state:
            labels = one.get("metric") or {}
            points = [(float(at), float(value)) for at, value in one.get("values") or ()]
            if points:
                self._series[str(labels.get("__name__"))].append((labels, points))
        for known in self._series.values():
            known.sort(key=lambda one: sorted(one[0].items()))

    def usual(self, metric: str, **labels: str) -> float | None:
        """The value that a series had at the beginning of the window."""
        for known, points in self._series.get(metric, ()):
            if all(known.get(key) == value for key, value in labels.items()):
                return points[0][1]
        return None

    def at_first(self, metric: str, **labels: str) -> list[tuple[Mapping[str, str], float]]:
        """The series that had a value in the first quarter of the window, with it."""
        end = self._base + (self._last_sample - self._base) / 4
        return [
            (known, points[0][1])
            for known, points in self._series.get(metric, ())
            if all(known.get(key) == value for key, value in labels.items()) and points[0][0] <= end
        ]

    def knows(self, metric: str) -> bool:
        """Whether there are such series at all."""
        return bool(self._series.get(metric))

    def restored(self, obj: Obj, first: Obj | None) -> Obj | None:
        """An object with the figures that the series give for it; None where they give no others."""
        kind, namespace, name = key_of(obj)
        spec = dict(mapping(obj, "spec"))
        new = _RESTORERS.get(kind)
        if new is None:
            return None
        found = new(self, namespace, name, spec)
        if found is None or found == spec:
            return None
        return {**(first if first is not None else obj), "spec": found}

    def gone(self) -> dict[Key, tuple[float, Obj]]:
        """Objects that the series told of at first, and that are no more."""
        out: dict[Key, tuple[float, Obj]] = {}
        for metric, kind, label, version in _TELLING:
            for labels, points in self._series.get(metric, ()):
                key = (kind, str(labels.get("namespace") or ""), str(labels.get(label) or ""))
                new = points[0][0] > self._base + 600 and kind != "Pod"
                if key in self._present or not key[2] or new:
                    continue
                about = {"name": key[2], **({"namespace": key[1]} if key[1] else {})}
                body = {"apiVersion": version, "kind": kind, "metadata": about, "spec": {}}
                out[key] = (max(points[-1][0], out[key][0] if key in out else 0.0), body)
        return out

    def labels(self) -> dict[Key, dict[str, str]]:
        """The labels that namespaces and nodes had at first."""
        out: dict[Key, dict[str, str]] = {}
        for metric, kind, label in (
            ("kube_namespace_labels", "Namespace", "namespace"),
            ("kube_node_labels", "Node", "node"),
        ):
            for known, _ in self.at_first(metric):
                told = {key: value for key, value in known.items() if key.startswith("label_")}
                out.setdefault((kind, "", str(known.get(label))), told)
        return out


_TELLING = (
    ("kube_deployment_labels", "Deployment", "deployment", "apps/v1"),
    ("kube_statefulset_labels", "StatefulSet", "statefulset", "apps/v1"),
    ("kube_daemonset_labels", "DaemonSet", "daemonset", "apps/v1"),
    ("kube_service_info", "Service", "service", "v1"),
    ("kube_pod_container_info", "Pod", "pod", "v1"),
    ("kube_persistentvolumeclaim_info", "PersistentVolumeClaim", "persistentvolumeclaim", "v1"),
)


def _replicas(metric: str, label: str) -> Any:
    def restore(figures: Figures, namespace: str, name: str, spec: Obj) -> Obj | None:
        usual = figures.usual(metric, namespace=namespace, **{label: name})
        return None if usual is None else {**spec, "replicas": int(usual)}

    return restore


def _node(figures: Figures, _: str, name: str, spec: Obj) -> Obj | None:
    closed = figures.usual("kube_node_spec_unschedulable", node=name)
    if closed is None:
        return None
    out = {key: value for key, value in spec.items() if key not in ("unschedulable", "taints")}
    if closed:
        out["unschedulable"] = True
    had = {
        (labels.get("key"), labels.get("effect"))
        for labels, _ in figures.at_first("kube_node_spec_taint", node=name)
    }
    kept = [taint for taint in listing(spec, "taints") if (taint.get("key"), taint.get("effect")) in had]
    if kept:
        out["taints"] = kept
    return out


def _quota(figures: Figures, namespace: str, name: str, spec: Obj) -> Obj | None:
    had = figures.at_first("kube_resourcequota", namespace=namespace, resourcequota=name, type="hard")
    if not had:
        return None
    hard = dict(mapping(spec, "hard"))
    for labels, value in had:
        resource = str(labels.get("resource"))
        if resource in hard and not _same(hard[resource], value):
            hard[resource] = f"{value:g}" if value < 1e6 else str(int(value))
    return {**spec, "hard": hard}


def _scaler(figures: Figures, namespace: str, name: str, spec: Obj) -> Obj | None:
    out = dict(spec)
    for metric, place in (("max", "maxReplicas"), ("min", "minReplicas")):
        usual = figures.usual(
            f"kube_horizontalpodautoscaler_spec_{metric}_replicas",
            namespace=namespace,
            horizontalpodautoscaler=name,
        )
        if usual is not None:
            out[place] = int(usual)
    return out


def _same(text: object, value: float) -> bool:
    from firedrill.agents.sleuth.quantity import quantity

    known = quantity(str(text))
    return known is not None and abs(known - value) <= 1e-6 * max(abs(value), 1.0)


_RESTORERS = {
    "Deployment": _replicas("kube_deployment_spec_replicas", "deployment"),
    "StatefulSet": _replicas("kube_statefulset_replicas", "statefulset"),
    "Node": _node,
    "ResourceQuota": _quota,
    "HorizontalPodAutoscaler": _scaler,
}


def changed_lately(found: Recording, since: float) -> Iterable[tuple[float, str, Obj]]:
    """``(when, resource, object)`` of everything that somebody made or wrote later than a moment, by time."""
    out = []
    for resource, obj in found.all():
        when = made_at(obj) if made_at(obj) > since else last_write(obj, since)
        if when is not None:
            out.append((when, resource, obj))
    return sorted(out, key=lambda one: (one[0], key_of(one[2])))
