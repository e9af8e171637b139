"""What programs write about requests that went well, which are most of all: templates are worked out once.

The words are those of `Wording`; what all such requests of an operation have in common is filled in once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import TYPE_CHECKING

from firedrill.world.telemetry.logs.styles import Shape, Style, escaped, style_of
from firedrill.world.telemetry.logs.wording import Wording, known_route, maker

if TYPE_CHECKING:
    from firedrill.world.telemetry.traces.requests import Names

Part = tuple[str, str, Callable[[Wording], object] | None]
"""A text, and the value behind it: its name and what makes it."""
Plan = tuple[tuple[Part, ...], ...]
_SAME = frozenset(
    (
        "type",
        "stack",
        "jstack",
        "service",
        "class",
        "file",
        "status",
        "code",
        "title",
        "rpc",
        "operation",
        "source",
    )
)
"""Values that all requests of an operation have in common that went well."""
_ROUTE = frozenset(("method", "route"))


def routine(names: Names, service: int, operation: int, one: Wording) -> list[str]:
    """The lines of the callee about a request that went well.

    Args:
        names: of the application.
        service: which writes.
        operation: that was asked for.
        one: the request.
    """
    out: list[str] = []
    for parts in plan_of(names, service, operation, one):
        text = "".join([text if make is None else f"{text}{make(one)}" for text, _, make in parts])
        if "\n" in text:
            out += text.split("\n")
        else:
            out.append(text)
    return out


def plan_of(names: Names, service: int, operation: int, one: Wording) -> Plan:
    """The lines that a service writes about what goes well: their parts, worked out by one such request."""
    return _plan(names, service, operation, _Sample(one))


class _Sample:
    """A request of which a plan is made; any of the same operation gives the same plan."""

    __slots__ = ("one",)

    def __init__(self, one: Wording) -> None:
        self.one = one

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Sample)

    def __hash__(self) -> int:
        return 0


@lru_cache(maxsize=4096)
def _plan(names: Names, service: int, operation: int, sample: _Sample) -> Plan:
    found = names.services[service]
    style = style_of(found.framework, found.language)
    extra = [_merged(_line(style, style.line, text, sample)) for text in names.operations[operation].logs]
    # of these, only the first line is written
    plan = [_first_line(parts) for parts in extra]
    if style.access is not None:
        message = list(_parts(style, style.access, [], sample))
        plan.append(_merged(_parts(style, style.access_line, message, sample)))
    return tuple(plan)


def _line(style: Style, line: Shape, message: str, sample: _Sample) -> Iterator[Part]:
    return _parts(style, line, [(message, "", None)], sample)


def _parts(style: Style, shape: Shape, message: list[Part], sample: _Sample) -> Iterator[Part]:
    for text, name in shape.parts:
        if not name:
            yield text, "", None
        elif name in {"message", "jmessage"}:
            yield text, "", None
            escape = escaped if name == "jmessage" else str
            yield from ((escape(words), known, make) for words, known, make in message)
        elif name == "level":
            yield text + style.levels["info"], "", None
        elif name == "error":
            yield text, "", None
        elif name in _SAME or (name in _ROUTE and known_route(sample.one.title) is not None):
            yield f"{text}{maker(name)(sample.one)}", "", None
        else:
            yield text, name, maker(name)


def _merged(parts: Iterator[Part]) -> tuple[Part, ...]:
    """Texts that follow each other in one."""
    out: list[Part] = []
    for text, name, make in parts:
        before = out.pop()[0] if out and out[-1][2] is None else ""
        out.append((before + text, name, make))
    return tuple(out)


def _first_line(parts: tuple[Part, ...]) -> tuple[Part, ...]:
    out: list[Part] = []
    for text, name, make in parts:
        if "\n" in text:
            out.append((text.partition("\n")[0], "", None))
            break
        out.append((text, name, make))
    return tuple(out)
