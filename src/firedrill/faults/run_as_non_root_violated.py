"""a workload may not run as root, and its image does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from firedrill.faults._aiming import both
from firedrill.faults._changes import ANEW, WORKLOAD, Outcome, edit_pods
from firedrill.faults.base import Fault, register
from firedrill.faults.fitting import each_workload

if TYPE_CHECKING:
    from firedrill.world import World
    from firedrill.world.kube.objects import Obj


def _inject(world: World, args: Mapping[str, Any]) -> Outcome:
    def change(spec: Obj) -> None:
        spec["securityContext"] = {**(spec.get("securityContext") or {}), "runAsNonRoot": True}
        for container in spec["containers"]:
            inner = dict(container.get("securityContext") or {})
            inner.pop("runAsUser", None)
            container["securityContext"] = inner
        spec["securityContext"].pop("runAsUser", None)

    return edit_pods(world, args, change)


FAULT = register(
    Fault(
        id="run-as-non-root-violated",
        title="the pods of a workload may not run as root, and their image does",
        parameters={**WORKLOAD, **ANEW},
        inject=_inject,
        shows="waiting:CreateContainerConfigError",
        within=300_000,
        family="start-up",
        category="Configuration Setting",
        text="A hardening rule says that the pods must not run as root. Their image does and names no "
        "other user, so that the containers are never made.",
        fits=both(each_workload),
    )
)
