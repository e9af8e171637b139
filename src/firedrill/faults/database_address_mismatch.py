"""a program is told a database address that is not there."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from firedrill.core.errors import InputError
from firedrill.faults._changes import CONTAINER, Outcome, edit_container, pick
from firedrill.faults.base import Fault, Parameter, Target, register
from firedrill.faults.fitting import main_container, on_container, workloads

if TYPE_CHECKING:
    from firedrill.world import World
    from firedrill.world.kube.objects import Obj

_DATABASE = re.compile(
    r"(?:jdbc:)?(?:mysql|mariadb|postgres(?:ql)?|mongodb(?:\+srv)?|redis|rediss|amqp)://[A-Za-z0-9]"
)


_PAIRS = re.compile(
    r"(?P<head>(?:^|.*;)\s*(?:host|server|data source)\s*=)(?P<host>[^;,]+)(?P<tail>.*)", re.I
)
_PORT = re.compile(r"(?P<head>(?:^|.*;)\s*port\s*=)(?P<port>\d{1,5})(?P<tail>.*)", re.I)
"""Of texts such as `Host=db;Port=5432;Database=shop`."""
_ADDRESS = re.compile(
    r"(?P<head>.*?://(?:[^@/]*@)?)?(?P<host>[A-Za-z0-9.-]+)(?::(?P<port>\d{1,5}))?(?P<tail>[/?].*)?"
)


def _inject(world: World, args: Mapping[str, Any]) -> Outcome:
    def change(container: Obj) -> None:
        entry = pick(container.get("env") or [], args["variable"], "variable")
        entry["value"] = wrong_address(str(entry.get("value") or ""), args["part"])
        entry.pop("valueFrom", None)

    return edit_container(world, args, change)


def wrong_address(text: str, part: str) -> str:
    """The same text with another host or port in it.

    Raises:
        InputError: it is no address.
    """
    pairs = _PAIRS.fullmatch(text)
    if pairs is not None and part == "host":
        return f"{pairs['head']}{pairs['host']}-primary{pairs['tail']}"
    if pairs is not None:
        told = _PORT.fullmatch(text)
        if told is None:
            return f"{text.rstrip(';')};Port=5433"
        return f"{told['head']}{int(told['port']) + 1}{told['tail']}"
    match = _ADDRESS.fullmatch(text)
    if match is None:
        raise InputError(
            f"{text!r} is no address", field="variable", mend="name a variable with a literal host or URL"
        )
    host = f"{match['host']}-primary" if part == "host" else match["host"]
    port = int(match["port"] or 5432) + (1 if part == "port" else 0)
    return f"{match['head'] or ''}{host}:{port}{match['tail'] or ''}"


def _fits(world: World) -> Iterator[Target]:
    for owner in workloads(world):
        for item in main_container(world, owner).get("env") or ():
            text = str(item.get("value") or "")
            if _DATABASE.match(text) or _PAIRS.fullmatch(text):
                for part in ("port", "host"):
                    yield on_container(world, owner, variable=item["name"], part=part)


FAULT = register(
    Fault(
        id="database-address-mismatch",
        title="a program is told a database address that is not there",
        parameters={
            **CONTAINER,
            "variable": Parameter("name of the variable with the address"),
            "part": Parameter("what of it is wrong", "port", ("port", "host")),
        },
        inject=_inject,
        shows="restarts|failing|lagging",
        within=180000,
        aliases=(
            "database_address_mismatch",
            "mysql-invalid-port",
            "db-connection-address-mismatch",
        ),
        family="configuration",
        category="Configuration Setting",
        text=(
            "The address of the database was changed for a program, to a host or a port where no "
            "database answers. The program cannot open it."
        ),
        fits=_fits,
        lacks="no workload is told the URL or the settings of a database by a variable",
    )
)
