"""What the scheduler needs to know of a pod, worked out once for each version of its spec.

Source: kube-scheduler 1.31, `framework.PodInfo` and the helpers that compute a pod's requests.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from firedrill.world.kube import quantity, selectors
from firedrill.world.kube.objects import Obj, dig, is_deleting, labels_of, name_of, namespace_of, uid_of

Requirements = tuple[selectors.Requirement, ...]
Resources = dict[str, int]
"""Whole numbers by resource: `cpu` in thousandths of a core, everything else in units or bytes."""

DEFAULT_CPU = 100
DEFAULT_MEMORY = 200 * 1024 * 1024
"""What scoring takes for a container that requests nothing (thousandths of a core, bytes)."""

Port = tuple[str, str, int]
"""(host address, protocol, host port)."""


class Term(NamedTuple):
    """One pod (anti-)affinity term.

    Attributes:
        namespaces: names, sorted.
        namespace_selector: requirements on labels of namespaces, or None.
        selector: requirements on labels of pods; None matches nothing.
        key: the topology key.
        weight: of a preferred term; 0 for a required one.
    """

    namespaces: tuple[str, ...]
    namespace_selector: Requirements | None
    selector: Requirements | None
    key: str
    weight: int = 0

    def matches(
        self, namespace: str, labels: Mapping[str, str], namespaces: Mapping[str, Mapping[str, str]]
    ) -> bool:
        """Whether a pod with these labels in that namespace is meant."""
        if self.selector is None or not selectors.matches(self.selector, labels):
            return False
        if namespace in self.namespaces:
            return True
        chosen = self.namespace_selector
        return chosen is not None and selectors.matches(chosen, namespaces.get(namespace, {}))


class Spread(NamedTuple):
    """One topology spread constraint."""

    key: str
    max_skew: int
    hard: bool
    selector: Requirements | None
    min_domains: int
    honor_affinity: bool
    honor_taints: bool


@dataclass(frozen=True, slots=True)
class PodInfo:
    """A pod, ready for filters and scores. `requests` holds no zero values."""

    pod: Obj
    key: str
    namespace: str
    name: str
    uid: str
    labels: Mapping[str, str]
    label_key: tuple[tuple[str, str], ...]
    deleting: bool
    spec: Mapping[str, Any]
    priority: int
    requests: Resources
    scored_cpu: int
    scored_memory: int
    ports: tuple[Port, ...]
    images: tuple[str, ...]
    node_selector: Requirements
    node_terms: Sequence[Mapping[str, Any]] | None
    affinity: tuple[Term, ...]
    anti_affinity: tuple[Term, ...]
    preferred: tuple[Term, ...]
    preferred_anti: tuple[Term, ...]
    tolerations: Sequence[Mapping[str, Any]]
    spread: tuple[Spread, ...]
    claims: tuple[str, ...]


def claim_names(pod: Mapping[str, Any]) -> tuple[str, ...]:
    """The claims that a pod mounts, those of ephemeral volumes included."""
    out = []
    for volume in dig(pod, "spec", "volumes", default=()):
        if claim := dig(volume, "persistentVolumeClaim", "claimName"):
            out.append(str(claim))
        elif volume.get("ephemeral") is not None:
            out.append(f"{name_of(pod)}-{volume['name']}")
    return tuple(out)


def _amounts(requests: Mapping[str, Any] | None) -> Resources:
    return {
        name: quantity.milli(text) if name == "cpu" else quantity.value(text)
        for name, text in (requests or {}).items()
    }


def _add(total: Resources, more: Resources) -> None:
    for name, amount in more.items():
        total[name] = total.get(name, 0) + amount


def _maximum(total: Resources, other: Resources) -> None:
    for name, amount in other.items():
        if amount > total.get(name, 0):
            total[name] = amount


def pod_requests(spec: Mapping[str, Any], *, scored: bool = False) -> Resources:
    """What a pod asks of a node: containers and sidecars together, or its largest init step, plus overhead.

    Args:
        spec: of the pod.
        scored: count containers without a CPU or memory request as if they had a small one.
    """

    def of(container: Mapping[str, Any]) -> Resources:
        amounts = _amounts(dig(container, "resources", "requests"))
        if scored:
            amounts.setdefault("cpu", DEFAULT_CPU)
            amounts.setdefault("memory", DEFAULT_MEMORY)
        return amounts

    total: Resources = {}
    for container in spec.get("containers") or ():
        _add(total, of(container))
    sidecars: Resources = {}
    peak: Resources = {}
    for container in spec.get("initContainers") or ():
        amounts = of(container)
        if container.get("restartPolicy") == "Always":
            _add(total, amounts)
            _add(sidecars, amounts)
            _maximum(peak, sidecars)
        else:
            _add(amounts, sidecars)
            _maximum(peak, amounts)
    _maximum(total, peak)
    _add(total, _amounts(spec.get("overhead")))
    return total


def _ports(spec: Mapping[str, Any]) -> tuple[Port, ...]:
    out = []
    containers = [*(spec.get("containers") or ())]
    containers += [item for item in spec.get("initContainers") or () if item.get("restartPolicy") == "Always"]
    for container in containers:
        for port in container.get("ports") or ():
            number = port.get("hostPort") or (port.get("containerPort") if spec.get("hostNetwork") else 0)
            if number:
                out.append(
                    (str(port.get("hostIP") or "0.0.0.0"), str(port.get("protocol") or "TCP"), int(number))  # noqa: S104
                )
    return tuple(out)


def _term(item: Mapping[str, Any], pod: Mapping[str, Any], weight: int = 0) -> Term:
    names = tuple(sorted(item.get("namespaces") or ()))
    chosen = item.get("namespaceSelector")
    if not names and chosen is None:
        names = (namespace_of(pod),)
    requirements = selectors.from_object(item.get("labelSelector"))
    if requirements is not None:
        labels = labels_of(pod)
        for field, operator in (("matchLabelKeys", "in"), ("mismatchLabelKeys", "notin")):
            requirements += tuple(
                (key, operator, (labels[key],)) for key in item.get(field) or () if key in labels
            )
    return Term(names, selectors.from_object(chosen), requirements, str(item.get("topologyKey")), weight)


def _terms(pod: Mapping[str, Any], kind: str) -> tuple[Term, ...]:
    items = dig(pod, "spec", "affinity", kind, "requiredDuringSchedulingIgnoredDuringExecution", default=())
    return tuple(_term(item, pod) for item in items)


def _preferred(pod: Mapping[str, Any], kind: str) -> tuple[Term, ...]:
    items = dig(pod, "spec", "affinity", kind, "preferredDuringSchedulingIgnoredDuringExecution", default=())
    return tuple(_term(item["podAffinityTerm"], pod, int(item.get("weight") or 0)) for item in items)


def _spread(item: Mapping[str, Any], labels: Mapping[str, str]) -> Spread:
    requirements = selectors.from_object(item.get("labelSelector"))
    if requirements is not None:
        requirements += tuple(
            (key, "in", (labels[key],)) for key in item.get("matchLabelKeys") or () if key in labels
        )
    return Spread(
        str(item.get("topologyKey")),
        int(item.get("maxSkew") or 1),
        item.get("whenUnsatisfiable", "DoNotSchedule") == "DoNotSchedule",
        requirements,
        int(item.get("minDomains") or 1),
        item.get("nodeAffinityPolicy", "Honor") == "Honor",
        item.get("nodeTaintsPolicy", "Ignore") == "Honor",
    )


def pod_info(pod: Obj) -> PodInfo:
    """Work out what filters and scores need of a pod.

    Raises:
        ValueError: a quantity or a selector is malformed (an API server would not have taken it).
    """
    spec = pod.get("spec") or {}
    labels = labels_of(pod)
    scored = pod_requests(spec, scored=True)
    required = dig(spec, "affinity", "nodeAffinity", "requiredDuringSchedulingIgnoredDuringExecution")
    return PodInfo(
        pod=pod,
        key=f"{namespace_of(pod)}/{name_of(pod)}",
        namespace=namespace_of(pod),
        name=name_of(pod),
        uid=uid_of(pod),
        labels=labels,
        label_key=tuple(sorted(labels.items())),
        deleting=is_deleting(pod),
        spec=spec,
        priority=int(spec.get("priority") or 0),
        requests={name: amount for name, amount in pod_requests(spec).items() if amount},
        scored_cpu=scored.get("cpu", 0),
        scored_memory=scored.get("memory", 0),
        ports=_ports(spec),
        images=tuple(str(item.get("image") or "") for item in spec.get("containers") or ()),
        node_selector=selectors.of_map(spec.get("nodeSelector")) or (),
        node_terms=(required.get("nodeSelectorTerms") or ()) if required is not None else None,
        affinity=_terms(pod, "podAffinity"),
        anti_affinity=_terms(pod, "podAntiAffinity"),
        preferred=_preferred(pod, "podAffinity"),
        preferred_anti=_preferred(pod, "podAntiAffinity"),
        tolerations=spec.get("tolerations") or (),
        spread=tuple(_spread(item, labels) for item in spec.get("topologySpreadConstraints") or ()),
        claims=claim_names(pod),
    )
