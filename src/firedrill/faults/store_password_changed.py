"""a store asks for a password that its clients do not know."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from firedrill.faults import fitting
from firedrill.faults._aiming import programs
from firedrill.faults._changes import CONTAINER, Outcome, add, edit_container, entity
from firedrill.faults._making import add_variables, joined
from firedrill.faults.base import Fault, Parameter, Target, register

if TYPE_CHECKING:
    from firedrill.world import World
    from firedrill.world.kube.objects import Obj


def _inject(world: World, args: Mapping[str, Any]) -> Outcome:
    name = args["secret"] or f"{args['name']}-credentials"
    made = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "namespace": args["namespace"]},
        "type": "Opaque",
        "stringData": {"password": args["password"]},
    }
    word = {"name": "STORE_PASSWORD", "valueFrom": {"secretKeyRef": {"name": name, "key": "password"}}}

    def change(container: Obj) -> None:
        add_variables(container, [word])
        container["args"] = [*(container.get("args") or ()), args["option"], "$(STORE_PASSWORD)"]

    undo = add(world, made)
    return joined(edit_container(world, args, change), ((entity(made),), (undo,)))


def _fits(world: World) -> Iterator[Target]:
    """Stores whose password is an option of their command line, which their clients would have to know."""
    graph = fitting.graph_of(world)
    asked = {
        call.service: call.credential.server
        for service in (graph.app.services if graph else ())
        for operation in service.operations
        for call in operation.calls
        if call.credential is not None and call.credential.server.startswith("-")
    }
    for owner, service in programs(world):
        if service.name in asked:
            yield fitting.on_container(world, owner, option=asked[service.name])


FAULT = register(
    Fault(
        id="valkey-workload-changed-password",
        title="a store asks for a password that its clients do not know",
        parameters={
            **CONTAINER,
            "option": Parameter("the option of the program that sets the password", "--requirepass"),
            "secret": Parameter("name of the Secret; that of the workload with -credentials where empty", ""),
            "password": Parameter("the password", "S7v-qqk2-9dXw"),
        },
        inject=_inject,
        shows="failing",
        aliases=("valkey_workload_changed_password",),
        family="credentials",
        category="Change",
        text="The store was started anew with a password. Its clients know of none and are turned away.",
        fits=_fits,
        lacks="the application has no store whose password is an option of its command line",
    )
)
