"""a helper in the same pod listens where the program wants to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from firedrill.faults import fitting
from firedrill.faults._aiming import both, programs
from firedrill.faults._changes import ANEW, WORKLOAD, Outcome, edit_pods
from firedrill.faults.base import Fault, Parameter, Target, register

if TYPE_CHECKING:
    from firedrill.world import World
    from firedrill.world.kube.objects import Obj


def _inject(world: World, args: Mapping[str, Any]) -> Outcome:
    def change(spec: Obj) -> None:
        helper = {
            "name": args["sidecar"],
            "image": args["image"],
            "command": ["httpd", "-f", "-p", str(args["port"]), "-h", "/srv"],
            "resources": {"requests": {"cpu": "5m", "memory": "16Mi"}, "limits": {"memory": "32Mi"}},
        }
        spec["containers"] = [helper, *spec["containers"]]

    return edit_pods(world, args, change)


def _fits(world: World) -> Iterator[Target]:
    for owner, service in programs(world):
        if fitting.main_container(world, owner).get("ports"):
            yield fitting.on_workload(owner, port=service.port)


FAULT = register(
    Fault(
        id="sidecar-takes-port",
        title="a helper in the same pod listens at the port that the program wants",
        parameters={
            **WORKLOAD,
            **ANEW,
            "port": Parameter("the port"),
            "sidecar": Parameter("name of the helper", "status-page"),
            "image": Parameter("its image", "docker.io/library/busybox:1.37"),
        },
        inject=_inject,
        shows="restarts",
        family="start-up",
        category="Change",
        text="A helper was added to the pods, and it listens at the very port of the program. Containers "
        "of a pod share its ports: whoever comes second ends with an error.",
        fits=both(_fits),
        lacks="no program of the application names a port",
    )
)
