"""Mounts as /etc/fstab and mount units ask for them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from firedrill.world.host.effective.dropins import Tree

MAIN = "/etc/fstab"


@dataclass(frozen=True)
class Entry:
    """One line: what is mounted where, and with which options in their order."""

    source: str
    target: str
    fstype: str
    options: tuple[str, ...]


def entries(tree: Tree) -> list[Entry]:
    """The lines of fstab; comments are whole lines, a target ends without a slash."""
    found: list[Entry] = []
    for raw in (tree.read(MAIN) or "").splitlines():
        words = raw.split()
        if len(words) >= 3 and not words[0].startswith("#"):
            options = tuple(words[3].split(",")) if len(words) > 3 else ("defaults",)
            target = words[1].rstrip("/") or "/"
            found.append(Entry(words[0], target, words[2], options))
    return found


def option(options: Sequence[str], name: str) -> bool:
    """Whether `noexec`, `nodev` or `nosuid` holds: of contradicting options the last wins."""
    positive = name.removeprefix("no")
    state = False
    for word in options:
        if word == name:
            state = True
        elif word == positive:
            state = False
    return state
