"""One mapping of a file that somebody wrote: its members by type, and clear errors about them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar, get_args

from firedrill.core.errors import InputError

T = TypeVar("T")
MOST = 4096
"""Members of one list or mapping."""
_MOST_MAPPINGS = 50_000
"""Of one file, each counted as often as the file refers to it."""
_MOST_TEXT = 4096


class Fields:
    """Hands out the members of a mapping by type and remembers which were asked for; see `done`.

    Args:
        value: the mapping, not yet looked at.
        source: how errors name the file.
        where: path of the mapping in it.

    Raises:
        InputError: it is no mapping. The methods raise it too, for members that are missing or wrong.
    """

    def __init__(self, value: object, source: str, where: str, left: list[int] | None = None) -> None:
        self.source = source
        self.where = where
        self._left = [_MOST_MAPPINGS] if left is None else left
        self._left[0] -= 1
        if self._left[0] < 0:
            raise InputError(
                f"has more than {_MOST_MAPPINGS} mappings", source=source, mend="describe less in one file"
            )
        self.asked: set[str] = set()
        if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
            raise InputError("is no mapping", source=source, field=where, mend="write names and values")
        self.value = value

    def wrong(self, name: str, problem: str, mend: str) -> InputError:
        """An error about a member."""
        return InputError(problem, source=self.source, field=self.at(name), mend=mend)

    def at(self, name: object) -> str:
        """The path of a member."""
        return f"{self.where}.{name}" if self.where else str(name)

    def _get(self, name: str, default: T | None) -> Any:
        self.asked.add(name)
        found = self.value.get(name)
        if found is None:
            if default is None:
                raise self.wrong(name, "is missing", "add it")
            return default
        return found

    def text(self, name: str, default: str | None = None) -> str:
        """A text."""
        found = self._get(name, default)
        if isinstance(found, bool) or not isinstance(found, str | int | float):
            raise self.wrong(name, "is no text", "write a text")
        if isinstance(found, str) and len(found) > _MOST_TEXT:
            raise self.wrong(name, f"is longer than {_MOST_TEXT} characters", "write less")
        if isinstance(found, int) and abs(found) > 10**18:
            raise self.wrong(name, "is a very large number", "write a text")
        return str(found)

    def number(
        self, name: str, default: float | None = None, *, low: float = 0.0, high: float = 1e9
    ) -> float:
        """A number in [low, high]."""
        found = self._get(name, default)
        if isinstance(found, bool) or not isinstance(found, int | float):
            raise self.wrong(name, "is no number", "write a number")
        if not low <= found <= high:
            raise self.wrong(name, "is out of range", f"write a number from {low:g} to {high:g}")
        return float(found)

    def whole(self, name: str, default: int | None = None, *, low: int = 0, high: int = 10**9) -> int:
        """A whole number in [low, high]."""
        found = self.number(name, default, low=low, high=high)
        if found != int(found):
            raise self.wrong(name, f"is {found}", "write a whole number")
        return int(found)

    def truth(self, name: str, default: bool) -> bool:
        """True or false."""
        found = self._get(name, default)
        if not isinstance(found, bool):
            raise self.wrong(name, "is neither true nor false", "write true or false")
        return found

    def one_of(self, name: str, kind: object, default: str | None = None) -> Any:
        """One of the words of a `Literal`."""
        found = self.text(name, default)
        if found not in get_args(kind):
            raise self.wrong(name, f"is {found!r}", f"write one of {', '.join(get_args(kind))}")
        return found

    def items(self, name: str) -> Sequence[Any]:
        """A list, empty where it is missing."""
        found = self._get(name, ())
        if not isinstance(found, list | tuple) or len(found) > MOST:
            raise self.wrong(name, "is no list", f"write a list of at most {MOST} items")
        return found

    def texts(self, name: str) -> tuple[str, ...]:
        """A list of texts."""
        found = self.items(name)
        if not all(isinstance(item, str) for item in found):
            raise self.wrong(name, "holds something else than texts", "write texts")
        return tuple(found)

    def numbers(self, name: str) -> tuple[float, ...]:
        """A list of numbers that are not negative."""
        found = self.items(name)
        if not all(
            isinstance(item, int | float) and not isinstance(item, bool) and item >= 0 for item in found
        ):
            raise self.wrong(name, "holds something else than numbers", "write numbers, none below 0")
        return tuple(map(float, found))

    def below(self, name: str, *, needed: bool = False) -> Fields:
        """A mapping, empty where it is missing."""
        return Fields(self._get(name, None if needed else {}), self.source, self.at(name), self._left)

    def list_of(self, name: str, read: Callable[[Fields], T]) -> tuple[T, ...]:
        """A list of mappings."""
        return tuple(
            read(Fields(item, self.source, f"{self.at(name)}[{number}]", self._left))
            for number, item in enumerate(self.items(name))
        )

    def mapping_of(self, name: str, read: Callable[[Fields, str], T]) -> tuple[T, ...]:
        """A mapping of mappings, in its order."""
        inner = self.below(name, needed=True)
        if len(inner.value) > MOST:
            raise self.wrong(name, f"has more than {MOST} members", "leave some out")
        return tuple(
            read(Fields(item, self.source, inner.at(key), self._left), key)
            for key, item in inner.value.items()
        )

    def done(self, made: T) -> T:
        """What was made of the mapping, once nothing is left in it that nobody asked for."""
        left = sorted(set(self.value) - self.asked)
        if left:
            known = ", ".join(sorted(self.asked))
            raise self.wrong(left[0], "is not known here", f"remove it, or use one of {known}")
        return made
