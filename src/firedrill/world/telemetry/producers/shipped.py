"""Rule files that ship with Firedrill."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import yaml

from firedrill.core.errors import InputError
from firedrill.world.telemetry.rules import read_rules

if TYPE_CHECKING:
    from firedrill.world.telemetry.rules import Group

_HOLE = "@namespace@"
_NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")


@cache
def _index() -> Mapping[str, Any]:
    text = files("firedrill.world.telemetry").joinpath("data/rules/index.yaml").read_text("utf-8")
    found: Mapping[str, Any] = yaml.safe_load(text)
    return found


def shipped_names() -> list[str]:
    """The names of the rule files that ship with Firedrill."""
    return sorted(_index())


@cache
def shipped_rules(name: str = "kubernetes", namespace: str = "") -> tuple[Group, ...]:
    """The groups of one of the shipped rule files.

    Args:
        name: which file, one of `shipped_names()`.
        namespace: whose series the rules are about, where they are about one application; by default the one
            in which it is usually deployed.

    Raises:
        InputError: there is no such file, or the namespace is no name.
    """
    entry = _index().get(name)
    if entry is None:
        mend = f"name one of {', '.join(shipped_names())}"
        raise InputError(f"there are no shipped rules {name!r}", mend=mend)
    if namespace and not _NAME.fullmatch(namespace):
        raise InputError(f"{namespace!r} is no name of a namespace", mend="name a namespace of the cluster")
    text = files("firedrill.world.telemetry").joinpath(f"data/rules/{name}.yaml").read_text("utf-8")
    return read_rules(text.replace(_HOLE, namespace or entry["namespace"]), f"{name}.yaml")
