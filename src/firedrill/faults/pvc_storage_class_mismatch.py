"""a claim names a storage class that is not there."""

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
    return claim_again(world, args, {"storageClassName": str(args["storage_class"])})


FAULT = register(
    Fault(
        id="pvc-storage-class-mismatch",
        title="a claim names a storage class that is not there",
        parameters={**CLAIM, "storage_class": Parameter("its name", "fast-ssd")},
        inject=_inject,
        shows="claim",
        aliases=("pvc_storage_class_mismatch",),
        family="storage",
        category="Configuration Setting",
        text=(
            "The claim of a workload was made anew for a storage class that does not exist. The "
            "claim stays Pending, and so do the pods that need it."
        ),
        fits=each_claim,
        lacks="no workload of the application has a bound claim",
    )
)
