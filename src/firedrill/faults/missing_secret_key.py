"""a key that a workload reads is gone from its Secret."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from firedrill.faults._changes import WORKLOAD, Outcome, edit, restart, without_key
from firedrill.faults.base import Fault, Parameter, register

if TYPE_CHECKING:
    from firedrill.world import World


def _inject(world: World, args: Mapping[str, Any]) -> Outcome:
    changed = edit(world, "secrets", args["namespace"], args["secret"], without_key(args["key"]))
    again = restart(world, args)
    return (f"{args['namespace']}/Secret/{args['secret']}",), (again, changed)


FAULT = register(
    Fault(
        id="missing-secret-key",
        title="a key that a workload reads is gone from its Secret",
        parameters={**WORKLOAD, "secret": Parameter("name of the Secret"), "key": Parameter("the key")},
        inject=_inject,
        shows="waiting:CreateContainerConfigError",
        aliases=(
            "missing_secret_key",
            "missing-secret-binding",
        ),
    )
)
