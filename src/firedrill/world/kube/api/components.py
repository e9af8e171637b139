"""ComponentStatus: what the API server finds when it asks the other components how they are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from firedrill.world.kube.api import strategy
from firedrill.world.kube.objects import Obj

if TYPE_CHECKING:
    from firedrill.world.world import World

_ASKED = (
    ("controller-manager", "kube-controller-manager", 10257),
    ("etcd-0", "etcd", 0),
    ("scheduler", "kube-scheduler", 10259),
)


def component_statuses(world: World, _: str) -> list[Obj]:
    """`ComponentStatus` of the scheduler, the controller manager and etcd, as they are now."""
    out: list[Obj] = []
    for name, component, port in _ASKED:
        up = component not in world.cluster.work.down
        refused = (
            f'Get "https://127.0.0.1:{port}/healthz": dial tcp 127.0.0.1:{port}: connect: connection refused'
        )
        condition = {
            "type": "Healthy",
            "status": "True" if up else "False",
            "message": "ok" if up else refused,
        }
        out.append(
            {
                "apiVersion": "v1",
                "kind": "ComponentStatus",
                "metadata": {"name": name, "creationTimestamp": None},
                "conditions": [condition],
            }
        )
    return out


strategy.on_list("componentstatuses", component_statuses)
