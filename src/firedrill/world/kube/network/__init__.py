"""Names, addresses and routes: what reaches what, and why something does not."""

from firedrill.world.kube.network.allocate import allocate_cluster_ip, allocate_node_port, next_pod_ip
from firedrill.world.kube.network.dns import resolve
from firedrill.world.kube.network.route import Network, Route, route
from firedrill.world.kube.network.spread import lost_names, spread
from firedrill.world.kube.network.state import NetworkState

__all__ = [
    "Network",
    "NetworkState",
    "Route",
    "allocate_cluster_ip",
    "allocate_node_port",
    "lost_names",
    "next_pod_ip",
    "resolve",
    "route",
    "spread",
]
