"""Pod disruption budgets: how many pods may be evicted now, and whether this one may be.

Sources: kube-controller-manager 1.31, `pkg/controller/disruption`; the eviction subresource of the API
server, `pkg/registry/core/pod/storage/eviction.go`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from firedrill.world.kube import events, selectors
from firedrill.world.kube.api.client import Client, component_client
from firedrill.world.kube.api.errors import ApiError
from firedrill.world.kube.controllers import _pods
from firedrill.world.kube.controllers._numbers import scaled
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
from firedrill.world.kube.store import Change
from firedrill.world.sim.clock import epoch_ms

if TYPE_CHECKING:
    from firedrill.world.world import World

NAME = "disruption-controller"
_TELLER = "controllermanager"
_RESOURCE = "poddisruptionbudgets.policy"
_DELETION_TIMEOUT = 120_000
_MANY_DISRUPTED = 2000
_SCALABLE = {
    "ReplicaSet": "replicasets.apps",
    "ReplicationController": "replicationcontrollers",
    "StatefulSet": "statefulsets.apps",
    "Deployment": "deployments.apps",
}


class _Unknown(Exception):
    """It cannot be told how many pods there should be."""


def _fits(pdb: Mapping[str, Any], pod: Mapping[str, Any]) -> bool:
    try:
        return selectors.selects(dig(pdb, "spec", "selector"), labels_of(pod))
    except selectors.SelectorError:
        return False


def _reconcile(world: World, key: str) -> None:
    pdb = world.cluster.store.get(_RESOURCE, *split_key(key))
    if pdb is None:
        return
    client = component_client(world, NAME)
    pods = [pod for pod in world.cluster.store.list("pods", namespace_of(pdb)) if _fits(pdb, pod)]
    if not pods:
        _tell(world, pdb, "Normal", "NoPods", "No matching pods found")
    try:
        expected, desired = _expected(world, pdb, pods)
    except _Unknown as problem:
        text = f"Failed to calculate the number of expected pods: {problem}"
        _tell(world, pdb, "Warning", "CalculateExpectedPodCountFailed", text)
        status = dict(pdb.get("status") or {})
        status |= {"disruptionsAllowed": 0, "observedGeneration": pdb["metadata"].get("generation", 0)}
        status["conditions"] = _conditions(world, pdb, 0, failure=str(problem))
        client.update_status(pdb, status)
        return
    disrupted, wait = _disrupted(world, pdb, pods)
    healthy = sum(
        _pods.is_ready(pod) for pod in pods if not is_deleting(pod) and name_of(pod) not in disrupted
    )
    allowed = max(healthy - desired, 0) if expected > 0 else 0
    new: Obj = {
        "observedGeneration": int(pdb["metadata"].get("generation") or 0),
        "disruptionsAllowed": allowed,
        "currentHealthy": healthy,
        "desiredHealthy": desired,
        "expectedPods": expected,
        "conditions": _conditions(world, pdb, allowed),
    }
    if disrupted:
        new["disruptedPods"] = disrupted
    client.update_status(pdb, new)
    if wait is not None:
        enqueue(world, NAME, key, wait)


def _tell(world: World, pdb: Obj, type_: str, reason: str, text: str) -> None:
    events.record(world, pdb, type_, reason, text, component=_TELLER)


def _expected(world: World, pdb: Obj, pods: list[Obj]) -> tuple[int, int]:
    """(how many pods there should be, how many of them must be healthy)."""
    most, least = dig(pdb, "spec", "maxUnavailable"), dig(pdb, "spec", "minAvailable")
    if most is not None:
        expected = _scale_of(world, pdb, pods)
        return expected, max(expected - scaled(most, expected, up=True), 0)
    if isinstance(least, int):
        return len(pods), least
    if least is not None:
        expected = _scale_of(world, pdb, pods)
        return expected, scaled(least, expected, up=True)
    return len(pods), 1


def _scale_of(world: World, pdb: Obj, pods: list[Obj]) -> int:
    """The sum of what the pods' controllers want."""
    sizes: dict[str, int] = {}
    unmanaged = []
    for pod in pods:
        above = controller_of(pod)
        if above is None:
            unmanaged.append(name_of(pod))
            continue
        owner = _managed(world, namespace_of(pod), above)
        if owner is None:
            raise _Unknown(f'found no controllers for pod "{name_of(pod)}"')
        higher = controller_of(owner)
        if owner["kind"] == "ReplicaSet" and higher is not None:
            owner = _managed(world, namespace_of(pod), higher) or owner
        sizes[uid_of(owner)] = wanted_replicas(owner)
    if unmanaged:
        wanted = dig(pdb, "spec", "selector", "matchLabels", default={})
        shown = ",".join(f"{key}={text}" for key, text in sorted(wanted.items()))
        text = (
            f"Pods selected by this PodDisruptionBudget (selector: {shown}) were found to be unmanaged. As a "
            "result, the status of the PDB cannot be calculated correctly, which may result in undefined "
            'behavior. To account for these pods please set ".spec.minAvailable" field of the PDB to an '
            "integer value."
        )
        _tell(world, pdb, "Warning", "UnmanagedPods", text)
    return sum(sizes.values())


def _managed(world: World, namespace: str, above: Mapping[str, Any]) -> Obj | None:
    resource = _SCALABLE.get(str(above.get("kind")))
    found = world.cluster.store.get(resource, namespace, str(above.get("name"))) if resource else None
    return found if found is not None and uid_of(found) == above.get("uid") else None


def _disrupted(world: World, pdb: Obj, pods: list[Obj]) -> tuple[dict[str, str], int | None]:
    """The pods whose eviction has been allowed and has not been seen yet, and when to look again."""
    here = {name_of(pod): pod for pod in pods}
    kept: dict[str, str] = {}
    waits = []
    for name, when in sorted(dig(pdb, "status", "disruptedPods", default={}).items()):
        pod = here.get(name)
        left = epoch_ms(when) + _DELETION_TIMEOUT - world.now
        if pod is None or is_deleting(pod):
            continue
        if left < 0:
            budget = f"{namespace_of(pdb)}/{name_of(pdb)}"
            text = f"Pod {namespace_of(pod)}/{name} was expected to be deleted by PDB {budget} but it wasn't"
            events.record(world, pod, "Warning", "NotDeleted", text, component=_TELLER)
            continue
        kept[name] = when
        waits.append(left + 1)
    return kept, min(waits, default=None)


def _conditions(world: World, pdb: Obj, allowed: int, *, failure: str = "") -> list[Any]:
    status, reason = ("True", "SufficientPods") if allowed else ("False", "InsufficientPods")
    if failure:
        status, reason = "False", "SyncFailed"
    old = condition(pdb, "DisruptionAllowed")
    since = world.time
    if old is not None and old.get("status") == status:
        since = str(old.get("lastTransitionTime"))
    new = {
        "type": "DisruptionAllowed",
        "status": status,
        "observedGeneration": int(pdb["metadata"].get("generation") or 0),
        "lastTransitionTime": since,
        "reason": reason,
        "message": failure,
    }
    rest = dig(pdb, "status", "conditions", default=())
    return [*(item for item in rest if item.get("type") != new["type"]), new]


def may_evict(world: World, pod: Obj, *, dry_run: bool = False) -> ApiError | None:
    """Whether the budgets let the pod be evicted now; if so, the budget is charged.

    Args:
        world: where it is.
        pod: the pod, as stored.
        dry_run: charge nothing.

    Returns:
        None where it may go, or the answer that the API server gives instead.
    """
    if dig(pod, "status", "phase", default="Pending") in {"Pending", "Succeeded", "Failed"} or is_deleting(
        pod
    ):
        return None
    budgets = [item for item in world.cluster.store.list(_RESOURCE, namespace_of(pod)) if _fits(item, pod)]
    if not budgets:
        return None
    if len(budgets) > 1:
        text = (
            "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support."
        )
        cause = {"message": text}
        return ApiError(500, "InternalError", f"Internal error occurred: {text}", {"causes": [cause]})
    pdb = budgets[0]
    status = pdb.get("status") or {}
    if not _pods.is_ready(pod) and _sick_may_go(pdb, status):
        return None
    name, allowed = name_of(pdb), int(status.get("disruptionsAllowed") or 0)
    if int(status.get("observedGeneration") or 0) < int(pdb["metadata"].get("generation") or 0):
        return _refused(f"The disruption budget {name} is still being processed by the server.", 10)
    disrupted = status.get("disruptedPods") or {}
    if len(disrupted) > _MANY_DISRUPTED:
        text = "DisruptedPods map too big - too many evictions not confirmed by PDB controller"
        details = {"name": name, "group": "policy", "kind": "poddisruptionbudgets"}
        return ApiError(
            403, "Forbidden", f'poddisruptionbudgets.policy "{name}" is forbidden: {text}', details
        )
    if allowed <= 0:
        desired, healthy = int(status.get("desiredHealthy") or 0), int(status.get("currentHealthy") or 0)
        return _refused(
            f"The disruption budget {name} needs {desired} healthy pods and has {healthy} currently", 0
        )
    if not dry_run:
        charged = {**status, "disruptionsAllowed": allowed - 1}
        charged["disruptedPods"] = {**disrupted, name_of(pod): world.time}
        charged["conditions"] = _conditions(world, pdb, allowed - 1)
        Client(world, manager="kube-apiserver", trusted=True).update_status(pdb, charged)
    return None


def _sick_may_go(pdb: Obj, status: Mapping[str, Any]) -> bool:
    if dig(pdb, "spec", "unhealthyPodEvictionPolicy") == "AlwaysAllow":
        return True
    desired = int(status.get("desiredHealthy") or 0)
    return 0 < desired <= int(status.get("currentHealthy") or 0)


def _refused(cause: str, retry_after: int) -> ApiError:
    text = "Cannot evict pod as it would violate the pod's disruption budget."
    details: Obj = {"causes": [{"reason": "DisruptionBudget", "message": cause}]}
    if retry_after:
        details["retryAfterSeconds"] = retry_after
    return ApiError(429, "TooManyRequests", text, details)


def _of_pod(world: World, change: Change) -> Iterable[str]:
    namespace = namespace_of(change.obj)
    return [
        key_of(namespace, name_of(pdb))
        for pdb in world.cluster.store.list(_RESOURCE, namespace)
        if _fits(pdb, change.obj) or (change.previous is not None and _fits(pdb, change.previous))
    ]


def _of_workload(world: World, change: Change) -> Iterable[str]:
    """Only the wanted size of a workload matters."""
    if change.previous is not None and wanted_replicas(change.previous) == wanted_replicas(change.obj):
        return ()
    namespace = namespace_of(change.obj)
    labels = dig(change.obj, "spec", "template", "metadata", "labels", default={})
    pod = {"metadata": {"labels": labels}}
    found = world.cluster.store.list(_RESOURCE, namespace)
    return [key_of(namespace, name_of(pdb)) for pdb in found if _fits(pdb, pod)]


register(
    Controller(
        name=NAME,
        component="kube-controller-manager",
        watches={
            _RESOURCE: own_key,
            "pods": _of_pod,
            **dict.fromkeys(_SCALABLE.values(), _of_workload),
        },
        reconcile=_reconcile,
        resync=all_keys(_RESOURCE),
    )
)
