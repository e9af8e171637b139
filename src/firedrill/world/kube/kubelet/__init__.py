"""Nodes and what runs on them: kubelets, container runtimes, the node lifecycle controller.

`add_node` lets a machine join; pods that are bound to it are then pulled, created, started, probed,
restarted and stopped as by a real kubelet. `nodes.stop` and `nodes.start` break and mend a node's parts.
"""

from firedrill.world.kube.kubelet import lifecycle, metrics, nodes, probes, refreshing, sync, tainting
from firedrill.world.kube.kubelet.execution import execute
from firedrill.world.kube.kubelet.health import set_health
from firedrill.world.kube.kubelet.joining import add_node
from firedrill.world.kube.kubelet.load import set_load
from firedrill.world.kube.kubelet.probes import wake, wake_all
from firedrill.world.kube.kubelet.reading import read_log, usage
from firedrill.world.kube.programs.model import Executed

__all__ = [
    "Executed",
    "add_node",
    "execute",
    "lifecycle",
    "metrics",
    "nodes",
    "probes",
    "read_log",
    "refreshing",
    "set_health",
    "set_load",
    "sync",
    "tainting",
    "usage",
    "wake",
    "wake_all",
]
