"""a step before the start reads a configuration that is no JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from firedrill.faults._aiming import both
from firedrill.faults._changes import ANEW, WORKLOAD, Outcome, add, edit_pods, entity
from firedrill.faults._making import config_map, joined, mount
from firedrill.faults.base import Fault, Parameter, register
from firedrill.faults.fitting import each_workload

if TYPE_CHECKING:
    from firedrill.world import World
    from firedrill.world.kube.objects import Obj


_BROKEN = '{"features": {"checkout": true, "search": {"enabled": true}, "limits": {"requests": 100,}\n'
_FOLDER = "/etc/app-config"


def _inject(world: World, args: Mapping[str, Any]) -> Outcome:
    name = args["config_map"] or f"{args['name']}-config"
    made = config_map(args["namespace"], name, {"config.json": str(args["config"])})

    def change(spec: Obj) -> None:
        command = ["sh", "-c", f"python3 -m json.tool {_FOLDER}/config.json"]
        step: Obj = {"name": args["step"], "image": args["image"], "command": command}
        mount(spec, step, {"name": "app-config", "configMap": {"name": name}}, _FOLDER, read_only=True)
        spec["initContainers"] = [*(spec.get("initContainers") or ()), step]

    made_undo = add(world, made)
    return joined(edit_pods(world, args, change), ((entity(made),), (made_undo,)))


FAULT = register(
    Fault(
        id="crashing-kubernetes-workload-init-container",
        title="a step before the start of a workload reads a configuration that is no JSON",
        parameters={
            **WORKLOAD,
            **ANEW,
            "config_map": Parameter(
                "name of the ConfigMap; that of the workload with -config where empty", ""
            ),
            "config": Parameter("what the configuration says", _BROKEN),
            "step": Parameter("name of the step", "worker"),
            "image": Parameter("image of the step", "docker.io/library/python:3.12-alpine"),
        },
        inject=_inject,
        shows="waiting:CrashLoopBackOff",
        aliases=("crashing_kubernetes_workload_init_container",),
        family="start-up",
        category="Configuration Setting",
        text="A new step before the start checks the configuration of the workload. The configuration was "
        "edited by hand and is no JSON any more, so that the step fails and no new pod starts.",
        fits=both(each_workload),
    )
)
