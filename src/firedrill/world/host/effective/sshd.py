"""The settings of the SSH server: files with their includes, Match blocks, first value wins."""

from __future__ import annotations

import fnmatch
import shlex
from dataclasses import dataclass

from firedrill.world.host.effective.dropins import Tree

MAIN = "/etc/ssh/sshd_config"
DEPTH = 16


@dataclass(frozen=True)
class Setting:
    """One line: `keyword` in lower case, `match` the condition of its block or None outside of any."""

    path: str
    keyword: str
    arguments: tuple[str, ...]
    match: str | None

    @property
    def value(self) -> str:
        """The arguments as one text."""
        return " ".join(self.arguments)


def _words(line: str) -> list[str]:
    keyword = line.replace("\t", " ")
    head, separator, rest = keyword.partition(" ")
    if "=" in head:
        head, _, before = head.partition("=")
        rest = f"{before}{separator}{rest}"
    else:
        rest = rest.strip().removeprefix("=")
    if not any(sign in rest for sign in "\"'\\#"):
        return [head, *rest.split()]
    try:
        return [head, *shlex.split(rest, comments=True)]
    except ValueError:
        return [head, *rest.split()]


def _included(tree: Tree, pattern: str) -> list[str]:
    path = pattern if pattern.startswith("/") else f"/etc/ssh/{pattern}"
    folder, _, name = path.rpartition("/")
    if not any(sign in name for sign in "*?["):
        return [path]
    hidden = name.startswith(".")
    names = [n for n in sorted(tree.names(folder)) if hidden or not n.startswith(".")]
    return [f"{folder}/{n}" for n in names if fnmatch.fnmatchcase(n, name)]


def settings(tree: Tree, path: str = MAIN, match: str | None = None, depth: int = 0) -> list[Setting]:
    """Every line in the order in which sshd reads them, included files in their place.

    A Match block ends at the next one or at the end of its file.
    """
    found: list[Setting] = []
    for raw in (tree.read(path) or "").splitlines():
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        head, *arguments = _words(line)
        keyword = head.lower()
        if keyword == "match":
            match = " ".join(arguments)
        elif keyword == "include" and depth < DEPTH:
            for pattern in arguments:
                for file in _included(tree, pattern):
                    found += settings(tree, file, match, depth + 1)
        else:
            found.append(Setting(path, keyword, tuple(arguments), match))
    return found


def first(tree: Tree, keyword: str) -> str | None:
    """The value outside of Match blocks: the first one that is met; None where none is set."""
    for one in settings(tree):
        if one.keyword == keyword.lower() and one.match is None:
            return one.value
    return None


def conditional(tree: Tree, keyword: str) -> list[Setting]:
    """What Match blocks set for a keyword."""
    return [s for s in settings(tree) if s.keyword == keyword.lower() and s.match is not None]


def seconds(text: str) -> int | None:
    """A time of sshd (`90`, `1m30s`, `2h`) in seconds; None where it is none."""
    units = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
    total, digits = 0, ""
    for sign in text.lower():
        if sign.isdigit():
            digits += sign
        elif sign in units and digits:
            total, digits = total + int(digits) * units[sign], ""
        else:
            return None
    return total + int(digits or 0) if text else None
