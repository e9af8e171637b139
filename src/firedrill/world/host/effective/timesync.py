"""Where chronyd gets its time from: chrony.conf with its folders."""

from __future__ import annotations

from firedrill.world.host.effective.dropins import Tree

MAIN = "/etc/chrony.conf"
LOCAL = ("127.", "::1", "localhost", "[::1]")


def _directives(text: str) -> list[list[str]]:
    lines = (line.strip() for line in text.splitlines())
    return [line.split() for line in lines if line and line[0] not in "#%!;"]


def _folder(tree: Tree, folders: list[str], suffix: str) -> list[str]:
    """Files of several folders by name; the first folder that has a name gives the file."""
    chosen: dict[str, str] = {}
    for folder in folders:
        for name in tree.names(folder.rstrip("/")):
            if name.endswith(suffix):
                chosen.setdefault(name, f"{folder.rstrip('/')}/{name}")
    return [chosen[name] for name in sorted(chosen)]


def sources(tree: Tree, path: str = MAIN, depth: int = 0) -> list[tuple[str, str]]:
    """(directive, address) of every server and pool, in reading order.

    Directives know no case. `confdir` reads `*.conf`, `sourcedir` reads
    `*.sources`, `include` a single file.
    """
    found: list[tuple[str, str]] = []
    if depth > 10:
        return found
    for words in _directives(tree.read(path) or ""):
        name, rest = words[0].lower(), words[1:]
        if name in ("server", "pool") and rest:
            found.append((name, rest[0]))
        elif name == "include" and rest:
            found += sources(tree, rest[0], depth + 1)
        elif name in ("confdir", "sourcedir"):
            suffix = ".conf" if name == "confdir" else ".sources"
            for file in _folder(tree, rest, suffix):
                found += sources(tree, file, depth + 1)
    return found


def remote(address: str) -> bool:
    """Whether an address is another machine's."""
    return not address.lower().startswith(LOCAL)
