"""a workload may not run as root, and its image does."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from firedrill.faults import fitting
from firedrill.faults._aiming import both
from firedrill.faults._changes import ANEW, WORKLOAD, Outcome, edit_pods
from firedrill.faults.base import Fault, Target, register
from firedrill.world.kube.objects import dig
from firedrill.world.kube.programs import catalogue
from firedrill.world.kube.programs.reference import parse_reference

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


def _fits(world: World) -> Iterator[Target]:
    """Workloads whose images run as root, and that name no other user."""
    for owner in fitting.workloads(world):
        spec = owner["spec"]["template"]["spec"]
        named = dig(spec, "securityContext", "runAsUser")
        if named is None and any(_as_root(world, item) for item in spec["containers"]):
            yield fitting.on_workload(owner)


def _as_root(world: World, container: Obj) -> bool:
    reference = parse_reference(str(container.get("image")))
    mine = dig(container, "securityContext", "runAsUser")
    return mine is None and reference is not None and catalogue.is_root(world, reference)


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
        fits=both(_fits),
        lacks="no image of the application runs as root",
    )
)
