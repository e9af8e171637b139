"""a program is told a wrong address of another service."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from firedrill.faults._changes import CONTAINER, Outcome, edit_container, pick
from firedrill.faults._reading import addresses_of
from firedrill.faults._variants import one_of
from firedrill.faults.base import Fault, Parameter, Target, register
from firedrill.faults.fitting import entity, on_container, workloads

if TYPE_CHECKING:
    from firedrill.world import World
    from firedrill.world.kube.objects import Obj

_SLIPS = ("", "", "-v2", "-svc")
"""What is put behind the name of the service; where empty, the port is wrong."""


def _inject(world: World, args: Mapping[str, Any]) -> Outcome:
    def change(container: Obj) -> None:
        entry = pick(container.get("env") or [], args["variable"], "variable")
        host, _, port = str(entry.get("value") or "").rpartition(":")
        entry.pop("valueFrom", None)
        entry["value"] = args["value"] or f"{host or port}:{int(port) + 1 if port.isdecimal() else 8081}"

    return edit_container(world, args, change)


def _fits(world: World) -> Iterator[Target]:
    for owner in workloads(world):
        for name, value, host in addresses_of(world, owner):
            slip = one_of(world, "service-env-var-address-mismatch", f"{entity(owner)}/{name}", _SLIPS)
            head, _, port = value.rpartition(":")
            wrong = value.replace(host, f"{host}{slip}", 1) if slip else f"{head}:{int(port) + 1}"
            yield on_container(world, owner, variable=name, value=wrong)


FAULT = register(
    Fault(
        id="service-env-var-address-mismatch",
        title="a program is told a wrong address of another service",
        parameters={
            **CONTAINER,
            "variable": Parameter("name of the environment variable"),
            "value": Parameter("what it says; another port where empty", ""),
        },
        inject=_inject,
        shows="unreachable-address|restarts",
        aliases=(
            "service_env_var_address_mismatch",
            "wrong-service-address-env",
        ),
        family="configuration",
        category="Configuration Setting",
        text=(
            "A program was told a wrong address of another service: another port, or a name that "
            "does not exist. Its calls to that service fail, all others are well."
        ),
        spreads="edges",
        fits=_fits,
        lacks="no workload is told the address of a service by a variable",
    )
)
