"""Workloads: back to the template that ran before, and to as many pods as there were."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from typing import Any

from firedrill.agents.oncall.earlier import key_of
from firedrill.agents.oncall.fields import touches, writes
from firedrill.agents.oncall.steps import Obj, Scene, Step, changed, patch
from firedrill.agents.sleuth.case import mapping

KINDS = ("Deployment", "StatefulSet", "DaemonSet")
_RESTARTED = "kubectl.kubernetes.io/restartedAt"
_EARLIEST_S = 20 * 60.0
"""How long before the onset a change may be that is taken back."""


def undo(scene: Scene, entity: str, why: str) -> Iterator[Step]:
    """What somebody changed of a workload shortly before the onset, taken back."""
    found = scene.get(entity)
    if found is None or found[1]["kind"] not in KINDS:
        return
    obj = found[1]
    wanted: Obj = copy.deepcopy(obj)
    said = []
    replicas = _replicas(scene, obj)
    if replicas is not None:
        wanted = changed(wanted, "spec", "replicas", value=replicas)
        said.append(f"scale it back to {replicas}")
    template = former(scene, obj)
    if template is not None:
        wanted = changed(wanted, "spec", "template", value=template)
        said.append("go back to the template that ran before")
    action = patch(scene, obj, wanted)
    if action is not None:
        yield Step(entity, f"{entity}: {' and '.join(said)}", why, (action,))


def former(scene: Scene, obj: Mapping[str, Any]) -> Obj | None:
    """The last template that differs from the present one by more than a restart; None where it did not."""
    now = mapping(obj, "spec", "template")
    states = scene.before.states.get(key_of(obj), [])
    after = scene.found.now
    for state in reversed(states):
        then = mapping(state.body, "spec", "template")
        if then and meaning(then) != meaning(now):
            # it was replaced when the next one came
            return dict(then) if after >= scene.onset - _EARLIEST_S else None
        after = state.time
    return None


def meaning(template: Mapping[str, Any]) -> Obj:
    """A template without the mark of a restart."""
    notes = {
        key: item for key, item in mapping(template, "metadata", "annotations").items() if key != _RESTARTED
    }
    labels = dict(mapping(template, "metadata", "labels"))
    return {"annotations": notes, "labels": labels, "spec": mapping(template, "spec")}


def _replicas(scene: Scene, obj: Mapping[str, Any]) -> int | None:
    """As many as there were, where there are none now, or fewer since somebody wrote it."""
    now = mapping(obj, "spec").get("replicas")
    states = scene.before.states.get(key_of(obj), [])
    usual = [mapping(state.body, "spec").get("replicas") for state in states]
    most = max((count for count in usual if isinstance(count, int)), default=None)
    if not isinstance(now, int) or most is None or now >= most:
        return None
    wrote = touches(writes(obj, scene.before.base), "spec", "replicas")
    return most if now == 0 or wrote else None


def restart(scene: Scene, entity: str, stamp: str) -> Any:
    """The request that starts the pods of a workload anew, one after another."""
    found = scene.get(entity)
    if found is None or found[1]["kind"] not in KINDS:
        return None
    obj = found[1]
    notes = {**mapping(obj, "spec", "template", "metadata", "annotations"), _RESTARTED: stamp}
    return patch(scene, obj, changed(obj, "spec", "template", "metadata", "annotations", value=notes))
