"""a Service selects pods that are not there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from firedrill.faults._changes import SERVICE, Outcome, edit
from firedrill.faults._variants import one_of
from firedrill.faults.base import Fault, Parameter, Target, register
from firedrill.faults.fitting import on_service, services

if TYPE_CHECKING:
    from firedrill.world import World
    from firedrill.world.kube.objects import Obj

_LABELS = ("version=v2", "tier=backend-new", "release=stable", "track=canary")


def _inject(world: World, args: Mapping[str, Any]) -> Outcome:
    key, _, value = str(args["label"]).partition("=")

    def change(obj: Obj) -> None:
        obj["spec"]["selector"] = {
            **({} if args["replace"] else obj["spec"].get("selector") or {}),
            key: value,
        }

    undo = edit(world, "services", args["namespace"], args["name"], change)
    return (f"{args['namespace']}/Service/{args['name']}",), (undo,)


def _fits(world: World) -> Iterator[Target]:
    for service, owner in services(world):
        label = one_of(world, "service-selector-mismatch", service, _LABELS)
        yield on_service(service, owner, label=label)


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
        family="routing",
        category="Configuration Setting",
        text=(
            "The selector of a Service was changed and asks for a label that no pod has. The "
            "Service has no endpoints any more."
        ),
        spreads="service",
        fits=_fits,
    )
)
