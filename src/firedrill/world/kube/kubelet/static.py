"""Static pods of the control plane, and the components that live in them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from firedrill.world.kube.api.client import Client
from firedrill.world.kube.api.request import ADMIN
from firedrill.world.kube.controllers import base
from firedrill.world.kube.objects import Obj

if TYPE_CHECKING:
    from firedrill.world.world import World


def stop(world: World, node: str, component: str) -> None:
    """Take a static pod's manifest away: its pod goes, and the component no longer runs.

    Raises:
        LookupError: no such static pod runs on the node.
    """
    name = f"{component}-{node}"
    client = Client(world, ADMIN, manager="kubelet", trusted=True)
    pod = client.find("pods", "kube-system", name)
    if pod is None:
        raise LookupError(f"node {node!r} has no part and no static pod called {component!r}")
    base.stop_component(world, component)
    client.delete("pods", "kube-system", name, grace=0)


def start(world: World, node: str, component: str) -> None:
    """Put it back.

    Raises:
        LookupError: the component is none of the control plane's.
    """
    raise LookupError(f"{component} on {node} has no static pod")


def mirror_pods(world: World, node: str) -> list[Obj]:
    """The mirror pods of a node's static pods."""
    return [
        pod
        for pod in world.cluster.store.pods_on(node)
        if "kubernetes.io/config.mirror" in (pod["metadata"].get("annotations") or {})
    ]
