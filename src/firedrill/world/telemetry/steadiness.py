"""Which metrics are known to stand still: so that rules about them need not be evaluated again."""

from __future__ import annotations

from collections.abc import Iterable

_FOREVER = 1 << 62


class Steadiness:
    """When the series of each metric last came, went or changed, for producers who tell of every change."""

    __slots__ = ("_changed", "_followed")

    def __init__(self) -> None:
        self._followed: dict[str, str] = {"up": ""}
        self._changed: dict[str, int] = {}

    def follow(self, target: str, names: Iterable[str]) -> None:
        """Hold the producer of a target to its word that it calls `note` whenever values of these change.

        What others write of them ends this: nothing is known of the metric any more.
        """
        self._followed.update(dict.fromkeys(names, target))

    def note(self, names: Iterable[str], now_ms: int) -> None:
        """Values of these metrics have changed."""
        for name in names:
            self._changed[name] = now_ms

    def moved(self, names: Iterable[str], now_ms: int, target: str) -> None:
        """Series of these metrics of a target came or went."""
        for name in names:
            self._changed[name] = now_ms
            if self._followed.get(name) not in {None, "", target}:
                del self._followed[name]

    def lose(self, names: Iterable[str]) -> None:
        """Somebody who tells of nothing writes these metrics."""
        for name in names:
            self._followed.pop(name, None)
            self._changed[name] = _FOREVER

    def holds(self, name: str, since_ms: int, *, known: bool) -> bool:
        """Whether the series of a metric have been the same, with the same values, since then.

        Args:
            name: of the metric.
            since_ms: a moment.
            known: whether there ever was a series of it.
        """
        return self._changed.get(name, -1) <= since_ms and (name in self._followed or not known)

    def fork(self) -> Steadiness:
        """An independent copy."""
        twin = Steadiness()
        twin._followed, twin._changed = self._followed.copy(), self._changed.copy()
        return twin
