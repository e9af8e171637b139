"""Reading a command's options the way getopt does, and laying out its tables."""

from __future__ import annotations

from collections.abc import Sequence


class UnknownOptionError(ValueError):
    """An option that the command is not known to have here."""


class Options:
    """What was given: options with their values (empty for those without), and the rest in order."""

    def __init__(self, given: dict[str, list[str]], rest: list[str]) -> None:
        self.given = given
        self.rest = rest

    def has(self, *names: str) -> bool:
        """Whether any of these was given."""
        return any(name in self.given for name in names)

    def value(self, *names: str, default: str = "") -> str:
        """The last value given under any of these names."""
        found = [value for name in names for value in self.given.get(name, ())]
        return found[-1] if found else default

    def values(self, *names: str) -> list[str]:
        """All values, split at commas."""
        return [part for name in names for value in self.given.get(name, ()) for part in value.split(",")]


def read(words: Sequence[str], alone: str, valued: str = "") -> Options:
    """Options among ``words``: short ones may be joined, long ones take ``=`` or the next word.

    Args:
        words: the arguments without the name.
        alone: options without a value, divided by blanks.
        valued: options with one.

    Raises:
        UnknownOptionError: with the option's text.
    """
    single, taking = set(alone.split()), set(valued.split())
    given: dict[str, list[str]] = {}
    rest: list[str] = []
    left = list(words)
    while left:
        word = left.pop(0)
        if word == "--":
            return Options(given, rest + left)
        if word.startswith("--"):
            name, equals, value = word.partition("=")
            if name in taking:
                if not equals and not left:
                    raise UnknownOptionError(name)
                given.setdefault(name, []).append(value if equals else left.pop(0))
            elif name in single and not equals:
                given.setdefault(name, [])
            else:
                raise UnknownOptionError(name)
        elif word.startswith("-") and len(word) > 1:
            _short(word[1:], left, single, taking, given)
        else:
            rest.append(word)
    return Options(given, rest)


def _short(
    letters: str, left: list[str], single: set[str], taking: set[str], given: dict[str, list[str]]
) -> None:
    for place, letter in enumerate(letters):
        name = f"-{letter}"
        if name in taking:
            value = letters[place + 1 :]
            if not value:
                if not left:
                    raise UnknownOptionError(name)
                value = left.pop(0)
            given.setdefault(name, []).append(value)
            return
        if name not in single:
            raise UnknownOptionError(name)
        given.setdefault(name, [])


def table(rows: Sequence[Sequence[str]], gap: str = " ", pad_last: bool = False) -> str:
    """Columns as wide as their widest cell; nothing after the last one."""
    if not rows:
        return ""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        line = gap.join(cells)
        lines.append(line if pad_last else line.rstrip())
    return "".join(f"{line}\n" for line in lines)
