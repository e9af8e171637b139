"""Which command is answered by what, and the form of an answer."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from firedrill.world.host.records import Host


@dataclass(frozen=True, slots=True)
class Answer:
    """What a command gave. ``gap``: it was asked for what we cannot tell, so that nobody is to blame.

    ``instead``: the words of a real program that the command would run.
    """

    stdout: str = ""
    stderr: str = ""
    code: int = 0
    gap: bool = False
    instead: tuple[str, ...] = ()


Stub = Callable[[Host, list[str], str], Answer]
"""Called with the host, the arguments without the name, and the folder."""


def gap(name: str, words: Sequence[str]) -> Answer:
    """The answer to what we do not know: an error that says so."""
    said = " ".join([name, *words])
    return Answer(stderr=f"{name}: this host cannot answer: {said}\n", code=125, gap=True)


@functools.cache
def _stubs() -> dict[str, Stub]:
    from firedrill.world.host.stubs.catalogue import STUBS

    return STUBS


def commands(host: Host) -> list[str]:
    """Names of the commands that have an answer on ``host``; those of packages that it lacks have none."""
    from firedrill.world.host.stubs.catalogue import PACKAGES

    return sorted(name for name in _stubs() if PACKAGES.get(name, "bash") in ("bash", *host.packages))


def answer(host: Host, argv: Sequence[str], cwd: str = "/") -> Answer:
    """What the command ``argv`` gives on ``host``, called in the folder ``cwd``."""
    name, *words = argv
    stub = _stubs().get(name)
    return gap(name, words) if stub is None else stub(host, words, cwd)
