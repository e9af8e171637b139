"""Volumes of running pods follow their ConfigMaps, Secrets and labels after a while; variables never do.

Source: the kubelet syncs each pod about once a minute, from a cache that is itself up to half a minute old.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from firedrill.world.kube.controllers import base
from firedrill.world.kube.kubelet import probes, sync, volumes
from firedrill.world.kube.kubelet.state import PodState, find_pod, keep, node_of
from firedrill.world.kube.objects import Obj, dig, is_deleting, name_of, namespace_of
from firedrill.world.kube.store import Change

if TYPE_CHECKING:
    from firedrill.world.world import World

NAME = "kubelet-volumes"
_DELAY = (60_000, 90_000)
_AGAIN = (100_000, 130_000)


def _mounts(pod: Obj, resource: str, name: str) -> bool:
    return any(
        source[0][:2] == (resource, name)
        for volume in pod["spec"].get("volumes") or ()
        for source in volumes.sources(volume)
    )


def _keys(world: World, change: Change) -> Iterable[str]:
    old, new = change.previous, change.obj
    same = old is not None and all(old.get(key) == new.get(key) for key in ("data", "binaryData"))
    if same and change.type == "MODIFIED":
        return ()
    namespace, name = namespace_of(new), name_of(new)
    return [
        base.key_of(namespace, name_of(pod))
        for pod in world.cluster.store.list("pods", namespace)
        if _mounts(pod, change.resource, name)
    ]


def _labels(_: World, change: Change) -> Iterable[str]:
    old, new = change.previous, change.obj
    if old is None or change.type != "MODIFIED":
        return ()
    told = ("labels", "annotations")
    if all(dig(old, "metadata", key) == dig(new, "metadata", key) for key in told):
        return ()
    return (base.key_of(namespace_of(new), name_of(new)),)


def _refresh(world: World, key: str) -> None:
    namespace, name = base.split_key(key)
    pod, state = world.cluster.store.get("pods", namespace, name), find_pod(world, namespace, name)
    node = node_of(world, state.node) if state is not None else None
    if pod is None or state is None or node is None or not state.mounted or is_deleting(pod):
        return
    if not node.runs("kubelet") or state.verdict[0]:
        return
    lost = volumes.problems(world, pod)
    for _, message in lost:
        sync.tell(world, pod, "Warning", "FailedMount", message)
    if lost:
        base.enqueue(world, NAME, key, world.rng.integer(*_AGAIN, "kubelet.volumes", key, world.now))
    _show(world, state, volumes.shows(world, pod, state), {volume for volume, _ in lost})


def _show(world: World, state: PodState, fresh: Mapping[str, Mapping[str, str]], lost: set[str]) -> None:
    shown = {**state.shown, **{name: text for name, text in fresh.items() if name not in lost}}
    if shown != state.shown:
        keep(world, replace(state, shown=shown))
        probes.wake(world, state.namespace, state.name)


base.register(
    base.Controller(
        NAME,
        "kubelet",
        {"configmaps": _keys, "secrets": _keys, "pods": _labels},
        _refresh,
        lambda _: (),
        delay=_DELAY,
    )
)
