"""Which pods of lower priority have to go so that a pod finds room.

Source: kube-scheduler 1.31, DefaultPreemption: all lower pods of a node are taken off, as many as possible
are put back (those under a disruption budget first, then the higher ones), and the nodes are compared.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from firedrill.world.kube import selectors
from firedrill.world.kube.objects import condition, dig, is_deleting, labels_of, namespace_of
from firedrill.world.kube.scheduler import verdict as why
from firedrill.world.kube.scheduler.filters import Cycle, prefilter
from firedrill.world.kube.scheduler.nodeinfo import NodeInfo, Snapshot
from firedrill.world.kube.scheduler.podinfo import PodInfo
from firedrill.world.kube.scheduler.verdict import Verdict, all_reasons, fit_message


class Candidate(NamedTuple):
    """One node that would do, and what it costs.

    Attributes:
        node: its name.
        victims: the pods to delete, highest priority first.
        violations: how many of them a disruption budget protects.
    """

    node: str
    victims: tuple[PodInfo, ...]
    violations: int


Budget = tuple[str, tuple[selectors.Requirement, ...] | None, int]
"""A disruption budget: its namespace, whom it protects, how many may still go."""


def preempt(
    pod: PodInfo, snapshot: Snapshot, verdicts: Mapping[str, Verdict], nominated: str = ""
) -> Candidate | str:
    """The cheapest node to make room on, or the sentence that says why there is none.

    Args:
        pod: the pod without room.
        snapshot: the nodes.
        verdicts: why each node was refused.
        nominated: the node that an earlier attempt chose for the pod.
    """
    if pod.spec.get("preemptionPolicy") == "Never":
        return f"preemption: {why.NEVER}"
    if nominated in snapshot.nodes and not _final(verdicts.get(nominated)):
        leaving = [
            item
            for item in snapshot.nodes[nominated].pods
            if item.priority < pod.priority and is_deleting(item.pod) and _was_preempted(item)
        ]
        if leaving:
            return f"preemption: {why.TERMINATING}"
    failures: dict[str, Verdict] = {}
    candidates: list[Candidate] = []
    budgets = _budgets(snapshot)
    for name, refused in verdicts.items():
        if refused.final:
            failures[name] = Verdict("DefaultPreemption", (why.NOT_HELPFUL,), True)
            continue
        found = _try_node(pod, snapshot, snapshot.nodes[name], budgets)
        if isinstance(found, Candidate):
            candidates.append(found)
        else:
            failures[name] = found
    if not candidates:
        return f"preemption: {fit_message(len(snapshot.nodes), all_reasons(failures))}"
    return min(candidates, key=_cost)


def _final(refused: Verdict | None) -> bool:
    return refused is not None and refused.final


def _was_preempted(pod: PodInfo) -> bool:
    found = condition(pod.pod, "DisruptionTarget")
    return found is not None and found.get("reason") == "PreemptionByScheduler"


def _started(pod: PodInfo) -> str:
    return str(dig(pod.pod, "status", "startTime", default=""))


def _cost(item: Candidate) -> tuple[object, ...]:
    priorities = [victim.priority for victim in item.victims]
    # An earliest start that is later is cheaper; times sort as text, so each letter is turned round.
    top = max(priorities)
    earliest = min(_started(victim) for victim in item.victims if victim.priority == top)
    youngest = tuple(-ord(letter) for letter in earliest)
    return item.violations, top, sum(priorities), len(priorities), youngest, item.node


def _budgets(snapshot: Snapshot) -> list[Budget]:
    return [
        (
            namespace_of(item),
            selectors.from_object(dig(item, "spec", "selector")),
            int(dig(item, "status", "disruptionsAllowed", default=0)),
        )
        for item in snapshot.store.list("poddisruptionbudgets.policy")
    ]


def _protected(
    pods: Sequence[PodInfo],
    budgets: Sequence[Budget],
) -> tuple[list[PodInfo], list[PodInfo]]:
    """The pods that a budget protects if all go, and the others."""
    left = [allowed for _, _, allowed in budgets]
    guarded: list[PodInfo] = []
    free: list[PodInfo] = []
    for pod in pods:
        broken = False
        for index, (namespace, selector, _) in enumerate(budgets):
            if namespace != pod.namespace or not selector or not pod.labels:
                continue
            if selectors.matches(selector, labels_of(pod.pod)):
                left[index] -= 1
                broken |= left[index] < 0
        (guarded if broken else free).append(pod)
    return guarded, free


def _fits(pod: PodInfo, snapshot: Snapshot, node: NodeInfo) -> Verdict | None:
    cycle = prefilter(pod, snapshot.with_node(node))
    return cycle.check(node) if isinstance(cycle, Cycle) else cycle


def _try_node(
    pod: PodInfo,
    snapshot: Snapshot,
    node: NodeInfo,
    budgets: Sequence[Budget],
) -> Candidate | Verdict:
    lower = [item for item in node.pods if item.priority < pod.priority]
    if not lower:
        return Verdict("DefaultPreemption", (why.NO_VICTIMS,), True)
    here = node.minus(frozenset(item.uid for item in lower))
    refused = _fits(pod, snapshot, here)
    if refused is not None:
        return refused
    # The most important pods are put back first: higher priority, then longer running.
    lower.sort(key=lambda item: (-item.priority, _started(item), item.key))
    guarded, free = _protected(lower, budgets)
    victims: list[PodInfo] = []
    violations = 0
    for group in (guarded, free):
        for item in group:
            with_it = here.plus(item)
            if _fits(pod, snapshot, with_it) is None:
                here = with_it
            else:
                victims.append(item)
                violations += group is guarded
    victims.sort(key=lambda item: (-item.priority, _started(item), item.key))
    if not victims:
        return Verdict("DefaultPreemption", (why.NO_VICTIMS,), True)
    return Candidate(node.name, tuple(victims), violations)
