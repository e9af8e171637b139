"""a Secret holds another password than the database knows, and its readers are restarted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from firedrill.faults._changes import (
    AGAIN,
    WORKLOAD,
    Outcome,
    edit,
    secret_value,
    start_anew,
    workload_resource,
)
from firedrill.faults._reading import keys_of, logs_in
from firedrill.faults.base import Fault, Injection, Parameter, Step, Target, register
from firedrill.faults.fitting import on_workload, workloads
from firedrill.faults.repairing import inverse, restart_of

if TYPE_CHECKING:
    from firedrill.world import World
    from firedrill.world.kube.objects import Obj


def _inject(world: World, args: Mapping[str, Any]) -> Outcome:
    def change(secret: Obj) -> None:
        secret_value(secret, args["key"], args["value"])

    changed = edit(world, "secrets", args["namespace"], args["secret"], change)
    again = start_anew(world, args)
    return (f"{args['namespace']}/Secret/{args['secret']}",), (*again, changed)


def _fits(world: World) -> Iterator[Target]:
    for owner in workloads(world):
        for name, key in keys_of(world, owner):
            if not logs_in(world, owner, name, key):
                continue
            yield on_workload(owner, secret=name, key=key, then="recycle")


def _repair(world: World, injection: Injection) -> tuple[Step, ...]:
    args = injection.args
    again = restart_of(workload_resource(args), args["namespace"], args["name"])
    return (*(step for step in inverse(world, injection) if step.verb != "restart"), again)


FAULT = register(
    Fault(
        id="wrong-database-credentials",
        title="a Secret holds another password than the database knows, and its readers are restarted",
        parameters={
            **WORKLOAD,
            **AGAIN,
            "secret": Parameter("name of the Secret"),
            "key": Parameter("its key"),
            "value": Parameter("the wrong value; the old one with another end where empty", ""),
        },
        inject=_inject,
        shows="restarts|denied",
        aliases=(
            "wrong_database_credentials",
            "mysql-invalid-credentials",
        ),
        family="credentials",
        category="Change",
        text=(
            "A password was changed in a Secret and nowhere else, and whoever reads it was "
            "started anew. From then on the two ends of a connection know different passwords, "
            "and logins are refused."
        ),
        fits=_fits,
        lacks="no workload takes the password of a connection from a Secret",
        repair=_repair,
    )
)
