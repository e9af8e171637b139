"""Forms of log lines, by framework and language."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache, lru_cache
from string import Formatter
from typing import Any, NamedTuple

from firedrill.world.sim.stamps import moment
from firedrill.world.sim.tables import table

Values = Mapping[str, Any]
_LEVELS = ("info", "warn", "error", "fatal")


class Shape(NamedTuple):
    """A template that is cut into texts and names."""

    parts: tuple[tuple[str, str], ...]


class Style(NamedTuple):
    """How a program logs.

    Attributes:
        levels: its words for `info`, `warn`, `error`, `fatal`.
        line, access_line, error: of lines; the last two are `line` where nothing else is said.
        access, failed, call: of messages; None where it says nothing.
        stack: `lines`, `inline` or empty.
        indent: before each line of a stack trace.
        always_access: what fails also has an access line.
        refused: line about what it turns away itself; `line` where nothing else is said.
        proxy: it passes requests on, and failures as a status of its own.
    """

    levels: Mapping[str, str]
    line: Shape
    access_line: Shape
    error: Shape
    access: Shape | None
    failed: Shape | None
    call: Shape | None
    stack: str
    indent: str
    always_access: bool
    refused: Shape
    proxy: bool


@cache
def tables() -> Mapping[str, Any]:
    """All styles, and what proxies and data stores say."""
    return table("firedrill.world.telemetry.logs", "styles.yaml")  # type: ignore[no-any-return]


@lru_cache(maxsize=256)
def style_of(framework: str, language: str) -> Style:
    """The style of a program."""
    every = tables()["styles"]
    for key, wanted in (("frameworks", framework.lower()), ("languages", language.lower())):
        for item in every:
            if wanted and wanted in item.get(key, ()):
                return _style(item)
    return _style(every[-1])


def _style(item: Mapping[str, Any]) -> Style:
    line = shape(item["line"])

    def optional(name: str) -> Shape | None:
        return shape(item[name]) if name in item else None

    levels = {name: str(item["levels"].get(name, item["levels"]["error"])) for name in _LEVELS}
    return Style(
        levels=levels,
        line=line,
        access_line=optional("access_line") or line,
        error=optional("error") or line,
        access=optional("access"),
        failed=optional("failed"),
        call=optional("call"),
        stack=item.get("stack", ""),
        indent=item.get("indent", ""),
        always_access=bool(item.get("always_access")),
        refused=optional("refused") or line,
        proxy=bool(item.get("proxy")),
    )


@lru_cache(maxsize=512)
def shape(text: str) -> Shape:
    """A template; names stand in braces, doubled braces for braces."""
    return Shape(tuple((literal, name or "") for literal, name, _, _ in Formatter().parse(text)))


@lru_cache(maxsize=4096)
def escaped(text: str) -> str:
    """A text between the quotes of a JSON string."""
    return json.dumps(text, ensure_ascii=False)[1:-1]


__all__ = ["Shape", "Style", "Values", "escaped", "moment", "shape", "style_of", "tables"]
