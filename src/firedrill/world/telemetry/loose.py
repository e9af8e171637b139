"""One series that is not scraped: rising times, values, and the moments at which it ended."""

from __future__ import annotations

from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class Loose:
    """Samples in arrays that grow by doubling; forks share them until one of the two appends."""

    __slots__ = ("_count", "_ends", "_own", "_times", "_values")

    def __init__(self) -> None:
        self._count = 0
        self._times: Ints = np.empty(8, np.int64)
        self._values: Floats = np.empty(8)
        self._ends: tuple[int, ...] = ()
        self._own = True

    def __len__(self) -> int:
        return self._count

    @property
    def times(self) -> Ints:
        """Times of the samples in ms."""
        return self._times[: self._count]

    @property
    def values(self) -> Floats:
        """Values of the samples."""
        return self._values[: self._count]

    @property
    def ends(self) -> tuple[int, ...]:
        """Times of the markers in ms, rising."""
        return self._ends

    def _last(self) -> int:
        last = int(self._times[self._count - 1]) if self._count else -(1 << 62)
        return max(last, self._ends[-1]) if self._ends else last

    def _make_room(self, count: int) -> None:
        if self._own and count <= len(self._times):
            return
        size = max(8, count, len(self._times) * 2 if count > len(self._times) else 0)
        times, values = np.empty(size, np.int64), np.empty(size)
        times[: self._count], values[: self._count] = self.times, self.values
        self._times, self._values, self._own = times, values, True

    def append(self, at_ms: int, value: float) -> None:
        """One more sample; one that is not newer than what is there is left out."""
        if at_ms <= self._last():
            return
        self._make_room(self._count + 1)
        self._times[self._count] = at_ms
        self._values[self._count] = value
        self._count += 1

    def extend(self, times: Ints, values: Floats) -> None:
        """Many samples, all newer than what is there.

        Raises:
            ValueError: they are not newer.
        """
        if not len(times):
            return
        if int(times[0]) <= self._last():
            raise ValueError("samples are older than what the series has")
        self._make_room(self._count + len(times))
        stop = self._count + len(times)
        self._times[self._count : stop], self._values[self._count : stop] = times, values
        self._count = stop

    def end(self, at_ms: int) -> None:
        """A marker: no value from here to the next sample."""
        if at_ms > self._last() and self._count:
            self._ends = (*self._ends, at_ms)

    def forget(self, before_ms: int) -> None:
        """Leave out what is older."""
        first = int(np.searchsorted(self.times, before_ms))
        if first:
            self._times, self._values = self.times[first:].copy(), self.values[first:].copy()
            self._count -= first
            self._own = True
        if self._ends and self._ends[0] < before_ms:
            self._ends = tuple(end for end in self._ends if end >= before_ms)

    def fork(self) -> Loose:
        """An independent copy."""
        twin = Loose.__new__(Loose)
        twin._count, twin._times, twin._values = self._count, self._times, self._values
        twin._ends = self._ends
        twin._own = self._own = False
        return twin

    def state(self) -> object:
        """As plain data."""
        digest = blake2b(self.times.tobytes(), digest_size=16)
        digest.update(self.values.tobytes())
        return [self._count, digest.hexdigest(), list(self._ends)]
