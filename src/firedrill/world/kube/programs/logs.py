"""Lines that programs log, in the manner of their family."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from firedrill.world.sim.tables import table


@cache
def _styles() -> Mapping[str, Mapping[str, Any]]:
    return table("firedrill.world.kube.programs", "logs.yaml")  # type: ignore[no-any-return]


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


def no_database(style: str, how: str, kind: str, **values: object) -> tuple[str, ...]:
    """What a program says that cannot open its database: by `dns`, `timeout`, `refused` or `denied`."""
    found = _styles()["databases"]
    family = "spring" if style in {"spring", "java"} else style if style in found else "plain"
    said = found[family][how]
    lines = said.get(kind) or said["mysql"] if isinstance(said, dict) else said
    return tuple(line.format(**values) for line in lines)


def bad_option(style: str, name: str, option: str) -> tuple[str, ...]:
    """What a program says of an option that it does not know."""
    return _lines(style, "bad_option", name=name, option=option, bare=option.lstrip("-"))


def worked(style: str, name: str) -> tuple[str, ...]:
    """What a program says that does one thing and ends."""
    return _lines(style, "worked", name=name)
