"""a namespace leaves the mesh, and with it go encryption, policies and metrics."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from firedrill.faults import _meshing, fitting
from firedrill.faults._changes import Outcome, edit
from firedrill.faults.base import Fault, Parameter, Target, register
from firedrill.world.kube.objects import namespace_of
from firedrill.world.mesh.view import MODE_LABEL

if TYPE_CHECKING:
    from firedrill.world import World
    from firedrill.world.kube.objects import Obj


def _inject(world: World, args: Mapping[str, Any]) -> Outcome:
    def change(obj: Obj) -> None:
        obj["metadata"]["labels"] = {**(obj["metadata"].get("labels") or {}), MODE_LABEL: "none"}

    return (f"cluster/Namespace/{args['namespace']}",), (
        edit(world, "namespaces", "", args["namespace"], change),
    )


def _fits(world: World) -> Iterator[Target]:
    seen = set()
    for owner in _meshing.members(world):
        space = namespace_of(owner)
        if space not in seen:
            seen.add(space)
            yield Target({"namespace": space}, fitting.entity(owner))


FAULT = register(
    Fault(
        id="disabled-istio-ambient-mode-kubernetes-namespace",
        title="a namespace leaves the mesh",
        parameters={"namespace": Parameter("namespace that is labelled for the mesh")},
        inject=_inject,
        shows="unmeshed",
        family="mesh",
        category="Configuration Setting",
        text="The label that puts a namespace into the ambient mesh is set to none. Calls go on in plain "
        "text; the proxies of the nodes see no more of them, so that their metrics stand still.",
        spreads="edges",
        felt="alert",
        fits=_fits,
        lacks=_meshing.NO_MESH,
    )
)
