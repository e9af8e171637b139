"""a claim wants to be mounted in a way that no volume offers."""

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
    return claim_again(world, args, {"accessModes": [args["mode"]]})


FAULT = register(
    Fault(
        id="pvc-access-mode-mismatch",
        title="a claim wants to be mounted in a way that no volume offers",
        parameters={**CLAIM, "mode": Parameter("the access mode", "ReadWriteMany")},
        inject=_inject,
        shows="claim",
        aliases=("pvc_access_mode_mismatch",),
        family="storage",
        category="Configuration Setting",
        text=(
            "The claim of a workload was made anew with an access mode that no volume offers. The "
            "claim stays Pending, and so do the pods that need it."
        ),
        fits=each_claim,
        lacks="no workload of the application has a bound claim",
    )
)
