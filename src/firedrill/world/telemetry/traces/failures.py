"""How programs describe what went wrong: type, message and stack, by language."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache, lru_cache
from typing import Any, NamedTuple
from zlib import crc32

from firedrill.world.sim.tables import table
from firedrill.world.telemetry.traces.requests import Call, Names, Operation, Service


class Failure(NamedTuple):
    """What a program says.

    Attributes:
        type: of the exception or error.
        message: its text.
        stack: lines of the stack trace, the first of them included; empty where such a program prints none.
    """

    type: str
    message: str
    stack: tuple[str, ...]


@cache
def tables() -> Mapping[str, Any]:
    """The texts, by language and outcome."""
    return table("firedrill.world.telemetry.traces", "failures.yaml")  # type: ignore[no-any-return]


@lru_cache(maxsize=256)
def family(language: str) -> str:
    """The family of a language, such as `java` for Kotlin; `plain` for an unknown one."""
    wanted = language.lower()
    for name, known in tables()["families"].items():
        if wanted in known["names"]:
            return str(name)
    return "plain"


@lru_cache(maxsize=4096)
def called(
    names: Names, caller: int, operation: int, call: int, outcome: str, address: tuple[str, str]
) -> Failure:
    """What a service says of a call that failed.

    Args:
        names: of the application.
        caller: index of the calling service.
        operation: index of its operation that made the call, -1 for the load generator.
        call: index of the call.
        outcome: what became of it.
        address: host and port that it was made to.
    """
    made = names.calls[call]
    target = names.operations[made.target]
    callee = names.services[target.service]
    own = names.operations[operation] if operation >= 0 else Operation(caller, "run", "run")
    text = target.error or f"{target.title} failed"
    if outcome not in {"failed", "upstream"}:
        text = ""
    stored = tables()["databases"].get(callee.database, {}).get(outcome)
    return _failure(names, names.services[caller], own, outcome, text, made, address, stored)


@lru_cache(maxsize=4096)
def own(names: Names, operation: int) -> Failure:
    """What an operation says that fails by itself."""
    found = names.operations[operation]
    service = names.services[found.service]
    text = found.error or f"{found.title} failed"
    return _failure(names, service, found, "failed", text, None, (service.workload, str(service.port)), None)


@lru_cache(maxsize=4096)
def thrown(names: Names, operation: int, kind: str, message: str) -> Failure:
    """What an operation says in which that was thrown; its usual kind where none is named."""
    found = own(names, operation)
    kind = kind or found.type
    said = f"{kind}: {message}" if message else kind
    stack = (line.replace(f"{found.type}: {found.message}", said) for line in found.stack)
    return Failure(kind, message or kind.rpartition(".")[2], tuple(stack))


@lru_cache(maxsize=4096)
def caused(names: Names, operation: int, cause: Failure) -> Failure:
    """What an operation says that fails because a call of its own has failed."""
    found = own(names, operation)
    told = names.operations[operation].error
    message = f"{told}: {cause.message}" if told else cause.message
    stack = (line.replace(found.message, message).replace(found.type, cause.type) for line in found.stack)
    return Failure(cause.type, message, tuple(stack))


def _failure(
    names: Names,
    service: Service,
    operation: Operation,
    outcome: str,
    error: str,
    call: Call | None,
    address: tuple[str, str],
    stored: str | None,
) -> Failure:
    known = tables()["families"][family(service.language)]
    kind, message = known.get(outcome) or known["failed"]
    timeout = call.timeout_ms if call is not None and call.timeout_ms else 10_000
    values: dict[str, object] = {
        "error": error or outcome.replace("_", " "),
        "host": address[0],
        "port": address[1],
        "target": operation.title,
        "ms": timeout,
        "seconds": timeout // 1000 or 1,
    }
    told = stored or message.format(**values)
    return Failure(kind, told, _stack(names, service, operation, known, kind, told))


def _stack(
    names: Names, service: Service, operation: Operation, known: Mapping[str, Any], kind: str, message: str
) -> tuple[str, ...]:
    if not known["frames"]:
        return ()
    mark = crc32(f"{names.application}/{service.name}/{operation.name}".encode())
    words = service.name.replace("-", "_").split("_")
    values: dict[str, object] = {
        "type": kind,
        "message": message,
        "package": "".join(words),
        "class": "".join(word[:1].upper() + word[1:] for word in words),
        "method": _camel(operation.name),
        "file": "_".join(words),
        "line": 40 + mark % 180,
        "line2": 20 + mark // 256 % 300,
        "hex": f"{mark % 4096:x}",
        "number": 20 + mark % 900,
    }
    lines = [*known["trace"], *known["frames"], *known.get("last", ())]
    return tuple(line.format(**values) for line in lines)


def _camel(name: str) -> str:
    first, *rest = name.replace("-", "_").split("_")
    return first + "".join(word[:1].upper() + word[1:] for word in rest)


def grpc_status(outcome: str) -> tuple[str, int]:
    """Name and number of the status of a gRPC call."""
    name, number = tables()["grpc"].get(outcome, ("Unknown", 2))
    return str(name), int(number)


def http_status(outcome: str) -> int:
    """The status of an HTTP answer; 0 where there is none."""
    return int(tables()["http"].get(outcome, 0))


def passed_on(outcome: str) -> int:
    """The status that a proxy answers with where its own call ended so; 0 where it passes on what it got."""
    return int(tables()["proxied"].get(outcome, 0))
