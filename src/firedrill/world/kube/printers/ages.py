"""Ages as a server prints them, and cells that change with time."""

from __future__ import annotations

from typing import Any, NamedTuple

from firedrill.world.sim.clock import epoch_ms


def human_duration(ms: int) -> str:
    """A length of time in two or three digits: `45s`, `2m30s`, `3h5m`, `47h`, `3d17h`, `2y12d`."""
    seconds = int(ms / 1000)
    if seconds < -1:
        return "<invalid>"
    if seconds < 120:
        return f"{max(seconds, 0)}s"
    minutes, hours = seconds // 60, seconds // 3600
    days = hours // 24
    if minutes < 10:
        return _pair(minutes, "m", seconds % 60, "s")
    if minutes < 180:
        return f"{minutes}m"
    if hours < 8:
        return _pair(hours, "h", minutes % 60, "m")
    if hours < 48:
        return f"{hours}h"
    if hours < 192:
        return _pair(days, "d", hours % 24, "h")
    if days < 730:
        return f"{days}d"
    years = days // 365
    return _pair(years, "y", days % 365, "d") if days < 2920 else f"{years}y"


def short_duration(ms: int) -> str:
    """A length of time in its largest unit alone: `2m`, `3h`, `91d`."""
    seconds = int(ms / 1000)
    if seconds < -1:
        return "<invalid>"
    for unit, size in (("y", 31_536_000), ("d", 86_400), ("h", 3600), ("m", 60)):
        if seconds >= size:
            return f"{seconds // size}{unit}"
    return f"{max(seconds, 0)}s"


def _pair(large: int, large_unit: str, small: int, small_unit: str) -> str:
    return f"{large}{large_unit}{small}{small_unit}" if small else f"{large}{large_unit}"


class Since(NamedTuple):
    """A cell that tells how long ago something was; everything else of a row stays as it is."""

    at_ms: int
    before: str = ""
    after: str = ""

    def text(self, now_ms: int) -> str:
        """The cell at that moment."""
        return f"{self.before}{human_duration(now_ms - self.at_ms)}{self.after}"


def since(text: Any, *, missing: str = "<unknown>", broken: str = "<unknown>") -> Since | str:
    """The cell of an RFC 3339 time."""
    if not text:
        return missing
    try:
        return Since(epoch_ms(str(text)))
    except ValueError:
        return broken
