"""What is broken in the network itself, as state that faults set and routes read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, Self

from firedrill.world.kube.store import Store


class Backend(NamedTuple):
    """One endpoint of a service port, as a proxy knows it."""

    address: str
    port: int
    node: str
    ready: bool
    serving: bool
    terminating: bool
    pod: tuple[str, str]


class Frontend(NamedTuple):
    """One port of a service, as a proxy knows it."""

    namespace: str
    service: str
    port_name: str
    protocol: str
    backends: tuple[Backend, ...]


Rules = Mapping[tuple[str, int, str], Frontend]
"""By (cluster address, port, protocol)."""


class NetworkState:
    """Faults of the network.

    Attributes:
        frozen: nodes whose kube-proxy does not run: the rules that were in force when it stopped. New
            services are unknown there and endpoints that move are not followed, as on a real node.
        cut: pairs of nodes (names sorted) between which nothing passes.
    """

    __slots__ = ("cut", "frozen")

    def __init__(self) -> None:
        self.frozen: dict[str, Rules] = {}
        self.cut: frozenset[tuple[str, str]] = frozenset()

    def fork(self) -> Self:
        """An independent copy."""
        twin = type(self)()
        twin.frozen = self.frozen.copy()
        twin.cut = self.cut
        return twin

    def state(self) -> object:
        """All of it as plain data."""
        return [
            sorted(
                [
                    node,
                    sorted(
                        [*key, [*front[:4], [list(item) for item in front.backends]]]
                        for key, front in rules.items()
                    ),
                ]
                for node, rules in self.frozen.items()
            ),
            sorted(self.cut),
        ]

    def stop_proxy(self, node: str, store: Store, *, flushed: bool = False) -> None:
        """Let the node's kube-proxy stop; `flushed` if its rules go with it (the node was restarted)."""
        from firedrill.world.kube.network.services import rules_of

        self.frozen[node] = {} if flushed else rules_of(store)

    def start_proxy(self, node: str) -> None:
        """Let it run again."""
        self.frozen.pop(node, None)

    def separate(self, one: str, other: str) -> None:
        """Cut the connection between two nodes."""
        self.cut |= {(min(one, other), max(one, other))}

    def join(self, one: str, other: str) -> None:
        """Mend it."""
        self.cut -= {(min(one, other), max(one, other))}

    def reaches(self, one: str, other: str) -> bool:
        """Whether packets pass between two nodes."""
        return one == other or (min(one, other), max(one, other)) not in self.cut
