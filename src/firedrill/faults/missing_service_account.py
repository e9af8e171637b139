"""a workload runs under a service account that is not there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from firedrill.faults._changes import ANEW, WORKLOAD, Outcome, edit_pods
from firedrill.faults._variants import one_of
from firedrill.faults.base import Fault, Parameter, Target, register
from firedrill.faults.fitting import both_ways, on_workload, workloads

if TYPE_CHECKING:
    from firedrill.world import World
    from firedrill.world.kube.objects import Obj

_ACCOUNTS = ("workload-identity", "app-runner", "deployer", "vault-auth")


def _inject(world: World, args: Mapping[str, Any]) -> Outcome:
    def change(spec: Obj) -> None:
        spec["serviceAccountName"] = args["account"]
        spec["serviceAccount"] = args["account"]

    return edit_pods(world, args, change)


def _fits(world: World) -> Iterator[Target]:
    for owner in workloads(world):
        account = one_of(world, "missing-service-account", owner, _ACCOUNTS)
        yield from both_ways(on_workload(owner, account=account))


FAULT = register(
    Fault(
        id="missing-service-account",
        title="a workload runs under a service account that is not there",
        parameters={**WORKLOAD, **ANEW, "account": Parameter("name of the account", "workload-identity")},
        inject=_inject,
        shows="event:FailedCreate",
        aliases=("missing_service_account",),
        family="admission",
        category="Configuration Setting",
        text=(
            "A workload was told to run under a service account that does not exist. The API "
            "refuses its new pods."
        ),
        fits=_fits,
    )
)
