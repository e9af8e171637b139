"""a claim selects volumes by a label that none has."""

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
    return claim_again(world, args, {"selector": {"matchLabels": dict([str(args["label"]).split("=", 1)])}})


FAULT = register(
    Fault(
        id="pvc-selector-mismatch",
        title="a claim selects volumes by a label that none has",
        parameters={**CLAIM, "label": Parameter("key=value", "disktype=ssd")},
        inject=_inject,
        shows="claim",
        aliases=("pvc_selector_mismatch",),
        family="storage",
        category="Configuration Setting",
        text=(
            "The claim of a workload was made anew for volumes with a label that none has. The "
            "claim stays Pending, and so do the pods that need it."
        ),
        fits=each_claim,
        lacks="no workload of the application has a bound claim",
    )
)
