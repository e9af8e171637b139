"""Draws from tables: the work of requests, waiting times, and the share of requests that wait at all.

`exp`, `log` and `pow` differ in their last bits from machine to machine, so nothing in here computes them
when a world runs: `quantiles.npy` and `quota.npy` hold them, made by `quantiles()` and `quota()`.
"""

from __future__ import annotations

from functools import cache, lru_cache
from importlib.resources import files
from io import BytesIO
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

SIZE = 4096
CLASSES = (0.0, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0)
"""Coefficients of variation that there are tables of work for."""
_GRID = 256
_MOST_SERVERS = 512


def cv_class(cv: float) -> int:
    """The table whose variation is nearest."""
    return min(range(len(CLASSES)), key=lambda number: abs(CLASSES[number] - cv))


def quantiles() -> NDArray[np.float32]:
    """The tables from scratch: (classes + 1) x 4096; log-normal with mean 1, the last one exponential.

    For those who make the file anew; worlds read it.
    """
    from math import exp, log, log1p, sqrt

    normal = NormalDist()
    points = [(number + 0.5) / SIZE for number in range(SIZE)]
    rows = []
    for cv in CLASSES:
        sigma = sqrt(log1p(cv * cv))
        rows.append([exp(sigma * normal.inv_cdf(p) - sigma * sigma / 2) for p in points])
    rows.append([-log(1 - p) for p in points])
    return np.array([[value * SIZE / sum(row) for value in row] for row in rows], np.float32)


@cache
def _tables() -> NDArray[np.float64]:
    raw = files("firedrill.world.app.tables").joinpath("quantiles.npy").read_bytes()
    found: NDArray[np.float64] = np.load(BytesIO(raw), allow_pickle=False).astype(np.float64).ravel()
    found.flags.writeable = False
    return found


def work(kind: NDArray[np.int64], uniform: NDArray[np.float64]) -> NDArray[np.float64]:
    """Multiples of the mean, by class of variation, for uniform draws in [0, 1)."""
    return work_from(kind * SIZE, uniform)


def work_from(start: NDArray[np.int64], uniform: NDArray[np.float64]) -> NDArray[np.float64]:
    """The same where the tables begin: `SIZE` times the class."""
    return _tables()[start + (uniform * SIZE).astype(np.int64)]


def exponential(uniform: NDArray[np.float64]) -> NDArray[np.float64]:
    """Exponential draws with mean 1, for uniform draws in [0, 1)."""
    return _tables()[len(CLASSES) * SIZE + (uniform * SIZE).astype(np.int64)]


@lru_cache(maxsize=1024)
def _erlang_row(servers: int) -> NDArray[np.float64]:
    load = np.arange(_GRID + 1) / _GRID
    offered = load * servers
    blocked = np.ones(_GRID + 1)
    for count in range(1, servers + 1):
        blocked = offered * blocked / (count + offered * blocked)
    row = blocked / (1.0 - load * (1.0 - blocked))
    row[-1] = 1.0
    return row


def erlang_rows(servers: tuple[int, ...]) -> NDArray[np.float64]:
    """Erlang's C on a grid of utilisations, one row for each number of servers; for `waiting`."""
    if not servers:
        return np.zeros((0, _GRID + 1))
    return np.stack([_erlang_row(min(max(count, 1), _MOST_SERVERS)) for count in servers])


def waiting(rows: NDArray[np.float64], utilisation: NDArray[np.float64]) -> NDArray[np.float64]:
    """The share of requests that find all servers busy, by station.

    Args:
        rows: of `erlang_rows`.
        utilisation: in [0, 1].
    """
    place = utilisation * _GRID
    low = np.minimum(place.astype(np.int64), _GRID - 1)
    flat, offset = rows.ravel(), np.arange(len(rows)) * (_GRID + 1) + low
    left = flat[offset]
    return left + (flat[offset + 1] - left) * (place - low)


_FAR, _STEPS = 8, 64
"""The tables of quotas reach so many deviations, with so many steps for each."""


def quota() -> NDArray[np.float64]:
    """What is left over of a quota's work, from scratch: 2 x (8 x 64 + 1); for those who make the file anew.

    Work comes in periods, normally distributed, with a mean that is `b` deviations below the quota. By
    Spitzer's identity for random walks: the share of periods at whose end work is left over, and how much of
    it there is on average, in deviations. Rows by what, columns by `b`.
    """
    from math import erfc, exp, pi, sqrt

    share, mean = [], []
    for step in range(_FAR * _STEPS + 1):
        b = max(step / _STEPS, 0.5 / _STEPS)
        below = left = 0.0
        for k in range(1, 200_000):
            far = b * sqrt(k)
            if far > 9:
                break
            tail = 0.5 * erfc(far / sqrt(2))
            below += tail / k
            left += exp(-far * far / 2) / sqrt(2 * pi * k) - b * tail
        share.append(1 - exp(-below))
        mean.append(left)
    return np.array([share, mean])


@cache
def _quota() -> NDArray[np.float64]:
    raw = files("firedrill.world.app.tables").joinpath("quota.npy").read_bytes()
    found: NDArray[np.float64] = np.load(BytesIO(raw), allow_pickle=False)
    found.flags.writeable = False
    return found


def left_over(spare: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(share of periods that end with work left over, how much on average in deviations) of a quota.

    Args:
        spare: by how many deviations the mean work of a period is below the quota.
    """
    place = np.minimum(np.maximum(spare, 0.0), _FAR) * _STEPS
    low = np.minimum(place.astype(np.int64), _FAR * _STEPS - 1)
    rows = _quota()
    found = rows[:, low] + (rows[:, low + 1] - rows[:, low]) * (place - low)
    return found[0], found[1]
