"""Columns of numbers as columns of texts, and the lines of a table that they make beside each other.

Texts of equal width are filled in for whole columns, and lines are joined as they are written.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from itertools import chain
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from firedrill.core.errors import InfrastructureError
from firedrill.snapshot.writer import NANOSECOND, format_time

Glyphs = NDArray[np.uint8]
"""Texts of equal width: rows x bytes."""
_BLOCK = 8_192
"""Lines that are joined at a time."""


@cache
def _triples() -> Glyphs:
    return np.frombuffer(b"".join(b"%03d" % number for number in range(1000)), np.uint8).reshape(1000, 3)


@cache
def _pairs() -> Glyphs:
    return np.frombuffer(b"".join(b"%02x" % number for number in range(256)), np.uint8).reshape(256, 2)


def hexadecimal(words: NDArray[np.uint64]) -> Glyphs:
    """Each as 16 hex digits."""
    raw = words.astype(">u8").view(np.uint8).reshape(len(words), 8)
    return _pairs()[raw].reshape(len(words), 16)


def stamps(nanoseconds: NDArray[np.int64], digits: int = 9) -> Glyphs:
    """Moments as `format_time` writes them, with 0, 3, 6 or 9 digits of the second.

    Raises:
        ValueError: one is outside of the years 1 to 9999.
    """
    seconds, rest = np.divmod(nanoseconds, NANOSECOND)
    found, back = np.unique(seconds, return_inverse=True)
    texts = "".join([format_time(second * NANOSECOND, 0) for second in found.tolist()]).encode()
    known = np.frombuffer(texts, np.uint8).reshape(len(found), 19)
    out = np.empty((len(seconds), 20 + digits if digits else 19), np.uint8)
    out[:, :19] = known[back]
    if digits:
        out[:, 19] = ord(".")
        for place in range(digits // 3):
            out[:, 20 + 3 * place : 23 + 3 * place] = _triples()[rest // 1000 ** (2 - place) % 1000]
    return out


def beside(*parts: Glyphs | bytes) -> list[bytes]:
    """Texts of equal width beside each other; those that are the same in all rows are given once."""
    count = max(len(part) for part in parts if not isinstance(part, bytes))
    wide = [
        np.broadcast_to(np.frombuffer(part, np.uint8), (count, len(part)))
        if isinstance(part, bytes)
        else part
        for part in parts
    ]
    whole = np.ascontiguousarray(np.concatenate(wide, axis=1))
    return cut(whole)


def cut(glyphs: Glyphs) -> list[bytes]:
    """Each row as a text."""
    count, width = glyphs.shape
    raw = glyphs.tobytes()
    return [raw[at : at + width] for at in range(0, count * width, width)]


def picked(texts: Sequence[bytes], numbers: NDArray[np.integer]) -> list[bytes]:
    """The texts of these numbers."""
    # an array of one text would be one of its characters
    every = np.array([*texts, None], dtype=object)
    out: list[bytes] = every[numbers].tolist()
    return out


def write_lines(path: Path, header: Sequence[str], columns: Sequence[Sequence[bytes]]) -> None:
    """Write a table; its lines are the texts of these columns beside each other, ends of lines included.

    Raises:
        InfrastructureError: it cannot be written.
    """
    with replacing(path) as file:
        file.write("\t".join(header).encode() + b"\n")
        for block in _blocks(columns):
            file.write(block)


def _blocks(columns: Sequence[Sequence[bytes]]) -> Iterator[bytes]:
    for low in range(0, len(columns[0]), _BLOCK):
        parts = [column[low : low + _BLOCK] for column in columns]
        yield b"".join(chain.from_iterable(zip(*parts, strict=True)))


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A file that takes its name only when it is whole.

    Raises:
        InfrastructureError: it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(prefix=".writing-", dir=path.parent)
        try:
            with os.fdopen(descriptor, "wb") as file:
                yield file
            Path(name).chmod(0o644)
            Path(name).replace(path)
        except BaseException:
            with suppress(OSError):
                Path(name).unlink()
            raise
    except OSError as error:
        raise InfrastructureError(f"{path} cannot be written: {error.strerror}") from error


def encoded(texts: Iterable[str]) -> list[bytes]:
    """Texts as they are written; what is not valid Unicode is replaced."""
    return [text.encode("utf-8", "replace") for text in texts]
