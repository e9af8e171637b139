"""What the scheduler knows of a node: what it offers, and what the pods on it take.

A `NodeInfo` never changes; forks share them. A snapshot is the nodes of one moment.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from firedrill.world.kube import quantity, selectors
from firedrill.world.kube.objects import Obj, dig, labels_of, name_of
from firedrill.world.kube.scheduler.podinfo import (
    PodInfo,
    Port,
    Requirements,
    Resources,
    Term,
    pod_info,
)
from firedrill.world.kube.store import Store

Namespaces = Mapping[str, Mapping[str, str]]
"""Labels of each namespace."""


@dataclass(frozen=True, slots=True)
class NodeInfo:
    """One node with its pods. `memo` remembers counts that depend on nothing else."""

    node: Obj
    name: str
    labels: Mapping[str, str]
    taints: Sequence[Mapping[str, Any]]
    unschedulable: bool
    allocatable: Resources
    requested: Resources
    scored_cpu: int
    scored_memory: int
    ports: frozenset[Port]
    pods: tuple[PodInfo, ...]
    images: Mapping[str, int]
    anti_terms: Mapping[tuple[str, Term], int]
    liking: tuple[PodInfo, ...]
    memo: dict[Any, Any] = field(default_factory=dict, compare=False)

    def count(self, namespace: str, selector: Requirements | None) -> int:
        """How many pods of a namespace, not being deleted, carry the labels."""
        if selector is None:
            return 0
        key = (namespace, selector)
        found = self.memo.get(key)
        if found is None:
            found = self.memo[key] = sum(
                1
                for item in self.pods
                if item.namespace == namespace
                and not item.deleting
                and selectors.matches(selector, item.labels)
            )
        return int(found)

    def count_all(self, terms: tuple[Term, ...], namespaces: Namespaces) -> int:
        """How many pods match every one of the terms."""
        plain = all(term.namespace_selector is None for term in terms)
        found = self.memo.get(terms) if plain else None
        if found is None:
            found = sum(
                1
                for item in self.pods
                if all(term.matches(item.namespace, item.labels, namespaces) for term in terms)
            )
            if plain:
                self.memo[terms] = found
        return int(found)

    def conflicts(self, pod: PodInfo, namespaces: Namespaces) -> tuple[tuple[str, int], ...]:
        """(topology key, how often) for the terms of pods here that want the pod nowhere near."""
        if not self.anti_terms:
            return ()
        key = (pod.namespace, pod.label_key)
        found = self.memo.get(key)
        if found is not None:
            return found  # type: ignore[no-any-return]
        out = tuple(
            (term.key, number)
            for (_, term), number in self.anti_terms.items()
            if term.matches(pod.namespace, pod.labels, namespaces)
        )
        if all(term.namespace_selector is None for _, term in self.anti_terms):
            self.memo[key] = out
        return out

    def with_pod(self, pod: PodInfo) -> NodeInfo:
        """The node with one more pod, adding to the sums instead of making them again."""
        requested = dict(self.requested)
        for name, amount in pod.requests.items():
            requested[name] = requested.get(name, 0) + amount
        anti = self.anti_terms
        if pod.anti_affinity:
            anti = dict(anti)
            for term in pod.anti_affinity:
                anti[pod.namespace, term] = anti.get((pod.namespace, term), 0) + 1
        liked = pod.affinity or pod.preferred or pod.preferred_anti
        return replace(
            self,
            requested=requested,
            scored_cpu=self.scored_cpu + pod.scored_cpu,
            scored_memory=self.scored_memory + pod.scored_memory,
            ports=self.ports | set(pod.ports) if pod.ports else self.ports,
            pods=(*self.pods, pod),
            anti_terms=anti,
            liking=(*self.liking, pod) if liked else self.liking,
            memo={key: new for key, old in self.memo.items() if (new := _carried(key, old, pod)) is not None},
        )

    def plus(self, *more: PodInfo) -> NodeInfo:
        """The node with further pods on it."""
        return node_info(self.node, (*self.pods, *more))

    def minus(self, uids: frozenset[str]) -> NodeInfo:
        """The node without the pods with these uids."""
        return node_info(self.node, tuple(item for item in self.pods if item.uid not in uids))


def _carried(key: tuple[Any, ...], old: Any, pod: PodInfo) -> Any:
    """A remembered count after one more pod; None where it has to be counted again."""
    if isinstance(old, tuple):
        return None if pod.anti_affinity else old
    if isinstance(key[0], Term):
        return old + all(term.matches(pod.namespace, pod.labels, {}) for term in key)
    namespace, selector = key
    counts = pod.namespace == namespace and not pod.deleting and selectors.matches(selector, pod.labels)
    return old + counts


def _allocatable(node: Mapping[str, Any]) -> Resources:
    amounts = dig(node, "status", "allocatable") or dig(node, "status", "capacity", default={})
    return {
        name: quantity.milli(text) if name == "cpu" else quantity.value(text)
        for name, text in amounts.items()
    }


def node_info(node: Obj, pods: Iterable[PodInfo]) -> NodeInfo:
    """Add up what the pods take of the node."""
    held = tuple(pods)
    requested: Resources = {}
    cpu = memory = 0
    ports: set[Port] = set()
    anti: dict[tuple[str, Term], int] = {}
    for item in held:
        for name, amount in item.requests.items():
            requested[name] = requested.get(name, 0) + amount
        cpu += item.scored_cpu
        memory += item.scored_memory
        ports.update(item.ports)
        for term in item.anti_affinity:
            anti[item.namespace, term] = anti.get((item.namespace, term), 0) + 1
    images: dict[str, int] = {}
    for image in dig(node, "status", "images", default=()):
        for name in image.get("names") or ():
            images[str(name)] = int(image.get("sizeBytes") or 0)
    return NodeInfo(
        node=node,
        name=name_of(node),
        labels=labels_of(node),
        taints=dig(node, "spec", "taints", default=()),
        unschedulable=bool(dig(node, "spec", "unschedulable")),
        allocatable=_allocatable(node),
        requested=requested,
        scored_cpu=cpu,
        scored_memory=memory,
        ports=frozenset(ports),
        pods=held,
        images=images,
        anti_terms=anti,
        liking=tuple(item for item in held if item.affinity or item.preferred or item.preferred_anti),
    )


def is_finished(pod: Mapping[str, Any]) -> bool:
    """Whether a pod takes nothing of its node any more."""
    return dig(pod, "status", "phase") in ("Succeeded", "Failed")


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The nodes of one moment, by name, and what else filters look at.

    Attributes:
        nodes: in order of name.
        namespaces: labels of each namespace.
        store: for volumes and claims, services and owners.
        minor: minor version of the scheduler.
    """

    nodes: Mapping[str, NodeInfo]
    namespaces: Namespaces
    store: Store
    minor: int = 31
    memo: dict[Any, Any] = field(default_factory=dict, compare=False)

    def with_node(self, info: NodeInfo) -> Snapshot:
        """The same moment with one node as it might be."""
        return Snapshot({**self.nodes, info.name: info}, self.namespaces, self.store, self.minor)


def take_snapshot(store: Store, *, minor: int = 31) -> Snapshot:
    """A snapshot computed from nothing but the store."""
    nodes = {
        name_of(node): node_info(
            node, [pod_info(pod) for pod in store.pods_on(name_of(node)) if not is_finished(pod)]
        )
        for node in store.list("nodes")
    }
    return Snapshot(nodes, namespace_labels(store), store, minor)


def namespace_labels(store: Store) -> dict[str, Mapping[str, str]]:
    """Labels of each namespace."""
    return {name_of(item): labels_of(item) for item in store.list("namespaces")}
