"""The network plugin of a node: when it cannot give a pod's sandbox a network, and what it says then."""

from __future__ import annotations

from typing import TYPE_CHECKING

from firedrill.world.kube.kubelet.state import NodeState, PodState, kubelets
from firedrill.world.kube.objects import labels_of, uid_of

if TYPE_CHECKING:
    from firedrill.world.world import World

NOT_READY = (
    "network is not ready: container runtime network not ready: NetworkReady=false "
    "reason:NetworkPluginNotReady message:Network plugin returns error: cni plugin not initialized"
)
_AGENT = ("app", "flannel")
_NO_SUBNET = (
    'rpc error: code = Unknown desc = failed to setup network for sandbox "{sandbox}": plugin type="flannel" '
    "failed (add): loadFlannelSubnetEnv failed: open /run/flannel/subnet.env: no such file or directory"
)


def refusal(world: World, state: PodState, node: NodeState) -> str:
    """Why a sandbox on the node gets no network now; empty where it does.

    flannel's plugin reads the node's subnet from a file that its agent writes when it starts, and that a
    reboot clears: until the agent runs again, no pod of the node can have a network.
    """
    if not _waits_for_agent(world, node):
        return ""
    sandbox = world.rng.hexadecimal(64, "kubelet.sandbox.id", state.uid, state.sandboxes)
    return _NO_SUBNET.format(sandbox=sandbox)


def _waits_for_agent(world: World, node: NodeState) -> bool:
    if not node.boots:
        return False
    known = kubelets(world).pods
    for pod in world.cluster.store.pods_on(node.name):
        if labels_of(pod).get(_AGENT[0]) == _AGENT[1]:
            agent = known.get(uid_of(pod))
            runs = [item for item in agent.containers.values() if item.running] if agent is not None else []
            if not any(item.run is not None and item.run.started >= node.booted for item in runs):
                return True
    return False
