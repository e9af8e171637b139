"""What programs write without being asked: checkpoints, saves, collections of garbage. Moments in ns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache, lru_cache
from typing import Any, NamedTuple
from zlib import crc32

from firedrill.world.sim.tables import table
from firedrill.world.telemetry.logs import styles

Line = tuple[int, str]
_SECOND = 1_000_000_000


class Habit(NamedTuple):
    """Lines that come together: once in every period, up to `late` after its start. Times in ns."""

    every: int
    late: int
    lines: tuple[styles.Shape, ...]


@cache
def _tables() -> Mapping[str, Any]:
    return table("firedrill.world.telemetry.logs", "background.yaml")  # type: ignore[no-any-return]


@lru_cache(maxsize=256)
def habits(family: str) -> Sequence[Habit]:
    """What programs of a family write by themselves."""
    return tuple(
        Habit(item["every"] * _SECOND, item["late"] * _SECOND, tuple(map(styles.shape, item["lines"])))
        for item in _tables().get(family, ())
    )


def background(family: str, key: str, since: int, start: int, end: int, node: str = "") -> list[Line]:
    """The lines of one run in [start, end).

    Args:
        family: of the program, as in `programs/data/logs.yaml`.
        key: what no other run has.
        since: when the run began.
        start, end: of the lines.
        node: where it runs.
    """
    out: list[Line] = []
    for number, habit in enumerate(habits(family)):
        phase = crc32(f"{key}/{number}".encode()) % 1000 * habit.every // 1000
        first = max((start - since - phase - habit.late) // habit.every - 1, 0)
        for period in range(first, max((end - since - phase) // habit.every + 1, 0)):
            mark = crc32(f"{key}/{number}/{period}".encode())
            at = since + phase + period * habit.every + mark % 997 * habit.late // 997
            values: dict[str, object] = {**_counted(period, crc32(key.encode())), "node": node}
            for place, shape in enumerate(habit.lines):
                moment = at + place * 37_000_000 + mark % 900_000
                if period and start <= moment < end:
                    values["uptime"] = f"{(moment - since) / _SECOND:.3f}"
                    out.append((moment, _filled(shape, moment, mark, values)))
    out.sort(key=lambda line: line[0])
    return out


def _counted(period: int, start: int) -> dict[str, int]:
    """Numbers that grow: now, one period before, and two before."""
    first = 900 + start % 400
    numbers = [first + max(period - back, 0) * 271 for back in range(3)]
    return {**dict(zip(("serial", "before", "older"), numbers, strict=True)), "count": period}


def _filled(shape: styles.Shape, at: int, mark: int, values: Mapping[str, object]) -> str:
    low = 40 + mark % 40
    drawn = {
        "number": 100 + mark % 800,
        "small": 11 + mark // 7 % 80,
        "ms": 1 + mark // 3 % 9,
        "low": low,
        "high": low + 170 + mark // 5 % 60,
        **values,
    }

    def value(name: str) -> str:
        return styles.moment(name, at) if name.startswith("at_") else str(drawn[name])

    return "".join(text + value(name) if name else text for text, name in shape.parts)
