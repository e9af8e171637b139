"""What is scraped, and the rows that its producers write."""

from __future__ import annotations

from dataclasses import dataclass

from firedrill.world.telemetry.labels import Labels


@dataclass(frozen=True, slots=True)
class Target:
    """Something that is scraped.

    Attributes:
        name: unique in the store.
        labels: what every series of it carries, such as `job` and `instance`.
        offset_ms: when in the interval it is scraped.
        up: whether scrapes succeed.
        health: its block with the series `up`.
        blocks: its other blocks.
        since_ms: when it was added.
    """

    name: str
    labels: Labels
    offset_ms: int
    up: bool
    health: int
    blocks: tuple[int, ...]
    since_ms: int


@dataclass(frozen=True, slots=True)
class Block:
    """Rows that one producer writes: `[start, stop)`, one for each of `series` (numbers of series)."""

    target: str
    start: int
    stop: int
    series: tuple[int, ...]
    alive: bool


def last_scrape(target: Target, interval_ms: int, until_ms: int) -> int:
    """The time in ms of a target's last scrape, or -1, where all that was due until then was scraped."""
    last = (until_ms - target.offset_ms) // interval_ms * interval_ms + target.offset_ms
    return last if until_ms >= 0 and last >= target.since_ms else -1
