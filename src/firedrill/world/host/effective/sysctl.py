"""What the files of sysctl.d set at boot."""

from __future__ import annotations

import fnmatch
from collections.abc import Sequence
from dataclasses import dataclass

from firedrill.world.host.effective.dropins import Tree, merged, texts


@dataclass(frozen=True)
class Assignment:
    """One line; `value` is None for `-key`, which takes a key out of what patterns set."""

    path: str
    key: str
    value: str | None


def dotted(key: str) -> str:
    """A key with dots; where the first separator is a slash, dots are part of a name and become slashes."""
    first = next((sign for sign in key if sign in "./"), ".")
    return key if first == "." else key.translate(str.maketrans("./", "/."))


def files(tree: Tree) -> list[str]:
    """The files in reading order: by name, whatever folder they are in, the same name in /etc first."""
    return merged(tree, "sysctl.d")


def assignments(tree: Tree) -> list[Assignment]:
    """Every line in reading order. A leading `-` only means that an error does not matter."""
    found: list[Assignment] = []
    for path, text in texts(tree, files(tree)):
        for raw in text.splitlines():
            line = raw.strip()
            if not line or line[0] in "#;":
                continue
            key, equals, value = line.partition("=")
            ignoring = key.startswith("-")
            name = dotted(key.removeprefix("-").strip())
            if equals:
                found.append(Assignment(path, name, value.strip()))
            elif ignoring:
                found.append(Assignment(path, name, None))
    return found


def configured(tree: Tree, key: str) -> str | None:
    """The value of a key after boot as the files have it; see :func:`value`."""
    return value(assignments(tree), key)


def value(lines: Sequence[Assignment], key: str) -> str | None:
    """The value that lines give a key: the last one wins, patterns count only without one.

    None where no line sets it and the kernel's own value stays.
    """
    plain: Assignment | None = None
    pattern: Assignment | None = None
    for one in lines:
        if one.key == key:
            plain = one
        elif one.value is not None and any(sign in one.key for sign in "*?[") and _fits(key, one.key):
            pattern = one
    chosen = plain or pattern
    return chosen.value if chosen is not None else None


def _fits(key: str, pattern: str) -> bool:
    parts, wanted = key.split("."), pattern.split(".")
    return len(parts) == len(wanted) and all(map(fnmatch.fnmatchcase, parts, wanted))
