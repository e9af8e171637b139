"""ReplicaSet and ReplicationController: so many pods, no more and no fewer.

Source: kube-controller-manager 1.31, `pkg/controller/replicaset`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from firedrill.world.kube import selectors
from firedrill.world.kube.api.client import Client, component_client
from firedrill.world.kube.api.errors import ApiError
from firedrill.world.kube.controllers import _pods
from firedrill.world.kube.controllers.base import (
    Controller,
    all_keys,
    enqueue,
    key_of,
    own_key,
    register,
    split_key,
)
from firedrill.world.kube.objects import (
    Obj,
    condition,
    controller_of,
    dig,
    is_deleting,
    labels_of,
    name_of,
    namespace_of,
    uid_of,
)

if TYPE_CHECKING:
    from firedrill.world.world import World

_BURST = 500
_NEXT_BURST = 1_000


@dataclass(frozen=True, slots=True)
class Flavour:
    """One of the two kinds that are the same."""

    controller: str
    resource: str
    kind: str


REPLICA_SET = Flavour("replicaset-controller", "replicasets.apps", "ReplicaSet")
REPLICATION_CONTROLLER = Flavour("replication-controller", "replicationcontrollers", "ReplicationController")


def wanted_replicas(workload: Mapping[str, Any]) -> int:
    """`spec.replicas`, which is 1 where it is not given."""
    return int(dig(workload, "spec", "replicas", default=1))


def _reconcile(flavour: Flavour, world: World, key: str) -> None:
    rs = world.cluster.store.get(flavour.resource, *split_key(key))
    if rs is None:
        return
    client = component_client(world, flavour.controller)
    wanted = _pods.requirements_of(_pods.selector_of(rs))
    pods = [pod for pod in _pods.claim(client, rs, wanted) if _pods.is_active(pod)]
    problem: ApiError | None = None
    if not is_deleting(rs):
        try:
            _manage(client, flavour, rs, pods)
        except ApiError as caught:
            problem = caught
    _pods.rest_after(world, flavour.controller, key, len(pods))
    status = _status(world, rs, pods, problem)
    client.update_status(rs, status)
    if problem is not None:
        raise problem
    _look_again(world, flavour, key, rs, pods)


def _manage(client: Client, flavour: Flavour, rs: Obj, pods: Sequence[Obj]) -> None:
    missing = wanted_replicas(rs) - len(pods)
    if missing > 0:
        now = _pods.still_to_make(client.world, pods, missing, _BURST)
        _create(client, flavour, rs, now)
        if now < missing:
            enqueue(client.world, flavour.controller, key_of(namespace_of(rs), name_of(rs)), _NEXT_BURST)
    elif missing < 0:
        _delete(client, flavour, rs, pods, min(-missing, _BURST))


def _create(client: Client, flavour: Flavour, rs: Obj, count: int) -> None:
    pod = _pods.pod_from(dig(rs, "spec", "template", default={}), rs)
    for batch in _pods.slow_start(count):
        problem: ApiError | None = None
        for _ in range(batch):
            try:
                _pods.create_pod(client, rs, pod, flavour.controller)
            except ApiError as caught:
                if _pods.of_ending_namespace(caught):
                    return
                problem = problem or caught
        if problem is not None:
            raise problem


def _delete(client: Client, flavour: Flavour, rs: Obj, pods: Sequence[Obj], count: int) -> None:
    chosen = list(pods)
    if count < len(pods):
        chosen = _pods.deletion_order(client.world, pods, _ranks(client.world, flavour, rs, pods))
    problem: ApiError | None = None
    for pod in chosen[:count]:
        try:
            _pods.delete_pod(client, rs, pod, flavour.controller)
        except ApiError as caught:
            problem = problem or caught
    if problem is not None:
        raise problem


def _ranks(world: World, flavour: Flavour, rs: Obj, pods: Sequence[Obj]) -> dict[str, int]:
    """How crowded each pod's node is with pods of the same owner's sets."""
    related = {uid_of(pod): pod for pod in pods}
    above = controller_of(rs)
    if above is not None:
        for resource, namespace, name in world.cluster.store.owned_by(str(above["uid"])):
            sibling = world.cluster.store.get(resource, namespace, name)
            if resource == flavour.resource and sibling is not None:
                related |= {uid_of(pod): pod for pod in _pods.owned(world, sibling) if _pods.is_active(pod)}
    on_node: dict[str, int] = {}
    for pod in related.values():
        node = str(dig(pod, "spec", "nodeName", default=""))
        on_node[node] = on_node.get(node, 0) + 1
    return {uid_of(pod): on_node[str(dig(pod, "spec", "nodeName", default=""))] for pod in pods}


def _status(world: World, rs: Obj, pods: Sequence[Obj], problem: ApiError | None) -> Obj:
    min_ready = int(dig(rs, "spec", "minReadySeconds", default=0))
    labels = selectors.from_object(
        {"matchLabels": dig(rs, "spec", "template", "metadata", "labels", default={})}
    )
    counts = {
        "fullyLabeledReplicas": sum(selectors.matches(labels or (), labels_of(pod)) for pod in pods),
        "readyReplicas": sum(map(_pods.is_ready, pods)),
        "availableReplicas": sum(_pods.is_available(pod, min_ready, world.now) for pod in pods),
    }
    status: Obj = {"replicas": len(pods), **{key: count for key, count in counts.items() if count}}
    generation = rs["metadata"].get("generation")
    if generation:
        status["observedGeneration"] = generation
    conditions = list(dig(rs, "status", "conditions", default=()))
    failure = condition(rs, "ReplicaFailure")
    if problem is not None and failure is None:
        conditions.append(
            {
                "type": "ReplicaFailure",
                "status": "True",
                "lastTransitionTime": world.time,
                "reason": "FailedCreate" if len(pods) < wanted_replicas(rs) else "FailedDelete",
                "message": problem.message,
            }
        )
    elif problem is None and failure is not None:
        conditions = [item for item in conditions if item.get("type") != "ReplicaFailure"]
    if conditions:
        status["conditions"] = conditions
    return status


def _look_again(world: World, flavour: Flavour, key: str, rs: Obj, pods: Sequence[Obj]) -> None:
    """A pod becomes available by time alone."""
    min_ready = int(dig(rs, "spec", "minReadySeconds", default=0))
    waits = [_pods.available_in(pod, min_ready, world.now) for pod in pods]
    if next_one := min((wait for wait in waits if wait), default=0):
        enqueue(world, flavour.controller, key, next_one)


def _reconcile_rs(world: World, key: str) -> None:
    _reconcile(REPLICA_SET, world, key)


def _reconcile_rc(world: World, key: str) -> None:
    _reconcile(REPLICATION_CONTROLLER, world, key)


for _flavour, _function in ((REPLICA_SET, _reconcile_rs), (REPLICATION_CONTROLLER, _reconcile_rc)):
    register(
        Controller(
            name=_flavour.controller,
            component="kube-controller-manager",
            watches={
                _flavour.resource: own_key,
                "pods": _pods.stray_or_owned(_flavour.resource, _flavour.kind),
            },
            reconcile=_function,
            resync=all_keys(_flavour.resource),
        )
    )
