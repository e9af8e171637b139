"""The requests of a world, each tick made once for all that is written of it."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from firedrill.world.telemetry.traces import Names, Pod, Requests, Tick

_KEPT = 40


class Kept:
    """Requests that keep their last ticks; see `telemetry.traces.Requests`.

    Args:
        inner: the world's.
    """

    def __init__(self, inner: Requests) -> None:
        self._inner = inner
        self._ticks: OrderedDict[int, Tick] = OrderedDict()
        self._pods: Sequence[Pod] = ()

    @property
    def names(self) -> Names:
        """See `Requests`."""
        return self._inner.names

    @property
    def seed(self) -> int:
        """See `Requests`."""
        return self._inner.seed

    @property
    def until(self) -> int:
        """See `Requests`."""
        return self._inner.until

    def ticks(self, start: int, end: int) -> range:
        """See `Requests`."""
        return self._inner.ticks(start, end)

    def tick(self, number: int) -> Tick:
        """See `Requests`."""
        found = self._ticks.get(number)
        if found is None:
            found = self._inner.tick(number)
            if found.pods == self._pods:
                # the same list again: what has been worked out for it need not be worked out again
                found = found._replace(pods=self._pods)
            self._pods = found.pods
            self._ticks[number] = found
            if len(self._ticks) > _KEPT:
                self._ticks.popitem(last=False)
        return found
