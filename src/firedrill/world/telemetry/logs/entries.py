"""Lines and streams, and what a source of them has to offer. Times in ns since the Unix epoch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

Labels = tuple[tuple[str, str], ...]
"""Pairs of name and value, sorted by name."""


class Entry(NamedTuple):
    """One line.

    Attributes:
        at: when it was written.
        text: without the line end.
    """

    at: int
    text: str


class Stream(NamedTuple):
    """Lines with the same labels.

    Attributes:
        labels: all of them.
        key: by which its source finds it again.
        first, last: moments between which it may have lines, both included.
    """

    labels: Labels
    key: tuple[str | int, ...]
    first: int = 0
    last: int = 1 << 62


class Source(Protocol):
    """Where lines come from. Reading changes nothing."""

    def streams(self, start: int, end: int) -> Sequence[Stream]:
        """The streams that may have lines in [start, end), in order of their labels."""
        ...

    def read(self, stream: Stream, start: int, end: int) -> Sequence[Entry]:
        """The lines of one stream in [start, end), by time."""
        ...


class Memory:
    """A source that holds its lines, for programs that have some."""

    def __init__(self, streams: Sequence[tuple[dict[str, str], Sequence[tuple[int, str]]]]) -> None:
        self._entries = {
            tuple(sorted(labels.items())): [
                Entry(at, text) for at, text in sorted(lines, key=lambda one: one[0])
            ]
            for labels, lines in streams
        }

    def streams(self, start: int, end: int) -> Sequence[Stream]:
        """See `Source`."""
        return [
            Stream(labels, (), found[0].at, found[-1].at)
            for labels, found in sorted(self._entries.items())
            if found and found[0].at < end and found[-1].at >= start
        ]

    def read(self, stream: Stream, start: int, end: int) -> Sequence[Entry]:
        """See `Source`."""
        return [entry for entry in self._entries[stream.labels] if start <= entry.at < end]
