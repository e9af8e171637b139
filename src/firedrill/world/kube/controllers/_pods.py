"""What the controllers of workloads share about pods: making, claiming, judging and choosing them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from firedrill.world.kube import events, selectors
from firedrill.world.kube.api.client import Client
from firedrill.world.kube.api.errors import ApiError
from firedrill.world.kube.controllers.base import Keys, key_of, owner_keys, rest
from firedrill.world.kube.objects import (
    Obj,
    annotations_of,
    condition,
    controller_of,
    dig,
    is_deleting,
    labels_of,
    meta,
    name_of,
    namespace_of,
    owner_reference,
    uid_of,
)
from firedrill.world.kube.store import Change
from firedrill.world.sim.clock import epoch_ms

if TYPE_CHECKING:
    from firedrill.world.world import World

Requirements = tuple[selectors.Requirement, ...]
_PHASES = {"Pending": 0, "Unknown": 1, "Running": 2}
_MANY, _LASTING = 1_000, 20
_DELETION_COST = "controller.kubernetes.io/pod-deletion-cost"


def is_active(pod: Mapping[str, Any]) -> bool:
    """Whether the pod is neither over nor being deleted."""
    return dig(pod, "status", "phase") not in {"Succeeded", "Failed"} and not is_deleting(pod)


def is_ready(pod: Mapping[str, Any]) -> bool:
    """Whether the pod's condition Ready is true."""
    found = condition(pod, "Ready")
    return found is not None and found.get("status") == "True"


def ready_since(pod: Mapping[str, Any]) -> int | None:
    """Since when the pod is ready, in ms; None where it is not."""
    found = condition(pod, "Ready")
    if found is None or found.get("status") != "True":
        return None
    return epoch_ms(found["lastTransitionTime"]) if found.get("lastTransitionTime") else 0


def available_in(pod: Mapping[str, Any], min_ready_seconds: int, now: int) -> int | None:
    """In how many ms the pod will count as available: 0 where it does now, None where it is not ready."""
    since = ready_since(pod)
    if since is None:
        return None
    if min_ready_seconds == 0:
        return 0
    return max(since + min_ready_seconds * 1000 - now, 0)


def is_available(pod: Mapping[str, Any], min_ready_seconds: int, now: int) -> bool:
    """Whether the pod has been ready for that long."""
    return available_in(pod, min_ready_seconds, now) == 0


def requirements_of(selector: Mapping[str, Any] | None) -> Requirements | None:
    """The requirements of a workload's selector; None where it takes in nothing or is malformed."""
    try:
        found = selectors.from_object(selector)
    except selectors.SelectorError:
        return None
    return found or None


def candidates(world: World, namespace: str, requirements: Requirements) -> list[Obj]:
    """The pods of the namespace that the requirements take in, by name."""
    store = world.cluster.store
    for key, operator, values in requirements:
        if operator == "in" and len(values) == 1:
            found = store.pods_labelled(namespace, key, values[0])
            break
    else:
        found = store.list("pods", namespace)
    out = [pod for pod in found if selectors.matches(requirements, labels_of(pod))]
    return sorted(out, key=name_of)


def owned(world: World, owner: Mapping[str, Any], resource: str = "pods") -> list[Obj]:
    """The objects of the resource whose controller is the owner."""
    store, uid = world.cluster.store, uid_of(owner)
    out = []
    for kind, namespace, name in store.owned_by(uid):
        if kind != resource:
            continue
        obj = store.get(kind, namespace, name)
        if obj is not None and (controller_of(obj) or {}).get("uid") == uid:
            out.append(obj)
    return out


def claim(
    client: Client, owner: Mapping[str, Any], requirements: Requirements | None, *, finished: bool = False
) -> list[Obj]:
    """The pods that are the owner's: strays that fit are adopted, its own that no longer fit are let go.

    Args:
        client: whose writes these are.
        owner: the workload.
        requirements: of its selector.
        finished: also pods that are over.

    Raises:
        ApiError: a pod cannot be changed.
    """
    world = client.world
    mine = []
    for pod in owned(world, owner):
        if not finished and dig(pod, "status", "phase") in {"Succeeded", "Failed"}:
            continue
        if requirements is not None and selectors.matches(requirements, labels_of(pod)):
            mine.append(pod)
        elif not is_deleting(owner) and not is_deleting(pod):
            release(client, owner, pod)
    if requirements is not None and not is_deleting(owner):
        for pod in candidates(world, namespace_of(owner), requirements):
            if controller_of(pod) is None and is_active(pod):
                mine.append(adopt(client, owner, pod))
    return mine


def adopt(client: Client, owner: Mapping[str, Any], obj: Obj) -> Obj:
    """Make the owner the controller of an object that has none.

    Raises:
        ApiError: the object cannot be changed.
    """
    return _owned_by(client, obj, [*(meta(obj).get("ownerReferences") or ()), owner_reference(owner)])


def release(client: Client, owner: Mapping[str, Any], obj: Obj) -> None:
    """Take the owner's reference off an object.

    Raises:
        ApiError: the object cannot be changed.
    """
    rest = [item for item in meta(obj).get("ownerReferences") or () if item.get("uid") != uid_of(owner)]
    _owned_by(client, obj, rest)


def _owned_by(client: Client, obj: Obj, references: list[Obj]) -> Obj:
    kind = client.world.cluster.kinds.of(obj)
    body = {"metadata": {"uid": uid_of(obj), "ownerReferences": references or None}}
    return client.patch(kind.resource, namespace_of(obj), name_of(obj), body)


def stray_or_owned(resource: str, kind: str) -> Keys:
    """The mapping of a pod to its workload, or, for a stray one, to all workloads that it would fit."""
    of_owner = owner_keys(kind)

    def keys(world: World, change: Change) -> Iterable[str]:
        out = list(of_owner(world, change))
        if controller_of(change.obj) is not None or change.type == "DELETED":
            return out
        previous = change.previous
        if previous is not None:
            same = labels_of(previous) == labels_of(change.obj)
            if same and controller_of(previous) is None:
                return out
        labels, namespace = labels_of(change.obj), namespace_of(change.obj)
        for item in world.cluster.store.list(resource, namespace) if labels else ():
            wanted = requirements_of(selector_of(item))
            if wanted is not None and selectors.matches(wanted, labels):
                out.append(key_of(namespace, name_of(item)))
        return out

    return keys


def selector_of(workload: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The selector of a workload as a `LabelSelector`, also where it is written as a plain map."""
    found = dig(workload, "spec", "selector")
    if workload.get("kind") == "ReplicationController":
        return {"matchLabels": found or dig(workload, "spec", "template", "metadata", "labels", default={})}
    return found  # type: ignore[no-any-return]


def pod_from(template: Mapping[str, Any], owner: Mapping[str, Any]) -> Obj:
    """A pod as the template wants it, named after its owner and owned by it."""
    given = meta(template)
    metadata: Obj = {
        "generateName": f"{name_of(owner)}-",
        "namespace": namespace_of(owner),
        "ownerReferences": [owner_reference(owner)],
    }
    for key in ("labels", "annotations", "finalizers"):
        if given.get(key):
            metadata[key] = given[key]
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template.get("spec") or {}}


def create_pod(client: Client, owner: Mapping[str, Any], pod: Mapping[str, Any], component: str) -> Obj:
    """Create a pod and tell about it.

    Raises:
        ApiError: it is refused; that has been told too.
    """
    try:
        made = client.create(pod)
    except ApiError as problem:
        if not of_ending_namespace(problem):
            text = f"Error creating: {problem.message}"
            events.record(client.world, owner, "Warning", "FailedCreate", text, component=component)
        raise
    text = f"Created pod: {name_of(made)}"
    events.record(client.world, owner, "Normal", "SuccessfulCreate", text, component=component)
    return made


def delete_pod(client: Client, owner: Mapping[str, Any], pod: Mapping[str, Any], component: str) -> None:
    """Delete a pod and tell about it; one that is gone already is no error.

    Raises:
        ApiError: it is refused; that has been told too.
    """
    name = name_of(pod)
    try:
        client.delete("pods", namespace_of(pod), name, uid=uid_of(pod))
    except ApiError as problem:
        if problem.code == 404:
            return
        text = f"Error deleting: {problem.message}"
        events.record(client.world, owner, "Warning", "FailedDelete", text, component=component)
        raise
    events.record(
        client.world, owner, "Normal", "SuccessfulDelete", f"Deleted pod: {name}", component=component
    )


def of_ending_namespace(problem: ApiError) -> bool:
    """Whether something was refused only because its namespace is going away."""
    causes = (problem.details or {}).get("causes") or ()
    return any(item.get("reason") == "NamespaceTerminating" for item in causes)


def slow_start(count: int) -> Iterator[int]:
    """The sizes of the batches in which so many calls are tried: 1, 2, 4, … until all are done."""
    size = 1
    while count > 0:
        yield min(size, count)
        count -= min(size, count)
        size *= 2


def still_to_make(world: World, pods: Sequence[Obj], wanted: int, most: int) -> int:
    """How many of the wanted pods may be made now: in a second of the virtual clock at most so many.

    A real controller waits until it has seen what it made, and its client is held back besides;
    without a limit, a workload of a million pods would be made at one moment. One that has many pods
    gets as many as a real client may send requests in the long run.
    """
    if wanted < most // 2 and len(pods) < _MANY:
        return max(wanted, 0)
    made: int = sum(meta(pod).get("creationTimestamp") == world.time for pod in pods)
    return max(min(wanted, (most if len(pods) < _MANY else _LASTING) - made), 0)


def rest_after(world: World, controller: str, key: str, count: int) -> None:
    """A controller of so many pods needs some time to look at them all."""
    if count > _MANY // 2:
        rest(world, controller, key, count // 2)


def deletion_order(world: World, pods: Sequence[Obj], ranks: Mapping[str, int]) -> list[Obj]:
    """The pods, first those that a scale-down gives up first.

    Args:
        world: for the time.
        pods: active ones.
        ranks: how many pods of the same set run on each pod's node, by the pod's uid.
    """

    def worth(pod: Obj) -> tuple[Any, ...]:
        phase = _PHASES.get(str(dig(pod, "status", "phase", default="Pending")), 0)
        since = ready_since(pod)
        statuses = dig(pod, "status", "containerStatuses", default=())
        restarts = max((int(item.get("restartCount") or 0) for item in statuses), default=0)
        born = epoch_ms(pod["metadata"]["creationTimestamp"])
        return (
            bool(dig(pod, "spec", "nodeName")),
            phase,
            since is not None,
            _cost(pod),
            -ranks.get(uid_of(pod), 0),
            _age_rank(world.now - since) if since is not None else 0,
            -restarts,
            _age_rank(world.now - born),
            uid_of(pod),
        )

    return sorted(pods, key=worth)


def _age_rank(ms: int) -> int:
    """Ages count by their order of magnitude, so that equal ones are taken at random."""
    return (ms * 1_000_000).bit_length() - 1 if ms > 0 else -1


def _cost(pod: Obj) -> int:
    text = str(annotations_of(pod).get(_DELETION_COST, "0"))
    digits = text[1:] if text.startswith("-") else text
    return int(text) if digits.isascii() and digits.isdigit() and len(digits) < 11 else 0
