"""Lines that programs log, in the manner of their family."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Any

import yaml


@cache
def _styles() -> Mapping[str, Mapping[str, Any]]:
    text = files("firedrill.world.kube.programs").joinpath("data/logs.yaml").read_text("utf-8")
    return yaml.safe_load(text)  # type: ignore[no-any-return]


def _lines(style: str, what: str, **values: object) -> tuple[str, ...]:
    styles = _styles()
    found = (styles.get(style) or {}).get(what) or styles["plain"][what]
    return tuple(line.format(**values) for line in found)


def started(
    style: str, name: str, listens: Sequence[tuple[int, str, tuple[str, ...], bool]]
) -> tuple[str, ...]:
    """What a program says once it serves."""
    port = listens[0][0] if listens else 0
    return _lines(style, "started" if port else "worker", name=name, port=port)


def missing_variable(style: str, names: Sequence[str]) -> tuple[str, ...]:
    """What it says when a variable is missing that it cannot do without."""
    return _lines(style, "missing_variable", name=names[0], names=", ".join(names))


def permission_denied(style: str, folder: str) -> tuple[str, ...]:
    """What it says when it cannot write to a folder."""
    return _lines(style, "permission_denied", folder=folder)


def no_host(style: str, address: str) -> tuple[str, ...]:
    """What it says when a host that it needs does not resolve."""
    return _lines(style, "no_host", host=address.rpartition(":")[0] or address, address=address)


def address_in_use(style: str, port: int) -> tuple[str, ...]:
    """What it says when its port is taken."""
    return _lines(style, "address_in_use", port=port)


def cannot_bind(style: str, port: int) -> tuple[str, ...]:
    """What it says when it may not open a low port."""
    return _lines(style, "cannot_bind", port=port)
