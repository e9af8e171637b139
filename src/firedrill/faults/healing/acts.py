"""Doing what a plan says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from firedrill.faults.base import OPERATOR, Injection, Undo
from firedrill.faults.healing.places import Place
from firedrill.faults.healing.plans import Plan, plan
from firedrill.faults.repairing import apply, restart_of
from firedrill.faults.reverting import evicted, fresh, revert
from firedrill.world.kube.api import ApiError, Client
from firedrill.world.kube.objects import Obj, condition, controller_of, dig, labels_of, name_of, namespace_of
from firedrill.world.kube.selectors import selects

if TYPE_CHECKING:
    from firedrill.world import World

_SETS = "statefulsets.apps"
_GONE_MS = 5 * 60_000
"""How long something may take to be deleted before it is made anew."""


@dataclass(frozen=True, slots=True)
class Healed:
    """What was done.

    Attributes:
        back: objects and conditions that are as before, as `resource/namespace/name`.
        restarted: workloads whose pods start anew.
        replaced: pods that were deleted for others to come.
        refused: what the API did not allow, and why.
    """

    back: tuple[str, ...] = ()
    restarted: tuple[str, ...] = ()
    replaced: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()


def heal(
    world: World,
    entities: Sequence[str],
    *,
    before: World,
    injections: Sequence[Injection],
    lift: bool = True,
) -> Healed:
    """Bring entities back to what they were; to be called on a fork, whose controllers go on.

    What was changed since `before` has its last version from then; what was created is deleted with what it
    owns; what was deleted is made again; a condition of the entity that no object shows ends; of what is
    unchanged, only pods are replaced. Pods that use a ConfigMap or Secret that goes back start anew; evicted
    pods of a workload that goes back are cleared away.

    Args:
        world: where.
        entities: as `namespace/Kind/name`; what is not there is left alone.
        before: a fork from right before the first injection.
        injections: what was done since.
        lift: a pod or ReplicaSet stands for the workload that owns it.
    """
    return carry_out(world, plan(world, entities, before=before, injections=injections, lift=lift))


def carry_out(world: World, todo: Plan) -> Healed:
    """Do what the plan says; what the API refuses is told, not raised."""
    client = Client(world, manager=OPERATOR, trusted=True)
    back, refused = [], []
    for step in todo.back:
        text = "/".join((step.resource, step.namespace, step.name))
        try:
            _undo(world, client, step)
            back.append(text)
            _clear(world, client, step)
        except ApiError as refusal:
            refused.append(f"{text}: {refusal.message}")
    for place in todo.restart:
        apply(world, restart_of(*place[:3]))
        _unblock(world, client, place)
    for namespace, name in todo.replace:
        pod = client.find("pods", namespace, name)
        if pod is not None and controller_of(pod) is not None:
            client.delete("pods", namespace, name)
        elif pod is not None:
            _anew(world, client, Undo("pods", namespace, name, pod))
    return Healed(
        tuple(back),
        tuple(str(place) for place in todo.restart),
        tuple("/".join(pod) for pod in todo.replace),
        tuple(refused),
    )


def _undo(world: World, client: Client, step: Undo) -> None:
    now = client.find(step.resource, step.namespace, step.name)
    try:
        revert(world, Injection("", {}, (), (step,), world.now))
    except ApiError:
        if step.was is None or now is None:
            raise
        _anew(world, client, step)
    template = ("spec", "template")
    if step.was is not None and step.resource == _SETS and dig(now, *template) != dig(step.was, *template):
        _unblock(world, client, Place(_SETS, step.namespace, step.name, "StatefulSet"))


def _clear(world: World, client: Client, step: Undo) -> None:
    """The evicted pods of a workload go once it is well again: nothing else removes them for hours."""
    if step.was is None or dig(step.was, "spec", "template") is None:
        return
    for pod in evicted(world):
        if namespace_of(pod) == step.namespace and selects(dig(step.was, "spec", "selector"), labels_of(pod)):
            client.delete("pods", step.namespace, name_of(pod))


def _anew(world: World, client: Client, step: Undo) -> None:
    """What cannot be changed in place is deleted and made again."""
    place = (step.resource, step.namespace, step.name)
    client.delete(*place, propagation="Background")
    world.run_until(lambda w: w.cluster.store.get(*place) is None, _GONE_MS)
    assert step.was is not None
    client.create(fresh(step.was))


def _unblock(world: World, client: Client, place: Place) -> None:
    """A StatefulSet waits for its broken pods for ever: they are deleted, as its documentation tells."""
    owner = client.find(*place[:3])
    if place.resource != _SETS or owner is None:
        return
    for pod in client.list("pods", place.namespace):
        if selects(owner["spec"]["selector"], labels_of(pod)) and not _ready(pod):
            client.delete("pods", place.namespace, name_of(pod))


def _ready(pod: Obj) -> bool:
    return (condition(pod, "Ready") or {}).get("status") == "True"
