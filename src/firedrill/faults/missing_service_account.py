"""a workload runs under a service account that is not there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from firedrill.faults._changes import WORKLOAD, Outcome, edit_pods
from firedrill.faults.base import Fault, Parameter, register

if TYPE_CHECKING:
    from firedrill.world import World
    from firedrill.world.kube.objects import Obj


def _inject(world: World, args: Mapping[str, Any]) -> Outcome:
    def change(spec: Obj) -> None:
        spec["serviceAccountName"] = args["account"]
        spec["serviceAccount"] = args["account"]

    return edit_pods(world, args, change)


FAULT = register(
    Fault(
        id="missing-service-account",
        title="a workload runs under a service account that is not there",
        parameters={**WORKLOAD, "account": Parameter("name of the account", "workload-identity")},
        inject=_inject,
        shows="event:FailedCreate",
        aliases=("missing_service_account",),
    )
)
