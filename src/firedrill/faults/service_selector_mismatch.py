"""a Service selects pods that are not there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from firedrill.faults._changes import SERVICE, Outcome, edit
from firedrill.faults.base import Fault, Parameter, register

if TYPE_CHECKING:
    from firedrill.world import World
    from firedrill.world.kube.objects import Obj


def _inject(world: World, args: Mapping[str, Any]) -> Outcome:
    key, _, value = str(args["label"]).partition("=")

    def change(obj: Obj) -> None:
        obj["spec"]["selector"] = {
            **({} if args["replace"] else obj["spec"].get("selector") or {}),
            key: value,
        }

    undo = edit(world, "services", args["namespace"], args["name"], change)
    return (f"{args['namespace']}/Service/{args['name']}",), (undo,)


FAULT = register(
    Fault(
        id="service-selector-mismatch",
        title="a Service selects pods that are not there",
        parameters={
            **SERVICE,
            "label": Parameter("key=value that the selector asks for", "version=v2"),
            "replace": Parameter("whether that is all it asks for", False),
        },
        inject=_inject,
        shows="endpoints",
        aliases=(
            "service_selector_mismatch",
            "modified-service-selector",
        ),
    )
)
