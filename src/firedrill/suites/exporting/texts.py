"""Cells of the published tables, ready to be put into lines."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from typing import Generic, TypeVar

from firedrill.snapshot.writer import format_cell, format_line

Key = TypeVar("Key", bound=Hashable)


def cells(*values: object) -> str:
    """Some cells beside each other, quoted where they must be, without the end of a line."""
    texts = [format_cell(value) for value in values]
    # a line of one empty cell would be quoted, a part of a line need not be
    return format_line(texts)[:-1] if len(texts) > 1 or texts[0] else ""


def attributes(pairs: Iterable[tuple[str, object]] | Mapping[str, object]) -> dict[str, str]:
    """Attributes as recorders keep them: all values are texts."""
    items = pairs.items() if isinstance(pairs, Mapping) else pairs
    return {key: str(value).lower() if isinstance(value, bool) else str(value) for key, value in items}


class Numbered(Generic[Key]):
    """Keys by number, in the order in which they came."""

    def __init__(self) -> None:
        self._numbers: dict[Key, int] = {}

    def number(self, key: Key) -> int:
        """The number of a key, a new one if it is new."""
        return self._numbers.setdefault(key, len(self._numbers))

    def ordered(self) -> list[Key]:
        """All of them, by number."""
        return list(self._numbers)

    def __len__(self) -> int:
        return len(self._numbers)
