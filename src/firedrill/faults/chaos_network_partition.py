"""a network experiment cuts a workload off from one that it calls."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from firedrill.faults._changes import Outcome
from firedrill.faults._chaos import LACKS, TIMED, aim, begin, partners, selector
from firedrill.faults._variants import one_of
from firedrill.faults.base import Fault, Parameter, Target, register
from firedrill.world.kube.objects import name_of

if TYPE_CHECKING:
    from firedrill.world import World

ID = "chaos-network-partition"
_NAMES = ("{}-network-partition", "{}-partition", "isolate-{}")


def _inject(world: World, args: Mapping[str, Any]) -> Outcome:
    other = {**args, "name": args["from"], "kind": args["from_kind"]}
    target = {"mode": "all", "selector": selector(world, other)}
    spec = {"action": "partition", "direction": args["direction"], "target": target}
    return begin(world, args, "NetworkChaos", spec)


def _fits(world: World) -> Iterator[Target]:
    for caller, callee in partners(world):
        pair = f"{name_of(caller)}-{name_of(callee)}"
        names = tuple(name.replace("{}", pair) for name in _NAMES)
        direction = one_of(world, f"{ID}/{name_of(callee)}", caller, ("to", "both"))
        more = {"from": name_of(callee), "from_kind": callee["kind"], "direction": direction}
        yield aim(world, f"{ID}/{name_of(callee)}", caller, names, **more)


FAULT = register(
    Fault(
        id=ID,
        title="a network experiment cuts a workload off from one that it calls",
        parameters={
            **TIMED,
            "from": Parameter("name of the other workload"),
            "from_kind": Parameter("its kind", "Deployment", ("Deployment", "StatefulSet")),
            "direction": Parameter("of the packets that are dropped", "to", ("to", "from", "both")),
        },
        inject=_inject,
        shows="failing|late|lagging",
        family="chaos",
        category="Chaos",
        text=(
            "An experiment of Chaos Mesh drops every packet from the pods of one workload to those of "
            "another. Calls between the two wait until the caller gives up."
        ),
        spreads="edges",
        fits=_fits,
        lacks=LACKS,
    )
)
