"""How the scheduler writes: who it is, and what it says in the status of a pod that it cannot place."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from firedrill.world.kube.api.client import Client
from firedrill.world.kube.api.errors import ApiError
from firedrill.world.kube.api.request import User
from firedrill.world.kube.objects import Obj, dig, name_of, namespace_of, with_condition

if TYPE_CHECKING:
    from firedrill.world.world import World

COMPONENT = "kube-scheduler"
USER = User("system:kube-scheduler")


def scheduler_client(world: World) -> Client:
    """The scheduler as a user of the API."""
    return Client(world, USER, manager=COMPONENT, trusted=True)


def mark(world: World, pod: Obj, reason: str, message: str, nominated: str = "") -> None:
    """Say in the pod's status why it is not scheduled."""
    current = world.cluster.store.get("pods", namespace_of(pod), name_of(pod))
    if current is None:
        return
    status = dict(current.get("status") or {})
    item = {
        "type": "PodScheduled",
        "status": "False",
        "lastProbeTime": None,
        "reason": reason,
        "message": message,
    }
    status["conditions"] = with_condition(status.get("conditions"), item, world.time)
    status.setdefault("phase", "Pending")
    if nominated:
        status["nominatedNodeName"] = nominated
    elif not world.cluster.store.get("nodes", "", str(status.get("nominatedNodeName") or "")):
        status.pop("nominatedNodeName", None)
    if status != current.get("status"):
        # The pod may be gone, or the scheduler no longer be allowed to write: the real one logs and goes on.
        with suppress(ApiError):
            scheduler_client(world).update_status(current, status)


def mark_gated(world: World, pod: Obj) -> None:
    """Say in the pod's status that its gates hold it back, unless it says so already."""
    conditions = dig(pod, "status", "conditions", default=())
    if not any(item.get("reason") == "SchedulingGated" for item in conditions):
        mark(world, pod, "SchedulingGated", "Scheduling is blocked due to non-empty scheduling gates")
