"""One attempt to find a node for a pod: pure, from a snapshot to a decision."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from firedrill.world.kube.scheduler import verdict as why
from firedrill.world.kube.scheduler.filters import Cycle, prefilter
from firedrill.world.kube.scheduler.nodeinfo import NodeInfo, Snapshot
from firedrill.world.kube.scheduler.podinfo import PodInfo
from firedrill.world.kube.scheduler.preemption import Candidate, preempt
from firedrill.world.kube.scheduler.scores import score_nodes
from firedrill.world.kube.scheduler.verdict import Verdict, all_reasons, fit_message
from firedrill.world.sim.rng import Rng

_LEAST_NODES = 100


class Decision(NamedTuple):
    """What came of an attempt.

    Attributes:
        node: where the pod goes; empty where it found none.
        message: why it found none.
        plugins: the plugins that refused it, sorted: what may let it try again.
        preemption: a node on which room is to be made.
    """

    node: str = ""
    message: str = ""
    plugins: tuple[str, ...] = ()
    preemption: Candidate | None = None


def enough_nodes(count: int) -> int:
    """How many nodes that would do are looked for in a cluster of `count` (numFeasibleNodesToFind)."""
    if count < _LEAST_NODES:
        return count
    share = max(50 - count // 125, 5)
    return max(count * share // 100, _LEAST_NODES)


def choose_node(
    pod: PodInfo,
    snapshot: Snapshot,
    rng: Rng,
    *,
    attempt: int = 0,
    start: int = 0,
    nominated: Mapping[str, Sequence[PodInfo]] | None = None,
    nominated_node: str = "",
) -> Decision:
    """Find a node for a pod.

    Args:
        pod: the pod.
        snapshot: the nodes.
        rng: decides between nodes of equal score.
        attempt: number of the attempt: another draw for each.
        start: index of the node to begin with, in clusters too large to look at every node.
        nominated: by node, pods for which room was made there.
        nominated_node: the node that an earlier attempt chose for this pod.
    """
    names = list(snapshot.nodes)
    if not names:
        return Decision(message=why.NO_NODES)
    cycle = prefilter(pod, snapshot)
    if isinstance(cycle, Verdict):
        verdicts = dict.fromkeys(names, cycle)
        after = preempt(pod, snapshot, verdicts, nominated_node)
        text = fit_message(len(names), (), before=cycle.reasons[0], after=_text(after))
        return Decision(message=text, plugins=(cycle.plugin,))
    fitting, verdicts = _filter(cycle, names, start, nominated or {})
    if not fitting:
        return _refused(pod, snapshot, verdicts, nominated_node)
    if len(fitting) == 1:
        return Decision(fitting[0].name)
    points = score_nodes(pod, fitting, snapshot)
    top = max(points.values())
    best = [node.name for node in fitting if points[node.name] == top]
    return Decision(rng.choice(best, "schedule", pod.uid, attempt))


def _text(after: Candidate | str) -> str:
    return after if isinstance(after, str) else ""


def _refused(
    pod: PodInfo, snapshot: Snapshot, verdicts: Mapping[str, Verdict], nominated_node: str
) -> Decision:
    after = preempt(pod, snapshot, verdicts, nominated_node)
    return Decision(
        message=fit_message(len(snapshot.nodes), all_reasons(verdicts), after=_text(after)),
        plugins=tuple(sorted({item.plugin for item in verdicts.values()})),
        preemption=after if isinstance(after, Candidate) else None,
    )


def _filter(
    cycle: Cycle, names: Sequence[str], start: int, nominated: Mapping[str, Sequence[PodInfo]]
) -> tuple[list[NodeInfo], dict[str, Verdict]]:
    wanted = enough_nodes(len(names))
    fitting: list[NodeInfo] = []
    verdicts: dict[str, Verdict] = {}
    for offset in range(len(names)):
        name = names[(start + offset) % len(names)]
        node = cycle.snapshot.nodes[name]
        refused = _with_nominated(cycle, node, nominated.get(name, ())) or cycle.check(node)
        if refused is None:
            fitting.append(node)
            if len(fitting) >= wanted:
                break
        else:
            verdicts[name] = refused
    return fitting, verdicts


def _with_nominated(cycle: Cycle, node: NodeInfo, others: Sequence[PodInfo]) -> Verdict | None:
    """The verdict with the pods on the node for which room was made there and that go first."""
    ahead = [item for item in others if item.priority >= cycle.pod.priority and item.uid != cycle.pod.uid]
    if not ahead:
        return None
    full = node.plus(*ahead)
    again = prefilter(cycle.pod, cycle.snapshot.with_node(full))
    return again.check(full) if isinstance(again, Cycle) else again
