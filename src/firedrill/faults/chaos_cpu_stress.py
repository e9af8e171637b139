"""an experiment keeps the processors of a workload's pods busy."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from firedrill.faults._changes import Outcome
from firedrill.faults._chaos import LACKS, MINUTELY, TIMED, aim, begin, users_of
from firedrill.faults._variants import most_cores, one_of
from firedrill.faults.base import Fault, Parameter, Target, register
from firedrill.faults.fitting import main_container
from firedrill.world.kube.objects import dig

if TYPE_CHECKING:
    from firedrill.world import World

ID = "chaos-cpu-stress"
_NAMES = ("{}-cpu-stress", "burn-cpu-{}", "{}-cpu-load")
_WORKERS, _CROWD = (10, 20, 30), 3
_EVERY = (MINUTELY, MINUTELY)


def _inject(world: World, args: Mapping[str, Any]) -> Outcome:
    return begin(
        world,
        args,
        "StressChaos",
        {"stressors": {"cpu": {"workers": int(args["workers"]), "load": int(args["load"])}}},
    )


def _fits(world: World) -> Iterator[Target]:
    """Whoever is not left with plenty: without a limit, only far more threads than processors are felt."""
    for owner, _ in users_of(world):
        bound = dig(main_container(world, owner), "resources", "limits", "cpu") is not None
        least = 0 if bound else _CROWD * most_cores(world)
        counts = [count for count in _WORKERS if count >= least]
        if counts:
            # rounds with long gaps between them, or a load that falls back each minute, alarm nobody
            every = _EVERY if bound else ("",)
            count = one_of(world, ID, owner, counts)
            yield aim(world, ID, owner, _NAMES, lasting=bound, every=every, workers=count, load=100)


FAULT = register(
    Fault(
        id=ID,
        title="an experiment keeps the processors of a workload's pods busy",
        parameters={
            **TIMED,
            "workers": Parameter("how many threads", 30),
            "load": Parameter("how busy each is, in per cent", 100),
        },
        inject=_inject,
        shows="late",
        family="chaos",
        category="Chaos",
        text=(
            "An experiment of Chaos Mesh runs threads in the containers of a workload that do nothing "
            "but compute. The program itself gets what they leave of its share, and answers late."
        ),
        spreads="workload",
        fits=_fits,
        lacks=LACKS,
    )
)
