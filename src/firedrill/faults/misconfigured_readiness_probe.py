"""a readiness probe asks for a path at a port where nothing listens."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from firedrill.faults._aiming import both
from firedrill.faults._changes import ANEW, CONTAINER, Outcome, edit_container
from firedrill.faults.base import Fault, Parameter, register
from firedrill.faults.fitting import each_container

if TYPE_CHECKING:
    from firedrill.world import World
    from firedrill.world.kube.objects import Obj


def _inject(world: World, args: Mapping[str, Any]) -> Outcome:
    def change(container: Obj) -> None:
        container["readinessProbe"] = {
            "httpGet": {"path": args["path"], "port": int(args["port"])},
            "periodSeconds": 5,
            "failureThreshold": 3,
        }

    return edit_container(world, args, change)


FAULT = register(
    Fault(
        id="misconfigured-kubernetes-workload-container-readiness-probe",
        title="a readiness probe asks for a page at a port on which nothing listens",
        parameters={
            **CONTAINER,
            **ANEW,
            "path": Parameter("the path", "/ready"),
            "port": Parameter("the port", 40),
        },
        inject=_inject,
        shows="event:Unhealthy",
        aliases=("misconfigured_kubernetes_workload_container_readiness_probe",),
        family="probes",
        category="Configuration Setting",
        text="The readiness probe was rewritten for a page that the program does not serve, at a port that"
        " it does not open. New pods run but never become ready, and the rollout gets stuck.",
        fits=both(each_container),
    )
)
