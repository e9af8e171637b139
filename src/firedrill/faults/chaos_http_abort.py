"""an experiment breaks requests to a workload off."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from firedrill.faults._changes import Outcome
from firedrill.faults._chaos import TIMED, aim, begin, web
from firedrill.faults.base import Fault, Parameter, Target, register

if TYPE_CHECKING:
    from firedrill.world import World

ID = "chaos-http-abort"
_NAMES = ("{}-http-abort", "abort-{}", "{}-connection-abort")


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
            "abort": True,
        },
    )


def _fits(world: World) -> Iterator[Target]:
    for owner, port, method in web(world):
        yield aim(world, ID, owner, _NAMES, port=port, method=method, path="*")


FAULT = register(
    Fault(
        id=ID,
        title="an experiment breaks requests to a workload off",
        parameters={
            **TIMED,
            "port": Parameter("port of the requests", None),
            "method": Parameter("their method", None),
            "path": Parameter("their path", "*"),
        },
        inject=_inject,
        shows="unserved",
        family="chaos",
        category="Chaos",
        text=(
            "An experiment of Chaos Mesh puts a proxy before the pods of a workload that breaks "
            "connections off. Callers get no answer."
        ),
        spreads="service",
        fits=_fits,
        lacks="no workload takes such requests over HTTP from others, or there is no Chaos Mesh",
    )
)
