"""The labels of one line on its way through the stages."""

from __future__ import annotations

import re
from collections.abc import Mapping

ERROR, DETAILS = "__error__", "__error_details__"
LEVEL = "detected_level"
_BAD = re.compile(r"[^a-zA-Z0-9_]")


class LineLabels:
    """What is known of a line by name.

    Attributes:
        all: labels of the stream, of the line's metadata, and parsed ones.
        stream: those of the stream.
        parsed: names of those that stages made.
        metadata: names of those that came with the line.
    """

    __slots__ = ("all", "metadata", "parsed", "stream")

    def __init__(self, stream: Mapping[str, str], level: str) -> None:
        self.stream = stream
        self.all = {**stream, LEVEL: level} if level else dict(stream)
        self.metadata = {LEVEL} if level else set()
        self.parsed: set[str] = set()

    def parse(self, name: str, value: str) -> None:
        """A stage has found a label; one that the stream has already keeps its name."""
        if name in self.stream:
            name += "_extracted"
        self.set(name, value)

    def set(self, name: str, value: str) -> None:
        """Put a label, whatever was there."""
        self.all[name] = value
        self.parsed.add(name)

    def drop(self, name: str) -> None:
        """Take a label away."""
        self.all.pop(name, None)
        self.parsed.discard(name)

    def fail(self, kind: str, details: str) -> None:
        """The line could not be read by a stage."""
        self.all[ERROR] = kind
        self.all[DETAILS] = details
        self.parsed |= {ERROR, DETAILS}

    @property
    def failed(self) -> bool:
        """A stage could not read the line."""
        return ERROR in self.all

    def key(self) -> tuple[tuple[str, str], ...]:
        """The labels sorted by name, without empty ones."""
        return tuple(sorted((name, value) for name, value in self.all.items() if value))


def clean(name: str) -> str:
    """A key of a line as the name of a label."""
    out = _BAD.sub("_", name.strip())
    return "_" + out if out[:1].isdigit() else out
