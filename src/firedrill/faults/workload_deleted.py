"""a workload is gone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from firedrill.faults._changes import WORKLOAD, Outcome, drop, workload_resource
from firedrill.faults._making import cause_of
from firedrill.faults.base import Fault, register
from firedrill.faults.fitting import each_missed

if TYPE_CHECKING:
    from firedrill.world import World


def _inject(world: World, args: Mapping[str, Any]) -> Outcome:
    gone = drop(world, workload_resource(args), args["namespace"], args["name"])
    return (cause_of(args),), (gone,)


FAULT = register(
    Fault(
        id="workload-deleted",
        title="a workload is deleted",
        parameters=WORKLOAD,
        inject=_inject,
        shows="endpoints",
        family="runtime",
        category="Resource Unavailable",
        text="Somebody deleted the workload, perhaps in the wrong namespace. Its pods end, and nothing makes "
        "new ones; its Service stays and has nobody behind it.",
        fits=each_missed,
    )
)
