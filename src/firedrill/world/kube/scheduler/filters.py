"""The filter plugins that look at one node alone, and the order in which all of them are asked.

Source: kube-scheduler 1.31, plugins NodeUnschedulable, NodeName, TaintToleration, NodeAffinity,
NodePorts and NodeResourcesFit; a plugin that has nothing to say about a pod is skipped.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from firedrill.world.kube import selectors
from firedrill.world.kube.node_selectors import node_term_matches, tolerates
from firedrill.world.kube.scheduler import verdict as why
from firedrill.world.kube.scheduler.nodeinfo import NodeInfo, Snapshot
from firedrill.world.kube.scheduler.podinfo import PodInfo
from firedrill.world.kube.scheduler.topology import affinity_filter, spread_filter
from firedrill.world.kube.scheduler.verdict import Verdict
from firedrill.world.kube.scheduler.volumes import volume_filters, volume_refusal

Filter = Callable[[NodeInfo], Verdict | None]
_CORDONED = {"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}
_ANY_ADDRESS = "0.0.0.0"  # noqa: S104


class Cycle(NamedTuple):
    """One attempt at a pod: the filters that have something to say, in order."""

    pod: PodInfo
    snapshot: Snapshot
    filters: tuple[Filter, ...]

    def check(self, node: NodeInfo) -> Verdict | None:
        """Why the node does not do; None where it does."""
        for item in self.filters:
            refused = item(node)
            if refused is not None:
                return refused
        return None


def prefilter(pod: PodInfo, snapshot: Snapshot) -> Cycle | Verdict:
    """Prepare an attempt, or say why no node needs to be looked at."""
    refused = volume_refusal(pod, snapshot)
    if refused is not None:
        return refused
    return Cycle(pod, snapshot, (*_node_filters(pod, snapshot.minor), *_cluster_filters(pod, snapshot)))


def admits(pod: PodInfo, node: NodeInfo) -> bool:
    """Whether nothing about the node alone speaks against the pod (`AdmissionCheck`)."""
    return all(item(node) is None for item in _node_filters(pod))


def _named_nodes(pod: PodInfo) -> frozenset[str] | None:
    """The only nodes that required affinity can mean, where every term names them; else None.

    Pods of a DaemonSet name theirs. Other nodes are not looked at, which shows in the message.
    """
    if not pod.node_terms:
        return None
    names: set[str] = set()
    for term in pod.node_terms:
        fields = [
            set(item.get("values") or ())
            for item in term.get("matchFields") or ()
            if item.get("key") == "metadata.name" and item.get("operator") == "In"
        ]
        if not fields:
            return None
        names |= set.intersection(*fields)
    return frozenset(names)


def _named_only(names: frozenset[str]) -> Filter:
    def check(node: NodeInfo) -> Verdict | None:
        return None if node.name in names else Verdict("NodeAffinity", (why.NOT_NAMED,), True)

    return check


def _node_filters(pod: PodInfo, minor: int = 31) -> list[Filter]:
    named = _named_nodes(pod)
    out: list[Filter] = [_named_only(named)] if named is not None else []
    out.append(_unschedulable(pod))
    if pod.spec.get("nodeName"):
        out.append(_node_name(pod))
    out.append(_taints(pod))
    if pod.node_selector or pod.node_terms is not None:
        out.append(_affinity(pod))
    if pod.ports:
        out.append(_ports(pod))
    out.append(_resources(pod, minor))
    return out


def _cluster_filters(pod: PodInfo, snapshot: Snapshot) -> list[Filter]:
    out: list[Filter] = []
    if pod.claims:
        out += volume_filters(pod, snapshot)
    for make in (spread_filter, affinity_filter):
        found = make(pod, snapshot)
        if found is not None:
            out.append(found)
    return out


def _unschedulable(pod: PodInfo) -> Filter:
    allowed = tolerates(pod.tolerations, _CORDONED)

    def check(node: NodeInfo) -> Verdict | None:
        if node.unschedulable and not allowed:
            return Verdict("NodeUnschedulable", (why.UNSCHEDULABLE,), True)
        return None

    return check


def _node_name(pod: PodInfo) -> Filter:
    def check(node: NodeInfo) -> Verdict | None:
        if pod.spec["nodeName"] != node.name:
            return Verdict("NodeName", (why.NODE_NAME,), True)
        return None

    return check


def _taints(pod: PodInfo) -> Filter:
    def check(node: NodeInfo) -> Verdict | None:
        for taint in node.taints:
            if taint.get("effect") in ("NoSchedule", "NoExecute") and not tolerates(pod.tolerations, taint):
                text = f"node(s) had untolerated taint {{{taint.get('key')}: {taint.get('value') or ''}}}"
                return Verdict("TaintToleration", (text,), True)
        return None

    return check


def required_affinity(pod: PodInfo, node: NodeInfo) -> bool:
    """Whether the node meets the pod's node selector and its required node affinity."""
    if pod.node_selector and not selectors.matches(pod.node_selector, node.labels):
        return False
    return pod.node_terms is None or any(node_term_matches(term, node.node) for term in pod.node_terms)


def _affinity(pod: PodInfo) -> Filter:
    def check(node: NodeInfo) -> Verdict | None:
        if required_affinity(pod, node):
            return None
        return Verdict("NodeAffinity", (why.NODE_AFFINITY,), True)

    return check


def _ports(pod: PodInfo) -> Filter:
    def check(node: NodeInfo) -> Verdict | None:
        for address, protocol, number in pod.ports:
            for other, other_protocol, taken in node.ports:
                if number != taken or protocol != other_protocol:
                    continue
                if address == other or _ANY_ADDRESS in (address, other):
                    return Verdict("NodePorts", (why.PORTS,))
        return None

    return check


def _resources(pod: PodInfo, minor: int) -> Filter:
    names = [
        *(name for name in ("cpu", "memory", "ephemeral-storage") if name in pod.requests),
        *sorted(name for name in pod.requests if name not in ("cpu", "memory", "ephemeral-storage")),
    ]
    wanted = [(name, pod.requests[name]) for name in names]

    def check(node: NodeInfo) -> Verdict | None:
        reasons = []
        final = False
        offered, taken = node.allocatable, node.requested
        if len(node.pods) + 1 > offered.get("pods", 0):
            reasons.append(why.TOO_MANY_PODS)
        for name, amount in wanted:
            if amount > offered.get(name, 0) - taken.get(name, 0):
                reasons.append(f"Insufficient {name}")
                # From 1.34 on, more than an empty node has is known to be beyond the help of pre-emption.
                final |= minor >= 34 and amount > offered.get(name, 0)
        return Verdict("NodeResourcesFit", tuple(reasons), final) if reasons else None

    return check
