"""What sudo would read: sudoers with its includes, Defaults and the tags of commands."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from firedrill.world.host.effective.dropins import Tree

MAIN = "/etc/sudoers"
DEPTH = 128

_INCLUDE = re.compile(r"^[#@]include\s+(\S.*)$")
_INCLUDEDIR = re.compile(r"^[#@]includedir\s+(\S.*)$")
_ALIAS = re.compile(r"^(User|Runas|Host|Cmnd|Cmd)_Alias\s")
_DEFAULTS = re.compile(r"^Defaults(?P<scope>[:@>!]\s*\S+)?\s+(?P<rest>.*)$")


@dataclass(frozen=True)
class Line:
    """One logical line: continued lines joined, comments gone."""

    path: str
    text: str


def _logical(text: str) -> Iterator[str]:
    for joined in text.replace("\\\n", " ").splitlines():
        line = joined.strip()
        if _INCLUDE.match(line) or _INCLUDEDIR.match(line):
            yield line
            continue
        # `#` begins a comment unless it is a user id (`#1000`) or escaped.
        kept = re.sub(r"(?<!\\)#(?!\d).*$", "", line).strip()
        if kept:
            yield kept


def _skipped(name: str) -> bool:
    return "." in name or name.endswith("~")


def _absolute(path: str, beside: str) -> str:
    plain = path.strip().strip('"')
    return plain if plain.startswith("/") else f"{beside.rsplit('/', 1)[0]}/{plain}"


def lines(tree: Tree, path: str = MAIN, depth: int = 0) -> list[Line]:
    """All lines in the order in which sudo reads them, includes in their place."""
    text = tree.read(path)
    if text is None or depth > DEPTH:
        return []
    found: list[Line] = []
    for line in _logical(text):
        if folder := _INCLUDEDIR.match(line):
            where = _absolute(folder.group(1), path).rstrip("/")
            for name in sorted(tree.names(where)):
                if not _skipped(name):
                    found += lines(tree, f"{where}/{name}", depth + 1)
        elif file := _INCLUDE.match(line):
            found += lines(tree, _absolute(file.group(1), path), depth + 1)
        else:
            found.append(Line(path, line))
    return found


@dataclass(frozen=True)
class Default:
    """One setting of a Defaults line; `scope` is "" for everybody, else `:alice`, `@host`, `>root`."""

    path: str
    scope: str
    name: str
    on: bool
    value: str = ""


def defaults(tree: Tree) -> list[Default]:
    """Every setting of every Defaults line, in order: of two the later wins."""
    found: list[Default] = []
    for line in lines(tree):
        match = _DEFAULTS.match(line.text)
        if match is None:
            continue
        scope = (match.group("scope") or "").replace(" ", "")
        for part in re.split(r",(?=(?:[^\"]*\"[^\"]*\")*[^\"]*$)", match.group("rest")):
            word = part.strip()
            name, _, value = word.lstrip("!").strip().partition("=")
            if name.strip():
                on = not word.startswith("!")
                found.append(Default(line.path, scope, name.strip(" +-"), on, value.strip()))
    return found


def flag(tree: Tree, name: str, default: bool = False) -> bool:
    """A switch as it stands for everybody, scoped Defaults left out."""
    value = default
    for one in defaults(tree):
        if one.name == name and not one.scope:
            value = one.on
    return value


def rules(tree: Tree) -> list[Line]:
    """The lines that give somebody rights: neither Defaults nor aliases."""
    kept = (line for line in lines(tree) if not line.text.startswith("Defaults"))
    return [line for line in kept if not _ALIAS.match(line.text)]


def tags(rule: str) -> set[str]:
    """The tags (NOPASSWD, SETENV …) of a rule's commands; an escaped colon is part of a command."""
    _, _, commands = rule.partition("=")
    return set(re.findall(r"(?:^|(?<=[,\s:)=]))([A-Z_]+)\s*(?<!\\):", commands))
