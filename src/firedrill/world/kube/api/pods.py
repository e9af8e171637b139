"""What the API server itself does with a new pod: its first status."""

from __future__ import annotations

from typing import TYPE_CHECKING

from firedrill.world.kube.api import strategy
from firedrill.world.kube.objects import Obj, dig
from firedrill.world.kube.qos import qos_class

if TYPE_CHECKING:
    from firedrill.world.world import World


def _first_status(world: World, new: Obj, old: Obj | None) -> Obj:
    if old is not None:
        return new
    status: Obj = {"phase": "Pending", "qosClass": qos_class(new["spec"])}
    if dig(new, "spec", "schedulingGates"):
        gated = {
            "type": "PodScheduled",
            "status": "False",
            "lastProbeTime": None,
            "lastTransitionTime": world.time,
            "reason": "SchedulingGated",
            "message": "Scheduling is blocked due to non-empty scheduling gates",
        }
        status["conditions"] = [gated]
    return {**new, "status": status}


strategy.on_write("pods", _first_status)
