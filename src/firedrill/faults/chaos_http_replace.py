"""an experiment replaces the answers of a workload."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from firedrill.faults._changes import Outcome
from firedrill.faults._chaos import TIMED, aim, begin, web
from firedrill.faults._variants import one_of
from firedrill.faults.base import Fault, Parameter, Target, register

if TYPE_CHECKING:
    from firedrill.world import World

ID = "chaos-http-replace"
_NAMES = ("{}-http-replace", "{}-response-code", "replace-{}-response")


def _inject(world: World, args: Mapping[str, Any]) -> Outcome:
    return begin(
        world,
        args,
        "HTTPChaos",
        {
            "target": "Response",
            "port": int(args["port"]),
            "method": str(args["method"]),
            "path": str(args["path"]),
            "replace": {"code": int(args["code"])},
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
            code=one_of(world, ID, owner, (500, 502, 503)),
        )


FAULT = register(
    Fault(
        id=ID,
        title="an experiment replaces the answers of a workload",
        parameters={
            **TIMED,
            "port": Parameter("port of the requests", None),
            "method": Parameter("their method", None),
            "path": Parameter("their path", "*"),
            "code": Parameter("the status", 503),
        },
        inject=_inject,
        shows="unserved",
        family="chaos",
        category="Chaos",
        text=(
            "An experiment of Chaos Mesh puts a proxy before the pods of a workload that gives "
            "callers another status than the program did. The program itself notices nothing."
        ),
        spreads="service",
        fits=_fits,
        lacks="no workload takes such requests over HTTP from others, or there is no Chaos Mesh",
    )
)
