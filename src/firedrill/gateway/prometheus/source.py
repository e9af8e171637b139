"""What the two APIs are served from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from firedrill.world.telemetry import Monitoring

if TYPE_CHECKING:
    from firedrill.gateway.kubernetes.host import Host


class Watched(Protocol):
    """A world with its series and rules, at its present moment.

    Before each request `refresh` is called, so that the world may catch up with the clock that it follows.
    """

    @property
    def monitoring(self) -> Monitoring:
        """Series, rules and silences."""

    @property
    def now_ms(self) -> int:
        """The world's present moment, in ms of virtual time."""

    def refresh(self, *, free: bool = False) -> None:
        """Catch up with time; `free` for what says nothing of the world."""


class HostWatched:
    """The monitoring of a served world; each request moves its clock as a read does."""

    def __init__(self, host: Host) -> None:
        self._host = host

    @property
    def monitoring(self) -> Monitoring:
        """Series, rules and silences."""
        return self._host.world.cluster.part(Monitoring)

    @property
    def now_ms(self) -> int:
        """The world's present moment, in ms of virtual time."""
        return self._host.world.now

    def refresh(self, *, free: bool = False) -> None:
        """Catch up with time."""
        self._host.arrive(write=False, free=free)
