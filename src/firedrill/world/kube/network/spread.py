"""All ends that a connection can come to, where `Network.route` would draw one of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

from firedrill.world.kube.network import dns
from firedrill.world.kube.network.route import Network, Route
from firedrill.world.kube.network.services import cluster_ips
from firedrill.world.kube.objects import Obj
from firedrill.world.sim.rng import Rng

T = TypeVar("T")
_DRAW = "every"
_MOST = 256


class _Chooser:
    """In place of draws: takes the choices of a path, and the first of each beyond it."""

    def __init__(self, rng: Rng) -> None:
        self.rng = rng
        self.path: list[int] = []
        self.sizes: list[int] = []

    def choice(self, items: Sequence[T], *name: object) -> T:
        """The item that the path takes here."""
        if name[-1] != _DRAW:  # session affinity: the source's address decides
            return self.rng.choice(items, *name)
        if len(self.sizes) == len(self.path):
            self.path.append(0)
        self.sizes.append(len(items))
        return items[self.path[len(self.sizes) - 1]]

    def next(self) -> bool:
        """Go on to the next path; False after the last one."""
        path = self.path
        while path and path[-1] + 1 >= self.sizes[len(path) - 1]:
            path.pop()
        if path:
            path[-1] += 1
        self.sizes = []
        return bool(path)


def spread(network: Network, source: Obj, host: str, port: int, protocol: str = "TCP") -> tuple[Route, ...]:
    """Every route that `Network.route` may give once the name's server has been asked, equally likely ones.

    Args:
        network: of the cluster.
        source: the pod that connects.
        host, port, protocol: where to.
    """
    chooser: Any = _Chooser(network.rng)
    chosen = network._replace(rng=chooser)
    out = []
    for _ in range(_MOST):
        out.append(chosen.after_names(source, host, port, protocol, _DRAW))
        if not chooser.next():
            break
    return tuple(out)


def lost_names(network: Network, source: Obj) -> float:
    """The share of a pod's questions for names that reach no server of the cluster's DNS."""
    service = network.store.get("services", "kube-system", "kube-dns")
    addresses = cluster_ips(service) if service is not None else []
    if not addresses or not dns.uses_cluster_dns(source):
        return 0.0
    ends = spread(network, source, addresses[0], 53, "UDP")
    return sum(item.result != "ok" for item in ends) / len(ends)
