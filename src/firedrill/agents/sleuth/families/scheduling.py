"""Pods that no node takes: the scheduler's own words, held against nodes and pods."""

from __future__ import annotations

import re
from collections.abc import Iterator

from firedrill.agents.sleuth.case import Case, Happening, Thing, ident, listing, mapping
from firedrill.agents.sleuth.families.common import clues, fits, kubectl, last_event, undo, unscheduled
from firedrill.agents.sleuth.model import Ground, Hypothesis

_CLAIM = re.compile(r'persistentvolumeclaim "([^"]+)"')
_UNBOUND = re.compile(
    r"unbound immediate PersistentVolumeClaims|didn't find available persistent volumes"
    r"|volume node affinity conflict|didn't match PersistentVolume"
)
_PREEMPTED = re.compile(r"Preempted by (?:a )?pod:? ?(?P<who>[\w./-]+)", re.IGNORECASE)
_TAINT = re.compile(r"untolerated taint \{([^}]*)\}")


def scheduling(case: Case) -> Iterator[Hypothesis]:
    """A pod waits for a node; the scheduler says why, or says nothing at all."""
    seen: set[tuple[str, str]] = set()
    for top, pod in unscheduled(case):
        event = last_event(case, pod.id, "FailedScheduling")
        for found in _told(case, top, pod, event) if event else _silent(case, top, pod):
            if (found.entity, found.summary) not in seen:
                seen.add((found.entity, found.summary))
                yield found


def preempted(case: Case) -> Iterator[Hypothesis]:
    """Pods that were put out for others of higher priority: those others are the cause."""
    uids = {mapping(pod.body, "metadata").get("uid"): pod for pod in case.all("Pod")}
    hurt: dict[str, list[Happening]] = {}
    for event in case.events:
        match = _PREEMPTED.search(event.message) if event.reason == "Preempted" else None
        if match is None:
            continue
        name = match["who"].rpartition("/")[2]
        pod = uids.get(name) or next((p for p in uids.values() if p.name == name), None)
        if pod is not None and case.top(pod.id) != case.top(event.entity):
            hurt.setdefault(case.top(pod.id), []).append(event)
    for top, events in sorted(hurt.items()):
        victims = tuple(sorted({case.top(event.entity) for event in events}))
        yield Hypothesis(
            top,
            "scheduling",
            Ground.REFUSAL,
            f"its pods put out those of {', '.join(victims[:3])}: {events[0].message[:120]}",
            time=min((e.first for e in events if e.first), default=None),
            explains=victims,
            evidence=clues(*events[:3]),
            fix=(kubectl(top, "edit"), undo(top)),
        )


def _told(case: Case, top: str, pod: Thing, event: Happening) -> Iterator[Hypothesis]:
    text = event.message.partition(" preemption:")[0]
    base = clues(event)
    if _UNBOUND.search(text) or _CLAIM.search(text):
        for claim in _claims(case, pod):
            yield Hypothesis(
                claim,
                "scheduling",
                Ground.REFUSAL,
                f"pods that need it cannot be scheduled: {text[:200]}",
                strength=0.9,
                time=event.first,
                explains=(top,),
                evidence=base,
                fix=(kubectl(claim, "describe"),),
            )
        return
    yield Hypothesis(
        top,
        "scheduling",
        Ground.REFUSAL,
        f"no node takes its pods: {text[:240]}",
        time=event.first,
        evidence=base,
        fix=(undo(top), kubectl(top, "edit")),
    )
    yield from _nodes(case, top, pod, text, event)


def _claims(case: Case, pod: Thing) -> Iterator[str]:
    for volume in listing(pod.pod_spec, "volumes"):
        name = mapping(volume, "persistentVolumeClaim").get("claimName")
        claim = case.get("PersistentVolumeClaim", pod.namespace, name)
        if claim is None and case.records("PersistentVolumeClaim", pod.namespace):
            continue
        if isinstance(name, str) and (claim is None or claim.status.get("phase") != "Bound"):
            yield ident("PersistentVolumeClaim", pod.namespace, name)


def _nodes(case: Case, top: str, pod: Thing, text: str, event: Happening) -> Iterator[Hypothesis]:
    """Nodes that would take the pod but for a cordon or a taint."""
    selector = mapping(pod.spec, "nodeSelector")
    willing = [node for node in case.all("Node") if fits(selector, node.labels)]
    barred = [node for node in willing if node.spec.get("unschedulable") is True]
    if len(barred) == 1 and selector and len(willing) == 1:
        yield Hypothesis(
            barred[0].id,
            "scheduling",
            Ground.REFUSAL,
            f"it is cordoned, and is the only node that {top} may run on: {text[:160]}",
            strength=0.9,
            time=event.first,
            explains=(top,),
            evidence=clues(event, barred[0].clue("spec.unschedulable is true")),
            fix=(f"kubectl uncordon {barred[0].name}",),
        )


def _silent(case: Case, top: str, pod: Thing) -> Iterator[Hypothesis]:
    """Nobody tried to place the pod: the scheduler does not run, or another one is wanted."""
    name = pod.spec.get("schedulerName")
    if isinstance(name, str) and name not in ("default-scheduler", ""):
        yield Hypothesis(
            top,
            "scheduling",
            Ground.REFUSAL,
            f"it wants the scheduler {name}, which places nothing",
            strength=0.9,
            evidence=clues(pod.clue(f"schedulerName {name}, never tried")),
            fix=(undo(top),),
        )
        return
    yield Hypothesis(
        top,
        "scheduling",
        Ground.FAILURE,
        "its pods wait for a node, and no scheduler says why",
        strength=0.4,
        evidence=clues(pod.clue("Pending without any attempt to schedule it")),
        fix=(kubectl(pod.id, "describe"),),
    )
    for node in case.all("Node"):
        if any("control-plane" in str(key) or "master" in str(key) for key in node.labels) or any(
            str(value) in ("master", "control-plane") for value in node.labels.values()
        ):
            yield Hypothesis(
                node.id,
                "scheduling",
                Ground.FAILURE,
                f"{pod.name} was never considered for a node: the scheduler does not work",
                strength=0.9,
                explains=(top,),
                evidence=clues(pod.clue("Pending without FailedScheduling")),
                fix=(
                    "kubectl -n kube-system get pods -l component=kube-scheduler",
                    "systemctl restart kube-scheduler",
                ),
            )
