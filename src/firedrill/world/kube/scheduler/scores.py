"""Which of the nodes that would do is best, in whole points.

Source: kube-scheduler 1.31 with its default weights: TaintToleration 3, NodeAffinity 2, PodTopologySpread 2,
InterPodAffinity 2, NodeResourcesFit (least allocated) 1, NodeResourcesBalancedAllocation 1, ImageLocality 1.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from firedrill.world.kube import selectors
from firedrill.world.kube.node_selectors import node_term_matches, tolerates
from firedrill.world.kube.objects import controller_of, dig
from firedrill.world.kube.scheduler.nodeinfo import NodeInfo, Snapshot
from firedrill.world.kube.scheduler.podinfo import PodInfo, Requirements, Spread
from firedrill.world.kube.scheduler.topology import eligible

Points = dict[str, int]
_MB = 1024 * 1024
_IMAGE_LEAST = 23 * _MB
_IMAGE_MOST = 1000 * _MB
_HARD_WEIGHT = 1
_DEFAULT_SPREAD = (("kubernetes.io/hostname", 3), ("topology.kubernetes.io/zone", 5))
_OWNERS = {
    "ReplicaSet": "replicasets.apps",
    "StatefulSet": "statefulsets.apps",
    "ReplicationController": "replicationcontrollers",
}


def score_nodes(pod: PodInfo, nodes: Sequence[NodeInfo], snapshot: Snapshot) -> Points:
    """Points of each node by name."""
    total = {node.name: _least_allocated(pod, node) + _balanced(pod, node) for node in nodes}
    if any(node.images for node in nodes):
        _add(total, _image_locality(pod, nodes, snapshot), 1)
    if any(taint.get("effect") == "PreferNoSchedule" for node in nodes for taint in node.taints):
        _add(total, _normalised(_disliked_taints(pod, nodes), reverse=True), 3)
    preferred = dig(pod.spec, "affinity", "nodeAffinity", "preferredDuringSchedulingIgnoredDuringExecution")
    if preferred:
        _add(total, _normalised(_preferred_nodes(preferred, nodes)), 2)
    _add(total, _spread(pod, nodes, snapshot), 2)
    _add(total, _pod_affinity(pod, nodes, snapshot), 2)
    return total


def _add(total: Points, more: Points, weight: int) -> None:
    for name, points in more.items():
        total[name] += points * weight


def _normalised(points: Points, *, reverse: bool = False) -> Points:
    top = max(points.values(), default=0)
    if top == 0:
        return dict.fromkeys(points, 100 if reverse else 0)
    return {
        name: 100 - value * 100 // top if reverse else value * 100 // top for name, value in points.items()
    }


def _shares(pod: PodInfo, node: NodeInfo) -> list[tuple[int, int]]:
    """(requested with this pod, allocatable) of CPU and memory."""
    return [
        (node.scored_cpu + pod.scored_cpu, node.allocatable.get("cpu", 0)),
        (node.scored_memory + pod.scored_memory, node.allocatable.get("memory", 0)),
    ]


def _least_allocated(pod: PodInfo, node: NodeInfo) -> int:
    parts = [
        (offered - wanted) * 100 // offered if wanted <= offered else 0
        for wanted, offered in _shares(pod, node)
        if offered
    ]
    return sum(parts) // len(parts) if parts else 0


def _balanced(pod: PodInfo, node: NodeInfo) -> int:
    cpu = node.requested.get("cpu", 0) + pod.requests.get("cpu", 0)
    memory = node.requested.get("memory", 0) + pod.requests.get("memory", 0)
    offered_cpu, offered_memory = node.allocatable.get("cpu", 0), node.allocatable.get("memory", 0)
    if not offered_cpu or not offered_memory or not pod.requests:
        return 0
    deviation = abs(min(cpu / offered_cpu, 1.0) - min(memory / offered_memory, 1.0)) / 2
    return int((1 - deviation) * 100)


def _image_locality(pod: PodInfo, nodes: Sequence[NodeInfo], snapshot: Snapshot) -> Points:
    everywhere = len(snapshot.nodes)
    having = {
        image: sum(1 for node in snapshot.nodes.values() if image in node.images) for image in pod.images
    }
    most = _IMAGE_MOST * max(len(pod.images), 1)
    out = {}
    for node in nodes:
        size = sum(node.images.get(image, 0) * having[image] // everywhere for image in pod.images)
        size = min(max(size, _IMAGE_LEAST), most)
        out[node.name] = 100 * (size - _IMAGE_LEAST) // (most - _IMAGE_LEAST)
    return out


def _disliked_taints(pod: PodInfo, nodes: Sequence[NodeInfo]) -> Points:
    relevant = [
        item for item in pod.tolerations if not item.get("effect") or item["effect"] == "PreferNoSchedule"
    ]
    return {
        node.name: sum(
            1
            for taint in node.taints
            if taint.get("effect") == "PreferNoSchedule" and not tolerates(relevant, taint)
        )
        for node in nodes
    }


def _preferred_nodes(terms: Sequence[Mapping[str, object]], nodes: Sequence[NodeInfo]) -> Points:
    out = dict.fromkeys((node.name for node in nodes), 0)
    for item in terms:
        weight, term = item.get("weight"), item.get("preference")
        if not isinstance(weight, int) or not isinstance(term, Mapping):
            continue
        for node in nodes:
            if node_term_matches(term, node.node):
                out[node.name] += weight
    return out


def _default_rules(pod: PodInfo, snapshot: Snapshot) -> tuple[Spread, ...]:
    """The cluster's own spreading, for pods that a service or a controller selects."""
    requirements: Requirements = ()
    store = snapshot.store
    key = ("services", pod.namespace)
    services = snapshot.memo.get(key)
    if services is None:
        services = snapshot.memo[key] = [
            chosen
            for item in store.list("services", pod.namespace)
            if (chosen := selectors.of_map(dig(item, "spec", "selector")))
        ]
    for chosen in services:
        if selectors.matches(chosen, pod.labels):
            requirements += chosen
    owner = controller_of(pod.pod)
    resource = _OWNERS.get(str(owner["kind"])) if owner else None
    found = store.get(resource, pod.namespace, str(owner["name"])) if resource and owner else None
    chosen_by = dig(found, "spec", "selector")
    if chosen_by is not None:
        plain = resource == "replicationcontrollers"
        requirements += (selectors.of_map(chosen_by) if plain else selectors.from_object(chosen_by)) or ()
    if not requirements:
        return ()
    return tuple(Spread(name, skew, False, requirements, 1, True, False) for name, skew in _DEFAULT_SPREAD)


def _spread(pod: PodInfo, nodes: Sequence[NodeInfo], snapshot: Snapshot) -> Points:
    own = bool(pod.spread)
    rules = [rule for rule in pod.spread if not rule.hard] if own else _default_rules(pod, snapshot)
    if not rules:
        return {}
    usable = [node for node in nodes if not own or all(rule.key in node.labels for rule in rules)]
    names = {node.name for node in usable}
    raw = dict.fromkeys(names, 0.0)
    for rule in rules:
        domains = {node.labels[rule.key] for node in usable if rule.key in node.labels}
        if not domains:
            continue
        weight = math.log(len(domains) + 2)
        counts: dict[str, int] = dict.fromkeys(domains, 0)
        for node in snapshot.nodes.values():
            value = node.labels.get(rule.key)
            if value in counts and eligible(pod, node, rule):
                counts[value] += node.count(pod.namespace, rule.selector)
        for node in usable:
            if rule.key in node.labels:
                raw[node.name] += counts[node.labels[rule.key]] * weight + rule.max_skew - 1
    # Whole points before anything is compared: libraries differ in the last bit of a logarithm.
    points = {name: math.floor(value + 0.5) for name, value in raw.items()}
    top, least = max(points.values(), default=0), min(points.values(), default=0)
    out = {name: 100 * (top + least - value) // top if top else 100 for name, value in points.items()}
    return {node.name: out.get(node.name, 0) for node in nodes}


def _pod_affinity(pod: PodInfo, nodes: Sequence[NodeInfo], snapshot: Snapshot) -> Points:
    pairs: dict[tuple[str, str], int] = {}

    def add(key: str, node: NodeInfo, amount: int) -> None:
        value = node.labels.get(key)
        if value is not None and amount:
            pairs[key, value] = pairs.get((key, value), 0) + amount

    for node in snapshot.nodes.values():
        for term in pod.preferred:
            add(term.key, node, term.weight * node.count_all((term,), snapshot.namespaces))
        for term in pod.preferred_anti:
            add(term.key, node, -term.weight * node.count_all((term,), snapshot.namespaces))
        for other in node.liking:
            for sign, terms in ((1, other.preferred), (-1, other.preferred_anti), (1, other.affinity)):
                for term in terms:
                    if term.matches(pod.namespace, pod.labels, snapshot.namespaces):
                        add(term.key, node, sign * (term.weight or _HARD_WEIGHT))
    if not pairs:
        return {}
    raw = {node.name: sum(pairs.get((key, value), 0) for key, value in node.labels.items()) for node in nodes}
    top, least = max(raw.values()), min(raw.values())
    if top == least:
        return {}
    return {name: 100 * (value - least) // (top - least) for name, value in raw.items()}
