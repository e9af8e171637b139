"""Why a node does not do, and the sentence that the scheduler makes of all the reasons.

Source: kube-scheduler 1.31, `FitError` and the reasons of its plugins; the texts are wire facts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

UNSCHEDULABLE = "node(s) were unschedulable"
NODE_NAME = "node(s) didn't match the requested node name"
NODE_AFFINITY = "node(s) didn't match Pod's node affinity/selector"
NOT_NAMED = "node(s) didn't satisfy plugin(s) [NodeAffinity]"
PORTS = "node(s) didn't have free ports for the requested pod ports"
TOO_MANY_PODS = "Too many pods"
DISK_CONFLICT = "node(s) had no available disk"
ONCE_POD = "node has pod using PersistentVolumeClaim with the same name and ReadWriteOncePod access mode"
VOLUME_COUNT = "node(s) exceed max volume count"
UNBOUND = "pod has unbound immediate PersistentVolumeClaims"
VOLUME_AFFINITY = "node(s) had volume node affinity conflict"
NO_VOLUME = "node(s) didn't find available persistent volumes to bind"
VOLUME_GONE = "node(s) unavailable due to one or more pvc(s) bound to non-existent pv(s)"
VOLUME_ZONE = "node(s) had no available volume zone"
SPREAD = "node(s) didn't match pod topology spread constraints"
SPREAD_LABEL = "node(s) didn't match pod topology spread constraints (missing required label)"
POD_AFFINITY = "node(s) didn't match pod affinity rules"
POD_ANTI_AFFINITY = "node(s) didn't match pod anti-affinity rules"
EXISTING_ANTI_AFFINITY = "node(s) didn't satisfy existing pods anti-affinity rules"
NO_NODES = "no nodes available to schedule pods"
NOT_HELPFUL = "Preemption is not helpful for scheduling"
NO_VICTIMS = "No preemption victims found for incoming pod"
NEVER = "not eligible due to preemptionPolicy=Never."
TERMINATING = "not eligible due to a terminating pod on the nominated node."


class Verdict(NamedTuple):
    """Why a node, or a whole attempt, was refused.

    Attributes:
        plugin: the plugin that refused.
        reasons: its words, without counts.
        final: taking pods off the node would not help (`UnschedulableAndUnresolvable`).
    """

    plugin: str
    reasons: tuple[str, ...]
    final: bool = False


def fit_message(count: int, reasons: Iterable[str], *, before: str = "", after: str = "") -> str:
    """The sentence of a failed attempt.

    Args:
        count: of all nodes.
        reasons: one entry for each node and reason.
        before: what refused the pod before any node was looked at; the reasons are then left out.
        after: what pre-emption had to say, with its own full stop.
    """
    text = f"0/{count} nodes are available:"
    if before:
        text += f" {before}."
    else:
        histogram: dict[str, int] = {}
        for reason in reasons:
            histogram[reason] = histogram.get(reason, 0) + 1
        parts = sorted(f"{number} {reason}" for reason, number in histogram.items())
        if parts:
            text += f" {', '.join(parts)}."
    return f"{text} {after}" if after else text


def all_reasons(verdicts: Mapping[str, Verdict]) -> list[str]:
    """The reasons of every node, one after the other."""
    return [reason for verdict in verdicts.values() for reason in verdict.reasons]
