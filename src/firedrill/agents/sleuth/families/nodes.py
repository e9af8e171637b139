"""Nodes and what runs on them: kubelet, runtime, proxy, control plane, pressure."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from datetime import timedelta

from firedrill.agents.sleuth.case import Case, Happening, Line, mapping, parts
from firedrill.agents.sleuth.families.common import clues, fits, kubectl, undo, unscheduled
from firedrill.agents.sleuth.model import Clue, Ground, Hypothesis
from firedrill.agents.sleuth.symptoms import condition, failing, time_of

_ACTIVE = re.compile(r"Active: (?P<state>\w+) \((?P<sub>[\w-]+)\)")
_UNIT = re.compile(r"^\W*(?P<unit>[\w@.-]+?)\.service\b", re.MULTILINE)
_SANDBOX = frozenset({"FailedCreatePodSandBox", "NetworkNotReady", "FailedKillPod"})
_OWN = re.compile(
    r"memory limit too low|oom-?kill|OCI runtime.*(?:memory|limit)|cannot allocate", re.IGNORECASE
)
_RUNTIME = re.compile(r"containerd\.sock|crio\.sock|docker\.sock|cni|network plugin", re.IGNORECASE)
_PLACING = re.compile(r"\.nodeSelector|\.(?:node)?[aA]ffinity")
_API = re.compile(r"^KubeAPI|ApiServer", re.IGNORECASE)
_EFFORT = frozenset({"cpu", "cpu_saturation", "traffic", "latency", "memory"})
_STRONG = 0.6
_SHORTLY, _SOON = timedelta(minutes=10), timedelta(minutes=2)
_PRESSURE = ("MemoryPressure", "DiskPressure", "PIDPressure", "NetworkUnavailable")


def nodes(case: Case) -> Iterator[Hypothesis]:
    """A node that is not ready, or is short of something."""
    everything = case.all("Node")
    for node in everything:
        state = condition(node, "Ready")
        if state.get("status") in ("False", "Unknown"):
            text = f"it is not ready: {state.get('reason')} {state.get('message') or ''}".strip()
            yield Hypothesis(
                node.id,
                "nodes",
                Ground.REFUSAL,
                text,
                evidence=clues(node.clue(text)),
                time=time_of(state.get("lastTransitionTime")),
                fix=(f"kubectl describe node {node.name}", "systemctl status kubelet containerd"),
            )
        for name in _PRESSURE:
            pressure = condition(node, name)
            if pressure.get("status") == "True":
                text = f"{name}: {pressure.get('message')}"
                yield Hypothesis(
                    node.id,
                    "nodes",
                    Ground.REFUSAL,
                    text,
                    strength=0.9,
                    evidence=clues(node.clue(text)),
                    time=time_of(pressure.get("lastTransitionTime")),
                    fix=(f"kubectl describe node {node.name}",),
                )


def busy_api(case: Case) -> Iterator[Hypothesis]:
    """The API server has more to do than before; who came or grew right before it is asked."""
    slow = [alarm for alarm in case.alarms if _API.search(alarm.name)]
    busy = [
        signal
        for signal in case.signals
        if "apiserver" in signal.entity and signal.kind in _EFFORT and signal.strength >= _STRONG
    ]
    if not slow or not busy or case.onset is None:
        return
    for thing in case.all("Deployment", "StatefulSet", "DaemonSet", "CronJob", "Job"):
        if case.top(thing.id) != thing.id:
            continue
        grown = [change for change in thing.changes if change.path.endswith(".replicas")]
        since = thing.first if thing.appeared else grown[0].time if grown else None
        if since is None or not -_SOON <= case.onset - since <= _SHORTLY:
            continue
        yield Hypothesis(
            thing.id,
            "nodes",
            Ground.ANOMALY,
            f"it {'came' if thing.appeared else 'grew'} right before the API server got busy: {busy[0].text}",
            strength=0.9,
            time=since,
            explains=(case.top(busy[0].entity),),
            evidence=clues(
                thing.clue(f"since {since}"),
                Clue(slow[0].file, slow[0].time, f"alert {slow[0].name}"),
                Clue(busy[0].source, busy[0].time, busy[0].text),
            ),
            fix=(kubectl(thing.id, "scale", "--replicas=0"),),
        )


def agents(case: Case) -> Iterator[Hypothesis]:
    """A program that ran on every node is kept from some of them by what was asked of nodes lately."""
    hurt = failing(case)
    nodes = case.all("Node")
    for thing in case.all("DaemonSet"):
        told = [change for change in thing.changes if _PLACING.search(change.path)]
        selector = mapping(thing.pod_spec, "nodeSelector")
        left = {node.name for node in nodes if not fits(selector, node.labels)}
        if not told or not left:
            continue
        bereft = tuple(
            top
            for top, pods in sorted(case.pods_of.items())
            if any(pod.spec.get("nodeName") in left for pod in pods)
            and (top in hurt or any(front in hurt for front in case.service_of.get(top, ())))
        )
        text = f"since {told[0]} it runs on {len(nodes) - len(left)} of {len(nodes)} nodes"
        yield Hypothesis(
            thing.id,
            "nodes",
            Ground.CONTRADICTION,
            text,
            strength=0.9 if len(left) == len(nodes) else 0.7,
            time=told[0].time,
            explains=bereft,
            evidence=clues(thing.clue(text)),
            fix=(undo(thing.id),),
        )


def units(case: Case) -> Iterator[Hypothesis]:
    """A service manager says that a program of the node does not run."""
    latest: dict[tuple[str, str], tuple[Line, str]] = {}
    for line in case.lines:
        match = _ACTIVE.search(line.text)
        if match and line.entity and line.entity.startswith("cluster/Node/"):
            name = _UNIT.search(line.text)
            latest[line.entity, name["unit"] if name else line.service] = (line, match[0])
    for (entity, unit), (line, state) in sorted(latest.items()):
        if "(running)" in state or "(exited)" in state or ("activating" in state and "(start" in state):
            continue
        yield Hypothesis(
            entity,
            "units",
            Ground.REFUSAL,
            f"{unit} does not run on it: {state}",
            explains=_bereft(case, unit, entity),
            evidence=(line.clue(),),
            fix=(f"systemctl restart {unit}", f"journalctl -u {unit}"),
        )


def _bereft(case: Case, unit: str, node: str) -> tuple[str, ...]:
    """What suffers when a program of a node stops: pods that wait, or those on the node."""
    if "scheduler" not in unit:
        hurt, name = failing(case), parts(node)[2]
        return tuple(
            top
            for top, pods in sorted(case.pods_of.items())
            if any(pod.spec.get("nodeName") == name for pod in pods)
            and (top in hurt or any(front in hurt for front in case.service_of.get(top, ())))
        )
    return tuple(sorted({top for top, pod in unscheduled(case) if not case.events_of(pod.id)}))


def sandboxes(case: Case) -> Iterator[Hypothesis]:
    """Pods cannot be set up: the fault of their node when it is several, else most likely their own."""
    hit: dict[str, dict[str, Happening]] = defaultdict(dict)
    for pod in case.all("Pod"):
        node = pod.spec.get("nodeName")
        events = [event for event in case.events_of(pod.id) if event.reason in _SANDBOX]
        if isinstance(node, str) and events and condition(pod, "Ready").get("status") != "True":
            hit[f"cluster/Node/{node}"][case.top(pod.id)] = events[-1]
    for node, found in sorted(hit.items()):
        told = list(found.values())
        text = f"pods cannot be set up: {told[0].message[:300]}"
        own = [top for top, event in found.items() if _OWN.search(event.message)]
        if len(found) == 1 or own:
            for top in own or found:
                yield Hypothesis(
                    top,
                    "nodes",
                    Ground.REFUSAL,
                    f"its {text}",
                    strength=1.0 if own else 0.7,
                    time=found[top].first,
                    evidence=clues(found[top]),
                    fix=(undo(top), kubectl(top, "edit")),
                )
        if not own:
            yield Hypothesis(
                node,
                "nodes",
                Ground.REFUSAL if len(found) > 1 or _RUNTIME.search(told[0].message) else Ground.FAILURE,
                f"{len(found)} workloads' {text}",
                strength=min(1.0, 0.4 + 0.2 * len(found)),
                explains=tuple(found),
                time=told[0].first,
                evidence=clues(*told[:3]),
                fix=("systemctl status kubelet containerd", "crictl info"),
            )


def together(case: Case) -> Iterator[Hypothesis]:
    """Most of what suffers runs on one node, and most of what runs there suffers."""
    hurt = failing(case)
    homes: dict[str, set[str]] = defaultdict(set)
    for top, pods in case.pods_of.items():
        for pod in pods:
            if (
                isinstance(pod.spec.get("nodeName"), str)
                and case.top(pod.id) == top
                and parts(top)[1] != "DaemonSet"
            ):
                homes[f"cluster/Node/{pod.spec['nodeName']}"].add(top)
    sick = {
        top
        for tops in homes.values()
        for top in tops
        if top in hurt or any(front in hurt for front in case.service_of.get(top, ()))
    }
    if len(homes) < 2 or len(sick) < 3:
        return
    for node, tops in sorted(homes.items()):
        here = tops & sick
        share, dose = len(here) / len(sick), len(here) / len(tops)
        if len(here) < 3 or share < 0.5:
            continue
        text = f"{len(here)} of {len(sick)} workloads that suffer run on it, of {len(tops)} there in all"
        yield Hypothesis(
            node,
            "nodes",
            Ground.ANOMALY,
            text,
            strength=share * (0.5 + 0.5 * dose),
            explains=tuple(sorted(here)),
            evidence=(Clue("", None, text),),
            fix=(f"kubectl describe node {parts(node)[2]}",),
        )
