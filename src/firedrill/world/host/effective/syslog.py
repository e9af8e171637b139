"""With what mode rsyslog creates its files."""

from __future__ import annotations

import fnmatch
import re

from firedrill.world.host.effective.dropins import Tree

MAIN = "/etc/rsyslog.conf"

_OLD_INCLUDE = re.compile(r"^\$IncludeConfig\s+(\S+)", re.IGNORECASE)
_INCLUDE = re.compile(r"\binclude\s*\([^)]*\bfile\s*=\s*\"([^\"]+)\"", re.IGNORECASE)
_OLD_MODE = re.compile(r"^\$FileCreateMode\s+(\S+)", re.IGNORECASE)
_MODE = re.compile(r"\bFileCreateMode\s*=\s*\"([^\"]*)\"", re.IGNORECASE)


def _matching(tree: Tree, pattern: str) -> list[str]:
    folder, _, name = pattern.rpartition("/")
    return [f"{folder}/{n}" for n in sorted(tree.names(folder)) if fnmatch.fnmatchcase(n, name)]


def lines(tree: Tree, path: str = MAIN, depth: int = 0) -> list[tuple[str, str]]:
    """(path, line) of everything that rsyslogd reads, comments gone, includes in their place."""
    found: list[tuple[str, str]] = []
    text = re.sub(r"/\*.*?\*/", "", tree.read(path) or "", flags=re.DOTALL)
    for raw in text.splitlines():
        line = re.sub(r"(^|\s)#.*$", "", raw).strip()
        include = _OLD_INCLUDE.match(line) or _INCLUDE.search(line)
        if include and depth < 10:
            for file in _matching(tree, include.group(1)):
                found += lines(tree, file, depth + 1)
        elif line:
            found.append((path, line))
    return found


def create_modes(tree: Tree) -> list[tuple[str, str]]:
    """(path, mode as written) of each place that sets the mode of new files, in order."""
    found: list[tuple[str, str]] = []
    for path, line in lines(tree):
        if old := _OLD_MODE.match(line):
            found.append((path, old.group(1)))
        found += [(path, mode) for mode in _MODE.findall(line)]
    return found
