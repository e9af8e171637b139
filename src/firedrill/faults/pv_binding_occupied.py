"""another claim holds the volume that a claim needs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from firedrill.faults._changes import CLAIM, Outcome
from firedrill.faults._claims import occupy
from firedrill.faults.base import Fault, Parameter, register
from firedrill.faults.fitting import each_claim

if TYPE_CHECKING:
    from firedrill.world import World


def _inject(world: World, args: Mapping[str, Any]) -> Outcome:
    return occupy(world, args)


FAULT = register(
    Fault(
        id="pv-binding-occupied",
        title="another claim holds the volume that a claim needs",
        parameters={**CLAIM, "occupant": Parameter("name of the other claim", "data-migration")},
        inject=_inject,
        shows="claim",
        aliases=("pv_binding_occupied",),
        family="storage",
        category="Resource Unavailable",
        text=(
            "Another claim took the volume of a workload's claim. The claim stays Pending, and so "
            "do the pods that need it."
        ),
        fits=each_claim,
        lacks="no workload of the application has a bound claim",
    )
)
