"""Virtual time: integer milliseconds since the Unix epoch, printed as Kubernetes prints it."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache

EPOCH_MS = 1_767_603_600_000
"""Where a world's clock starts unless told otherwise: 2026-01-05T09:00:00Z, a Monday morning."""


@lru_cache(maxsize=4096)
def _seconds(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def rfc3339(ms: int) -> str:
    """A `metav1.Time`: whole seconds, as in `2026-01-05T09:00:00Z`."""
    return _seconds(ms // 1000) + "Z"


def rfc3339_micro(ms: int) -> str:
    """A `metav1.MicroTime`: six digits, as in `2026-01-05T09:00:00.250000Z`."""
    return f"{_seconds(ms // 1000)}.{ms % 1000:03d}000Z"


def epoch_ms(text: str) -> int:
    """The milliseconds of an RFC 3339 time.

    Raises:
        ValueError: the text is no such time.
    """
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"{text!r} names no time zone")
    return round(moment.timestamp() * 1000)
