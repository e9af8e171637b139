"""an experiment changes what is sent to a workload."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from firedrill.faults._changes import Outcome
from firedrill.faults._chaos import TIMED, aim, begin, web
from firedrill.faults.base import Fault, Parameter, Target, register

if TYPE_CHECKING:
    from firedrill.world import World

ID = "chaos-http-patch"
_NAMES = ("{}-http-patch", "{}-body-tamper", "patch-{}-request")


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
            "patch": {"body": {"type": "JSON", "value": str(args["body"])}},
        },
    )


def _fits(world: World) -> Iterator[Target]:
    for owner, port, method in web(world):
        if method in ("POST", "PUT", "PATCH"):
            yield aim(world, ID, owner, _NAMES, port=port, method=method, path="*", body='{"id": null}')


FAULT = register(
    Fault(
        id=ID,
        title="an experiment changes what is sent to a workload",
        parameters={
            **TIMED,
            "port": Parameter("port of the requests", None),
            "method": Parameter("their method", None),
            "path": Parameter("their path", "*"),
            "body": Parameter("what is put into the body", '{"id": null}'),
        },
        inject=_inject,
        shows="unserved",
        family="chaos",
        category="Chaos",
        text=(
            "An experiment of Chaos Mesh puts a proxy before the pods of a workload that writes other "
            "values into the bodies of requests. The program cannot work with what it gets."
        ),
        spreads="service",
        fits=_fits,
        lacks="no workload takes such requests over HTTP from others, or there is no Chaos Mesh",
    )
)
