"""The filter plugins that compare nodes with each other: PodTopologySpread and InterPodAffinity.

Source: kube-scheduler 1.31. Counts per node are remembered with the node, so that an attempt costs a look
at each node, not at each pod.
"""

from __future__ import annotations

from collections.abc import Callable

from firedrill.world.kube import selectors
from firedrill.world.kube.node_selectors import node_term_matches, tolerates
from firedrill.world.kube.scheduler import verdict as why
from firedrill.world.kube.scheduler.nodeinfo import NodeInfo, Snapshot
from firedrill.world.kube.scheduler.podinfo import PodInfo, Spread, Term
from firedrill.world.kube.scheduler.verdict import Verdict

Pairs = dict[tuple[str, str], int]
"""Counts by (topology key, value)."""


def eligible(pod: PodInfo, node: NodeInfo, rule: Spread) -> bool:
    """Whether the node counts for a spread constraint (its node inclusion policies)."""
    if rule.honor_affinity:
        if pod.node_selector and not selectors.matches(pod.node_selector, node.labels):
            return False
        if pod.node_terms is not None and not any(
            node_term_matches(term, node.node) for term in pod.node_terms
        ):
            return False
    return not rule.honor_taints or all(
        tolerates(pod.tolerations, taint)
        for taint in node.taints
        if taint.get("effect") in ("NoSchedule", "NoExecute")
    )


def spread_filter(pod: PodInfo, snapshot: Snapshot) -> Callable[[NodeInfo], Verdict | None] | None:
    """The filter of the pod's hard spread constraints; None where it has none."""
    rules = [rule for rule in pod.spread if rule.hard]
    if not rules:
        return None
    counts: list[dict[str, int]] = [{} for _ in rules]
    for node in snapshot.nodes.values():
        if any(rule.key not in node.labels for rule in rules):
            continue
        for rule, domains in zip(rules, counts, strict=True):
            if eligible(pod, node, rule):
                value = node.labels[rule.key]
                domains[value] = domains.get(value, 0) + node.count(pod.namespace, rule.selector)
    least = [
        0 if len(domains) < rule.min_domains else min(domains.values(), default=0)
        for rule, domains in zip(rules, counts, strict=True)
    ]
    own = [int(rule.selector is not None and selectors.matches(rule.selector, pod.labels)) for rule in rules]

    def check(node: NodeInfo) -> Verdict | None:
        for rule, domains, minimum, self_match in zip(rules, counts, least, own, strict=True):
            value = node.labels.get(rule.key)
            if value is None:
                return Verdict("PodTopologySpread", (why.SPREAD_LABEL,), True)
            if domains.get(value, 0) + self_match - minimum > rule.max_skew:
                return Verdict("PodTopologySpread", (why.SPREAD,))
        return None

    return check


def _existing_conflicts(pod: PodInfo, snapshot: Snapshot) -> Pairs:
    """Where pods are that want this one nowhere near."""
    pairs: Pairs = {}
    for node in snapshot.nodes.values():
        for key, number in node.conflicts(pod, snapshot.namespaces):
            value = node.labels.get(key)
            if value is not None:
                pairs[key, value] = pairs.get((key, value), 0) + number
    return pairs


def _matching(terms: tuple[Term, ...], together: bool, snapshot: Snapshot) -> Pairs:
    """Where pods are that the terms mean: all terms together for affinity, each by itself otherwise."""
    pairs: Pairs = {}
    groups = [(terms, terms)] if together else [((term,), (term,)) for term in terms]
    for wanted, keys in groups:
        for node in snapshot.nodes.values():
            number = node.count_all(wanted, snapshot.namespaces) if node.pods else 0
            if not number:
                continue
            for term in keys:
                value = node.labels.get(term.key)
                if value is not None:
                    pairs[term.key, value] = pairs.get((term.key, value), 0) + number
    return pairs


def affinity_filter(pod: PodInfo, snapshot: Snapshot) -> Callable[[NodeInfo], Verdict | None] | None:
    """The filter of required pod affinity in both directions; None where it has nothing to say."""
    existing = _existing_conflicts(pod, snapshot)
    if not (existing or pod.affinity or pod.anti_affinity):
        return None
    near = _matching(pod.affinity, True, snapshot) if pod.affinity else {}
    apart = _matching(pod.anti_affinity, False, snapshot) if pod.anti_affinity else {}
    own = all(term.matches(pod.namespace, pod.labels, snapshot.namespaces) for term in pod.affinity)

    def near_enough(node: NodeInfo) -> bool:
        if any(term.key not in node.labels for term in pod.affinity):
            return False
        if all((term.key, node.labels[term.key]) in near for term in pod.affinity):
            return True
        return not near and own  # the first of a group that wants to be with itself

    def check(node: NodeInfo) -> Verdict | None:
        if pod.affinity and not near_enough(node):
            return Verdict("InterPodAffinity", (why.POD_AFFINITY,), True)
        for term in pod.anti_affinity:
            value = node.labels.get(term.key)
            if value is not None and (term.key, value) in apart:
                return Verdict("InterPodAffinity", (why.POD_ANTI_AFFINITY,))
        if existing and any((key, value) in existing for key, value in node.labels.items()):
            return Verdict("InterPodAffinity", (why.EXISTING_ANTI_AFFINITY,))
        return None

    return check
