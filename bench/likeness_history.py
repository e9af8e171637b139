"""What a cluster had been through before an experiment, from the traces that it still showed.

Nodes that were rebooted, kubelets and schedulers that were stopped and started, nodes that were cordoned in
earlier experiments leave events for an hour. Where a recording shows such traces, older than the experiment
itself, the same is done to the world at that age, by ordinary stops and starts.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from firedrill.world import World
from firedrill.world.kube.api import Client
from firedrill.world.kube.kubelet import nodes
from likeness_text import age_seconds

_MS = 1000
_LONGEST = 55 * 60
_LINE = re.compile(
    r"\s+(?:Normal|Warning)\s+(\S+)\s+(\w+)(?: \(x\d+ over (\w+)\))?\s+([a-z]\S*(?:, \S+)?)\s+(.*)"
)
_LISTED = re.compile(r"(\w+)\s+(?:Normal|Warning)\s+(\S+)\s+(\w+)/(\S+)\s*(.*)")


@dataclass(frozen=True, slots=True)
class Trace:
    """One event that an earlier experiment left: how long ago, about which node, by whom."""

    age: int
    node: str
    reason: str
    source: str
    message: str


@dataclass(frozen=True, slots=True, order=True)
class Deed:
    """Something to do to a node, so many seconds before the end."""

    ago: int
    what: str
    node: str
    part: str = ""


def traces(texts: Mapping[str, str], control_plane: str) -> Iterator[Trace]:
    """All events about nodes and elections in a recording, ages of repeated ones also at their first."""
    for file, text in texts.items():
        if file.startswith("describe-nodes-"):
            node = file.removeprefix("describe-nodes-")
            for line in text.partition("\nEvents:")[2].splitlines():
                if match := _LINE.match(line):
                    for age in (match[2], match[3]):
                        if age:
                            yield Trace(age_seconds(age), node, match[1], match[4], match[5])
        elif file.startswith("get-events"):
            for line in text.splitlines():
                if match := _LISTED.match(line):
                    age = age_seconds(match[1])
                    if match[3] == "lease":
                        yield Trace(age, control_plane, match[2], match[4], match[5])
                    elif match[3] == "pod" and match[2] == "SandboxChanged" and "-" in match[4]:
                        yield Trace(age, "", "Rebooted", "kubelet", "all of them")
                    elif match[3] == "node":
                        source = "kube-proxy" if match[2] == "Starting" and not match[5] else "kubelet"
                        yield Trace(age, match[4], match[2], source, match[5])


def deeds(found: list[Trace], younger_than: int) -> list[Deed]:
    """What must have been done before the application was deployed, the oldest first."""
    old = [item for item in found if item.age > younger_than + 20]
    reboots = {(item.node, _minute(item.age)) for item in old if item.reason == "Rebooted"}
    starts = {(item.node, _minute(item.age)) for item in old if item.message.startswith("Starting kubelet")}
    out: set[Deed] = set()
    for item in old:
        ago = min(item.age, _LONGEST)
        where = (item.node, _minute(item.age))
        rebooted = any((item.node, where[1] + shift) in reboots for shift in (-1, 0, 1))
        if item.reason == "Rebooted":
            out.add(Deed(ago + 30, "reboot", item.node))
        elif ("", where[1]) in reboots:
            continue  # a trace of that start of the whole cluster
        elif item.reason == "Starting" and item.source == "kubelet" and not rebooted:
            out.add(Deed(ago, "restart", item.node, "kubelet"))
        elif item.reason == "Starting" and item.source == "kube-proxy" and not rebooted:
            out.add(Deed(ago, "restart", item.node, "kube-proxy"))
        elif item.reason == "NodeReady" and item.source == "kubelet" and where not in starts and not rebooted:
            out.add(Deed(ago, "restart", item.node, "containerd"))
        elif item.reason == "LeaderElection":
            out.add(Deed(ago, "restart", item.node, item.source))
        elif item.reason == "NodeNotSchedulable" and not rebooted:
            out.add(Deed(ago, "cordon", item.node))
    masters = {
        item.node for item in old if item.source == "node-controller" and item.reason == "RegisteredNode"
    }
    if masters and not any(item.part == "kube-controller-manager" for item in out):
        age = min(item.age for item in old if item.reason == "RegisteredNode")
        out.add(Deed(min(age, _LONGEST), "restart", "", "kube-controller-manager"))
    return _spaced(sorted(out, reverse=True))


def _minute(age: int) -> int:
    return age // 60


def _spaced(ordered: list[Deed]) -> list[Deed]:
    """Without repetitions that stand for the same deed, seen by two files a few seconds apart."""
    kept: list[Deed] = []
    for item in ordered:
        same = [
            other
            for other in kept
            if (other.what, other.node, other.part) == (item.what, item.node, item.part)
        ]
        if not same or same[-1].ago - item.ago > 75:
            kept.append(item)
    return kept


def relive(world: World, done: list[Deed], until: int, control_plane: str) -> None:
    """Do it all again, and stop so many seconds before the end."""
    left = max((item.ago for item in done), default=until) + 90
    left = max(left, until)
    for moment, item, start in _timeline(done):
        stop_at = max(moment, until + 1)
        if left > stop_at:
            world.run_for((left - stop_at) * _MS)
            left = stop_at
        _do(world, item, start, control_plane)
    world.run_for(max(left - until, 0) * _MS)


def _timeline(done: list[Deed]) -> list[tuple[int, Deed, bool]]:
    """Moments in seconds before the end: a restart begins with the stop, a cordon ends a little later."""
    out: list[tuple[int, Deed, bool]] = []
    for item in done:
        if item.what == "restart":
            down = 70 if item.part in {"kubelet", "containerd"} else 12
            out += [(item.ago + down, item, False), (item.ago, item, True)]
        elif item.what == "cordon":
            out += [(item.ago, item, False), (item.ago - 12, item, True)]
        else:
            out.append((item.ago, item, True))
    return sorted(out, key=lambda entry: -entry[0])


def _do(world: World, item: Deed, start: bool, control_plane: str) -> None:
    node = item.node or control_plane
    if item.what == "reboot":
        for name in (
            [item.node] if item.node else [obj["metadata"]["name"] for obj in Client(world).list("nodes")]
        ):
            nodes.reboot(world, name)
    elif item.what == "cordon":
        Client(world).patch("nodes", "", node, {"spec": {"unschedulable": None if start else True}})
    elif start:
        nodes.start(world, node, item.part)
    else:
        nodes.stop(world, node, item.part)
