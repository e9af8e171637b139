"""Silences of an Alertmanager: what is not to be told of, from when to when. Alerts go on underneath."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import Self

from firedrill.world.telemetry.labels import Labels
from firedrill.world.telemetry.matching import Matcher


@dataclass(frozen=True, slots=True)
class Silence:
    """One silence.

    Attributes:
        id: a UUID.
        matchers: all of which an alert has to fit.
        starts_ms, ends_ms, updated_ms: moments.
        author, comment: as given.
    """

    id: str
    matchers: tuple[Matcher, ...]
    starts_ms: int
    ends_ms: int
    updated_ms: int
    author: str
    comment: str

    def state(self, now_ms: int) -> str:
        """`pending`, `active` or `expired`."""
        if now_ms < self.starts_ms:
            return "pending"
        return "active" if now_ms < self.ends_ms else "expired"

    def fits(self, labels: Labels) -> bool:
        """Whether an alert's labels fit all matchers."""
        found = dict(labels)
        return all(matcher.test()(found.get(matcher.name, "")) for matcher in self.matchers)


class Silences:
    """All silences of a world."""

    def __init__(self) -> None:
        self._all: dict[str, Silence] = {}
        self._made = 0

    def __iter__(self) -> Iterator[Silence]:
        return iter(self._all.values())

    def get(self, id: str) -> Silence | None:
        """The silence of that id."""
        return self._all.get(id)

    def put(self, silence: Silence, now_ms: int) -> str:
        """Add a silence, or change the one with its id; one that began already is ended and made anew.

        Raises:
            KeyError: its id is unknown.

        Returns:
            The id that it has now.
        """
        old = self._all.get(silence.id) if silence.id else None
        if silence.id and old is None:
            raise KeyError(silence.id)
        silence = replace(silence, updated_ms=now_ms, starts_ms=max(silence.starts_ms, now_ms))
        if old is not None and _same_scope(old, silence, now_ms):
            self._all[old.id] = replace(silence, starts_ms=min(old.starts_ms, silence.starts_ms))
            return old.id
        if old is not None and old.state(now_ms) != "expired":
            self.expire(old.id, now_ms)
        self._made += 1
        digest = blake2b(f"silence/{self._made}/{now_ms}".encode(), digest_size=16).digest()
        made = replace(silence, id=str(uuid.UUID(bytes=digest, version=4)))
        self._all[made.id] = made
        return made.id

    def expire(self, id: str, now_ms: int) -> bool:
        """End a silence now.

        Raises:
            KeyError: its id is unknown.

        Returns:
            Whether it had not ended before.
        """
        found = self._all[id]
        if found.state(now_ms) == "expired":
            return False
        starts = min(found.starts_ms, now_ms)
        self._all[id] = replace(found, starts_ms=starts, ends_ms=now_ms, updated_ms=now_ms)
        return True

    def silencing(self, labels: Labels, now_ms: int) -> list[str]:
        """The ids of the active silences that an alert fits, sorted."""
        return sorted(s.id for s in self._all.values() if s.state(now_ms) == "active" and s.fits(labels))

    def fork(self) -> Self:
        """An independent copy."""
        twin = type(self)()
        twin._all, twin._made = dict(self._all), self._made
        return twin

    def state(self) -> object:
        """As plain data."""
        return [
            [s.id, [list(m) for m in s.matchers], s.starts_ms, s.ends_ms, s.author, s.comment]
            for s in self._all.values()
        ]


def _same_scope(old: Silence, new: Silence, now_ms: int) -> bool:
    """Whether a change leaves alone what cannot be changed afterwards."""
    if old.matchers != new.matchers or old.state(now_ms) == "expired":
        return False
    return old.state(now_ms) == "pending" or new.starts_ms <= now_ms
