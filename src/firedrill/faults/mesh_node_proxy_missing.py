"""the proxies of a mesh are on no node."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from firedrill.faults import _meshing, fitting
from firedrill.faults._changes import Outcome, edit
from firedrill.faults.base import Fault, Parameter, Target, register
from firedrill.world import mesh
from firedrill.world.kube.objects import controller_of, dig

if TYPE_CHECKING:
    from firedrill.world import World
    from firedrill.world.kube.objects import Obj


def _inject(world: World, args: Mapping[str, Any]) -> Outcome:
    def change(obj: Obj) -> None:
        spec = obj["spec"]["template"]["spec"]
        spec["nodeSelector"] = {**(spec.get("nodeSelector") or {}), "node-pool": args["pool"]}

    undo = edit(world, "daemonsets.apps", args["namespace"], args["name"], change)
    return (f"{args['namespace']}/DaemonSet/{args['name']}",), (undo,)


def _fits(world: World) -> Iterator[Target]:
    root = mesh.view(world).root
    about = next(_meshing.members(world), None)
    if about is None:
        return
    nodes = {dig(pod, "spec", "nodeName") for pod in fitting.pods_of(world, about)}
    for pod in world.cluster.store.list("pods", root):
        owner = controller_of(pod)
        if owner is not None and owner["kind"] == "DaemonSet" and dig(pod, "spec", "nodeName") in nodes:
            yield Target({"namespace": root, "name": str(owner["name"])}, fitting.entity(about))
            return


FAULT = register(
    Fault(
        id="mesh-node-proxy-missing",
        title="the proxies of a mesh run on no node any more",
        parameters={
            "namespace": Parameter("namespace of the mesh"),
            "name": Parameter("name of the DaemonSet of its proxies"),
            "pool": Parameter("nodes to which they are bound, of which there are none", "mesh"),
        },
        inject=_inject,
        shows="failing",
        family="mesh",
        category="Resource Unavailable",
        text="The DaemonSet of the mesh's proxies is bound to nodes that do not exist. Pods that take part "
        "in the mesh still hand all their connections to the proxy of their node, and nobody takes "
        "them.",
        spreads="edges",
        fits=_fits,
        lacks=_meshing.NO_MESH,
    )
)
