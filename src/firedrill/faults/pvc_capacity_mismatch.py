"""a claim asks for more than any volume holds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from firedrill.faults._changes import CLAIM, Outcome
from firedrill.faults._claims import claim_again
from firedrill.faults.base import Fault, Parameter, register
from firedrill.faults.fitting import each_claim

if TYPE_CHECKING:
    from firedrill.world import World


def _inject(world: World, args: Mapping[str, Any]) -> Outcome:
    return claim_again(world, args, {"resources": {"requests": {"storage": str(args["storage"])}}})


FAULT = register(
    Fault(
        id="pvc-capacity-mismatch",
        title="a claim asks for more than any volume holds",
        parameters={**CLAIM, "storage": Parameter("requested size", "20Gi")},
        inject=_inject,
        shows="claim",
        aliases=("pvc_capacity_mismatch",),
        family="storage",
        category="Configuration Setting",
        text=(
            "The claim of a workload was made anew for more space than any volume has. The claim "
            "stays Pending, and so do the pods that need it."
        ),
        fits=each_claim,
        lacks="no workload of the application has a bound claim",
    )
)
