"""Folders of drop-in files: which files a program reads, in what order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

LAYERS = ("/etc", "/run", "/usr/local/lib", "/usr/lib")
"""Where systemd's programs look, the strongest first."""


class Tree(Protocol):
    """What the functions of this room need of a host: its files."""

    def read(self, path: str) -> str | None:
        """The text of a file, links followed; None where there is none."""

    def names(self, folder: str) -> Sequence[str]:
        """The names in a folder, sorted; empty where there is none."""


def merged(tree: Tree, folder: str, suffix: str = ".conf") -> list[str]:
    """The paths of `<layer>/<folder>/*<suffix>` in reading order.

    Files are sorted by name whatever layer they are in; of two with one name
    only the one in the strongest layer is read (systemd's rule, also of
    sysctl and modprobe).
    """
    chosen: dict[str, str] = {}
    for layer in LAYERS:
        for name in tree.names(f"{layer}/{folder}"):
            if name.endswith(suffix):
                chosen.setdefault(name, f"{layer}/{folder}/{name}")
    return [chosen[name] for name in sorted(chosen)]


def texts(tree: Tree, paths: Sequence[str]) -> list[tuple[str, str]]:
    """(path, text) of those of the paths that can be read."""
    return [(path, text) for path in paths if (text := tree.read(path)) is not None]
