"""Ids of traces and spans, from which tick and row can be found again without a table."""

from __future__ import annotations

from functools import lru_cache
from hashlib import blake2b
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Words = NDArray[np.uint64]
_ONE: Final = 0xBF58476D1CE4E5B9
_TWO: Final = 0x94D049BB133111EB
_MASK: Final = (1 << 64) - 1
_ONE_BACK: Final = pow(_ONE, -1, 1 << 64)
_TWO_BACK: Final = pow(_TWO, -1, 1 << 64)


def _mixed(word: Words) -> Words:
    """The finalizer of splitmix64: every input has an output of its own."""
    word = (word ^ (word >> np.uint64(30))) * np.uint64(_ONE)
    word = (word ^ (word >> np.uint64(27))) * np.uint64(_TWO)
    out: Words = word ^ (word >> np.uint64(31))
    return out


def _unmixed(word: int) -> int:
    word = _shifted_back(word, 31)
    word = _shifted_back(word * _TWO_BACK & _MASK, 27)
    return _shifted_back(word * _ONE_BACK & _MASK, 30)


def _shifted_back(word: int, by: int) -> int:
    """Undo `word ^= word >> by`."""
    out = word
    for _ in range(64 // by):
        out = word ^ (out >> by)
    return out


@lru_cache(maxsize=64)
def _keys(seed: int) -> tuple[int, int, int]:
    raw = blake2b(f"traces/{seed}".encode(), digest_size=24).digest()
    return int.from_bytes(raw[:8], "big"), int.from_bytes(raw[8:16], "big"), int.from_bytes(raw[16:], "big")


def _places(tick: int, rows: NDArray[Any]) -> Words:
    out: Words = np.uint64(tick << 32) | rows.astype(np.uint64)
    return out


def traces(seed: int, tick: int, roots: NDArray[Any]) -> tuple[Words, Words]:
    """Both halves of the trace ids of some root rows."""
    first, second, _ = _keys(seed)
    low = _mixed(_places(tick, roots) ^ np.uint64(first))
    return _mixed(low ^ np.uint64(second)), low


def spans(seed: int, tick: int, rows: NDArray[Any], *, server: bool) -> Words:
    """The span ids of the callers' or the callees' side of some rows."""
    third = _keys(seed)[2]
    place = _places(tick, rows.astype(np.uint64) << np.uint64(1) | np.uint64(server))
    return _mixed(place ^ np.uint64(third))


def sampled(high: Words, rate: float) -> NDArray[np.bool_]:
    """Which traces are kept, by the first half of their ids."""
    kept: NDArray[np.bool_] = (high >> np.uint64(11)).astype(np.float64) * 2.0**-53 < rate
    return kept


def place_of(seed: int, trace_id: str) -> tuple[int, int] | None:
    """(tick, root row) of a trace id of 32 hex digits; None for one that this seed never gave."""
    first, second, _ = _keys(seed)
    number = int(trace_id, 16)
    high, low = number >> 64, number & _MASK
    if int(_mixed(np.array([low ^ second], np.uint64))[0]) != high:
        return None
    place = _unmixed(low) ^ first
    return place >> 32, place & 0xFFFF_FFFF


def hexadecimal(words: Words) -> list[str]:
    """Each as 16 hex digits."""
    raw = words.astype(">u8").tobytes().hex()
    return [raw[at : at + 16] for at in range(0, len(raw), 16)]
