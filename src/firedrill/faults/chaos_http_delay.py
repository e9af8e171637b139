"""an experiment holds requests to a workload back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from firedrill.faults._changes import Outcome
from firedrill.faults._chaos import TIMED, aim, begin, web
from firedrill.faults._variants import one_of
from firedrill.faults.base import Fault, Parameter, Target, register

if TYPE_CHECKING:
    from firedrill.world import World

ID = "chaos-http-delay"
_NAMES = ("{}-http-delay", "{}-slow-requests", "delay-http-{}")


def _inject(world: World, args: Mapping[str, Any]) -> Outcome:
    return begin(
        world,
        args,
        "HTTPChaos",
        {
            "target": "Request",
            "port": int(args["port"]),
            "method": str(args["method"]),
            "path": str(args["path"]),
            "delay": str(args["delay"]),
        },
    )


def _fits(world: World) -> Iterator[Target]:
    for owner, port, method in web(world):
        yield aim(
            world,
            ID,
            owner,
            _NAMES,
            port=port,
            method=method,
            path="*",
            delay=one_of(world, ID, owner, ("2s", "3s", "5s")),
        )


FAULT = register(
    Fault(
        id=ID,
        title="an experiment holds requests to a workload back",
        parameters={
            **TIMED,
            "port": Parameter("port of the requests", None),
            "method": Parameter("their method", None),
            "path": Parameter("their path", "*"),
            "delay": Parameter("how long", "3s"),
        },
        inject=_inject,
        shows="late",
        family="chaos",
        category="Chaos",
        text=(
            "An experiment of Chaos Mesh puts a proxy before the pods of a workload that holds "
            "requests for seconds. The program itself is as quick as ever."
        ),
        spreads="service",
        fits=_fits,
        lacks="no workload takes such requests over HTTP from others, or there is no Chaos Mesh",
    )
)
