"""a Secret that a workload reads is gone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from firedrill.faults import fitting
from firedrill.faults._changes import AGAIN, WORKLOAD, Outcome, drop, start_anew
from firedrill.faults.base import Fault, Parameter, Target, register
from firedrill.world.kube.objects import dig

if TYPE_CHECKING:
    from firedrill.world import World


def _inject(world: World, args: Mapping[str, Any]) -> Outcome:
    gone = drop(world, "secrets", args["namespace"], args["secret"])
    again = start_anew(world, args)
    return (f"{args['namespace']}/Secret/{args['secret']}",), (*again, gone)


def _fits(world: World) -> Iterator[Target]:
    for owner in fitting.workloads(world):
        spec = owner["spec"]["template"]["spec"]
        names = {dig(volume, "secret", "secretName") for volume in spec.get("volumes") or ()}
        for container in spec["containers"]:
            names |= {dig(item, "valueFrom", "secretKeyRef", "name") for item in container.get("env") or ()}
            names |= {dig(item, "secretRef", "name") for item in container.get("envFrom") or ()}
        for name in sorted(str(item) for item in names if item):
            found = fitting.on_workload(owner, secret=name)
            yield Target({**found.args, "then": "restart"}, found.about, "alert")
            yield Target({**found.args, "then": "recycle"}, found.about, "users")


FAULT = register(
    Fault(
        id="secret-deleted",
        title="a Secret that a workload reads is deleted",
        parameters={**WORKLOAD, **AGAIN, "secret": Parameter("name of the Secret")},
        inject=_inject,
        shows="stuck",
        family="credentials",
        category="Resource Unavailable",
        text="The Secret was deleted, and the pods that read it were started anew: the new ones wait for it.",
        fits=_fits,
        lacks="no workload of the application reads a Secret",
    )
)
