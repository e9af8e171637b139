"""a key that a workload reads is gone from its Secret."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from firedrill.faults._changes import AGAIN, WORKLOAD, Outcome, edit, start_anew, without_key
from firedrill.faults._reading import keys_of
from firedrill.faults.base import Fault, Parameter, Target, register
from firedrill.faults.fitting import on_workload, workloads

if TYPE_CHECKING:
    from firedrill.world import World


def _inject(world: World, args: Mapping[str, Any]) -> Outcome:
    changed = edit(world, "secrets", args["namespace"], args["secret"], without_key(args["key"]))
    again = start_anew(world, args)
    return (f"{args['namespace']}/Secret/{args['secret']}",), (*again, changed)


def _fits(world: World) -> Iterator[Target]:
    for owner in workloads(world):
        for name, key in keys_of(world, owner):
            yield on_workload(owner, secret=name, key=key, then="recycle")


FAULT = register(
    Fault(
        id="missing-secret-key",
        title="a key that a workload reads is gone from its Secret",
        parameters={
            **WORKLOAD,
            **AGAIN,
            "secret": Parameter("name of the Secret"),
            "key": Parameter("the key"),
        },
        inject=_inject,
        shows="waiting:CreateContainerConfigError",
        aliases=(
            "missing_secret_key",
            "missing-secret-binding",
        ),
        family="credentials",
        category="Configuration Setting",
        text=(
            "A key of a Secret that a workload reads is gone, and its pods were started anew. "
            "Their containers cannot be made without it."
        ),
        fits=_fits,
        lacks="no workload reads a key of a Secret",
    )
)
