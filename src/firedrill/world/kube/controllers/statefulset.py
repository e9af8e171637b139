"""Stateful sets: pods with names, one after the other.

Source: kube-controller-manager 1.31, `pkg/controller/statefulset/stateful_set_control.go`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from firedrill.world.kube.api.client import Client, component_client
from firedrill.world.kube.api.errors import ApiError
from firedrill.world.kube.controllers import _pods, statefulset_pods
from firedrill.world.kube.controllers._revisions import (
    POD_HASH,
    clear_revisions,
    current_revision,
    revisions_of,
    template_of,
)
from firedrill.world.kube.controllers.base import (
    Controller,
    all_keys,
    enqueue,
    key_of,
    own_key,
    register,
    split_key,
)
from firedrill.world.kube.controllers.replicaset import wanted_replicas
from firedrill.world.kube.controllers.statefulset_pods import NAME, is_healthy, ordinal_of, runs, start_of
from firedrill.world.kube.objects import Obj, dig, is_deleting, labels_of, name_of, namespace_of

if TYPE_CHECKING:
    from firedrill.world.world import World

_RESOURCE = "statefulsets.apps"
_BURST, _NEXT_BURST = 500, 1_000
_HASH = "controller.kubernetes.io/hash"


def _reconcile(world: World, key: str) -> None:
    owner = world.cluster.store.get(_RESOURCE, *split_key(key))
    if owner is None:
        return
    client = component_client(world, NAME)
    requirements = _pods.requirements_of(_pods.selector_of(owner))
    pods = _mine(client, owner, requirements)
    known = revisions_of(client, owner)
    update, known = current_revision(client, owner, known, _HASH)
    name = dig(owner, "status", "currentRevision")
    current = next((item for item in known if name_of(item) == name), update)
    problem: ApiError | None = None
    if not is_deleting(owner):
        try:
            _step(client, owner, pods, current, update)
        except ApiError as caught:
            problem = caught
    left = [pod for pod in _pods.owned(world, owner) if ordinal_of(pod, owner) >= 0]
    _pods.rest_after(world, NAME, key, len(left))
    status = _status(world, owner, left, name_of(current), name_of(update))
    client.update_status(owner, status)
    if problem is not None:
        raise problem
    live = {name_of(current), name_of(update), *(_revision(pod) for pod in left)}
    clear_revisions(client, owner, known, live)
    _look_again(world, key, owner, left)


def _mine(client: Client, owner: Obj, requirements: _pods.Requirements | None) -> list[Obj]:
    pods = _pods.claim(client, owner, requirements, finished=True)
    return [pod for pod in pods if ordinal_of(pod, owner) >= 0]


def _revision(pod: Obj) -> str:
    return str(labels_of(pod).get(POD_HASH, ""))


def _step(client: Client, owner: Obj, pods: list[Obj], current: Obj, update: Obj) -> None:
    start, count = start_of(owner), wanted_replicas(owner)
    by_ordinal = {ordinal_of(pod, owner): pod for pod in pods}
    every = range(start, start + count)
    monotonic = dig(owner, "spec", "podManagementPolicy") != "Parallel"
    room = 1 if monotonic else _pods.still_to_make(client.world, pods, count - len(pods), _BURST)
    near = [*every[: len(by_ordinal) + room], *(number for number in by_ordinal if number in every)]
    inside = {number: by_ordinal.get(number) for number in sorted(set(near))}
    condemned = sorted((number for number in by_ordinal if number not in every), reverse=True)
    for number, pod in inside.items():
        if pod is None and room <= 0:
            enqueue(client.world, NAME, key_of(namespace_of(owner), name_of(owner)), _NEXT_BURST)
            return
        if pod is None:
            revision = current if _wants_current(owner, number) else update
            made = statefulset_pods.pod_of(owner, template_of(revision), name_of(revision), number)
            statefulset_pods.create(client, owner, made)
            room -= 1
            if monotonic:
                return
        elif _must_wait(client, owner, pod, monotonic=monotonic):
            return
    if _condemn(client, owner, [by_ordinal[number] for number in condemned], inside, monotonic=monotonic):
        return
    _replace(client, owner, inside, name_of(update))


def _wants_current(owner: Obj, number: int) -> bool:
    """Whether a pod of that number is made of the template before the one that is being rolled out."""
    if dig(owner, "spec", "updateStrategy", "type", default="RollingUpdate") != "RollingUpdate":
        return False
    partition = dig(owner, "spec", "updateStrategy", "rollingUpdate", "partition")
    if partition is None:
        return number < start_of(owner) + int(dig(owner, "status", "currentReplicas", default=0))
    return number < start_of(owner) + int(partition)


def _must_wait(client: Client, owner: Obj, pod: Obj, *, monotonic: bool) -> bool:
    """See to a pod that is there; whether nothing else may be done before it is well."""
    if dig(pod, "status", "phase") in {"Failed", "Succeeded"}:
        if not is_deleting(pod):
            statefulset_pods.delete(client, owner, pod)
        return True
    if dig(pod, "status", "phase", default="Pending") == "Pending":
        statefulset_pods.create_claims(client, owner, pod)
    if monotonic:
        min_ready = int(dig(owner, "spec", "minReadySeconds", default=0))
        available = _pods.is_available(pod, min_ready, client.world.now)
        if is_deleting(pod) or not runs(pod) or not available:
            return True
    statefulset_pods.own_claims(client, owner, pod, condemned=False)
    return False


def _condemn(
    client: Client, owner: Obj, condemned: list[Obj], inside: dict[int, Obj | None], *, monotonic: bool
) -> bool:
    """Delete pods beyond the last number, from the highest down; whether to stop here."""
    min_ready = int(dig(owner, "spec", "minReadySeconds", default=0))
    sick = [pod for pod in [*inside.values(), *condemned] if pod and not is_healthy(pod)]
    for pod in condemned:
        statefulset_pods.own_claims(client, owner, pod, condemned=True)
    for pod in condemned:
        if is_deleting(pod):
            if monotonic:
                return True
            continue
        well = runs(pod) and _pods.is_available(pod, min_ready, client.world.now)
        if not well and monotonic and sick and pod is not sick[0]:
            return True
        statefulset_pods.delete(client, owner, pod)
        if monotonic:
            return True
    return False


def _replace(client: Client, owner: Obj, inside: dict[int, Obj | None], update: str) -> None:
    """Delete the highest pod that is not of the new template, once all above it are well."""
    strategy = dig(owner, "spec", "updateStrategy", default={})
    if strategy.get("type") == "OnDelete":
        return
    first = int(dig(strategy, "rollingUpdate", "partition", default=0)) + start_of(owner)
    for number in sorted(inside, reverse=True):
        pod = inside[number]
        if number < first:
            return
        if pod is not None and _revision(pod) != update and not is_deleting(pod):
            statefulset_pods.delete(client, owner, pod)
            return
        if not is_healthy(pod):
            return


def _status(world: World, owner: Obj, pods: list[Obj], current: str, update: str) -> Obj:
    min_ready = int(dig(owner, "spec", "minReadySeconds", default=0))
    ready = [pod for pod in pods if runs(pod)]
    staying = [pod for pod in pods if not is_deleting(pod)]
    count = wanted_replicas(owner)
    updated = sum(_revision(pod) == update for pod in staying)
    now_current = sum(_revision(pod) == current for pod in staying)
    rolling = dig(owner, "spec", "updateStrategy", "type", default="RollingUpdate") == "RollingUpdate"
    if rolling and updated == len(ready) == len(pods) == count:
        current, now_current = update, updated
    status: Obj = {
        "observedGeneration": int(owner["metadata"].get("generation") or 0),
        "replicas": len(pods),
        "availableReplicas": sum(_pods.is_available(pod, min_ready, world.now) for pod in ready),
        "collisionCount": int(dig(owner, "status", "collisionCount", default=0)),
        "currentRevision": current,
        "updateRevision": update,
    }
    more = {"readyReplicas": len(ready), "currentReplicas": now_current, "updatedReplicas": updated}
    return status | {key: number for key, number in more.items() if number}


def _look_again(world: World, key: str, owner: Obj, pods: list[Obj]) -> None:
    min_ready = int(dig(owner, "spec", "minReadySeconds", default=0))
    waits = [_pods.available_in(pod, min_ready, world.now) for pod in pods]
    if next_one := min((wait for wait in waits if wait), default=0):
        enqueue(world, NAME, key, next_one)


register(
    Controller(
        name=NAME,
        component="kube-controller-manager",
        watches={_RESOURCE: own_key, "pods": _pods.stray_or_owned(_RESOURCE, "StatefulSet")},
        reconcile=_reconcile,
        resync=all_keys(_RESOURCE),
    )
)
