"""a Secret holds another password than the database knows, and its readers are restarted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from firedrill.faults._changes import WORKLOAD, Outcome, edit, restart, secret_value
from firedrill.faults.base import Fault, Parameter, register

if TYPE_CHECKING:
    from firedrill.world import World
    from firedrill.world.kube.objects import Obj


def _inject(world: World, args: Mapping[str, Any]) -> Outcome:
    def change(secret: Obj) -> None:
        secret_value(secret, args["key"], args["value"])

    changed = edit(world, "secrets", args["namespace"], args["secret"], change)
    again = restart(world, args)
    return (f"{args['namespace']}/Secret/{args['secret']}",), (again, changed)


FAULT = register(
    Fault(
        id="wrong-database-credentials",
        title="a Secret holds another password than the database knows, and its readers are restarted",
        parameters={
            **WORKLOAD,
            "secret": Parameter("name of the Secret"),
            "key": Parameter("its key"),
            "value": Parameter("the wrong value; the old one with another end where empty", ""),
        },
        inject=_inject,
        shows="restarts",
        aliases=(
            "wrong_database_credentials",
            "mysql-invalid-credentials",
        ),
    )
)
