"""a program is told a wrong address of another service."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from firedrill.faults._changes import CONTAINER, Outcome, edit_container, pick
from firedrill.faults.base import Fault, Parameter, register

if TYPE_CHECKING:
    from firedrill.world import World
    from firedrill.world.kube.objects import Obj


def _inject(world: World, args: Mapping[str, Any]) -> Outcome:
    def change(container: Obj) -> None:
        entry = pick(container.get("env") or [], args["variable"], "variable")
        host, _, port = str(entry.get("value") or "").rpartition(":")
        entry.pop("valueFrom", None)
        entry["value"] = args["value"] or f"{host or port}:{int(port) + 1 if port.isdecimal() else 8081}"

    return edit_container(world, args, change)


FAULT = register(
    Fault(
        id="service-env-var-address-mismatch",
        title="a program is told a wrong address of another service",
        parameters={
            **CONTAINER,
            "variable": Parameter("name of the environment variable"),
            "value": Parameter("what it says; another port where empty", ""),
        },
        inject=_inject,
        shows="unreachable-address",
        aliases=(
            "service_env_var_address_mismatch",
            "wrong-service-address-env",
        ),
    )
)
