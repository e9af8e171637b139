"""Labels of namespaces and nodes that decide how programs are treated there."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from firedrill.agents.oncall.doing import short_of_pods
from firedrill.agents.oncall.earlier import key_of
from firedrill.agents.oncall.fields import writes
from firedrill.agents.oncall.steps import Scene, Step, changed, entity_of, patch
from firedrill.agents.sleuth.case import mapping

_SUFFERING = ("Deployment", "StatefulSet", "DaemonSet")
_UNSAFE = re.compile(r"[^a-zA-Z0-9_]")


def labels(scene: Scene, entity: str, why: str) -> Iterator[Step]:
    """Labels that somebody has put on a namespace or a node are what they were, or taken off."""
    found = scene.get(entity)
    if found is None or found[1]["kind"] not in ("Namespace", "Node"):
        return
    obj = found[1]
    now = dict(mapping(obj, "metadata", "labels"))
    written = {
        path[2][2:]
        for one in writes(obj, scene.before.base)
        for path in one.paths()
        if path[:2] == ("f:metadata", "f:labels") and len(path) > 2
    }
    had = scene.before.labels.get(key_of(obj), {})
    wanted = dict(now)
    for key in sorted(written | _spelled(scene, obj, had)):
        usual = had.get(sanitized(key))
        if usual is not None:
            wanted[key] = usual
        elif key in written:
            wanted.pop(key, None)
    action = patch(scene, obj, changed(obj, "metadata", "labels", value=wanted))
    if action is not None:
        keys = ", ".join(sorted(key for key in {*now, *wanted} if now.get(key) != wanted.get(key)))
        step = Step(
            entity, f"{entity}: put its labels back ({keys})", why, (action,),
            workloads=suffering(scene, key_of(obj)[2]) if obj["kind"] == "Namespace" else (),
        )  # fmt: skip
        yield step


def sanitized(key: str) -> str:
    """A label's name as series spell it."""
    return f"label_{_UNSAFE.sub('_', key)}"


def _spelled(scene: Scene, obj: Mapping[str, Any], had: Mapping[str, str]) -> set[str]:
    """The real names of labels that an object had and has no more, as its peers spell them."""
    now = {sanitized(key) for key in mapping(obj, "metadata", "labels")}
    lost = set(had) - now
    peers = scene.of(str(obj["kind"]))
    return {key for peer in peers for key in mapping(peer, "metadata", "labels") if sanitized(key) in lost}


def suffering(scene: Scene, namespace: str) -> tuple[str, ...]:
    """The workloads of a namespace that lack pods: they try again only after long pauses."""
    found = scene.of(*_SUFFERING, namespace=namespace)
    return tuple(entity_of(item) for item in found if short_of_pods(item))
