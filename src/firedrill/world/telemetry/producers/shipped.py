"""Rule files that ship with Firedrill."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from firedrill.core.errors import InputError
from firedrill.world.sim.tables import table
from firedrill.world.telemetry.rules import read_rules

if TYPE_CHECKING:
    from firedrill.world.telemetry.rules import Group

_WORDS = re.compile(r"[A-Za-z0-9_./:|*\[\] -]{1,4096}")
_NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")


@cache
def _index() -> Mapping[str, Any]:
    found: Mapping[str, Any] = table("firedrill.world.telemetry", "rules/index.yaml")
    return found


def shipped_names() -> list[str]:
    """The names of the rule files that ship with Firedrill."""
    return sorted(_index())


@cache
def shipped_rules(name: str = "kubernetes", namespace: str = "", **words: str) -> tuple[Group, ...]:
    """The groups of one of the shipped rule files.

    Args:
        name: which file, one of `shipped_names()`.
        namespace: whose series the rules are about, where they are about one application; by default the one
            in which it is usually deployed.
        words: what else is particular to an application, as parts of regular expressions: see `index.yaml`
            beside the files. Words that a file has no use for are left out.

    Raises:
        InputError: there is no such file, or the namespace is no name, or a word is none.
    """
    known = _index().get(name)
    if known is None:
        mend = f"name one of {', '.join(shipped_names())}"
        raise InputError(f"there are no shipped rules {name!r}", mend=mend)
    if namespace and not _NAME.fullmatch(namespace):
        raise InputError(f"{namespace!r} is no name of a namespace", mend="name a namespace of the cluster")
    text = files("firedrill.world.telemetry").joinpath(f"data/rules/{name}.yaml").read_text("utf-8")
    given = {key: value for key, value in {**words, "namespace": namespace}.items() if value}
    for hole, usual in known.items():
        value = given.get(hole, usual)
        if not _WORDS.fullmatch(value):
            raise InputError(f"{value!r} is no word of a rule", field=hole, mend="give names, with | between")
        text = text.replace(f"@{hole}@", value)
    return read_rules(text, f"{name}.yaml")
