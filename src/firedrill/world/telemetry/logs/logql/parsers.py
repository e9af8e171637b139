"""Stages that read labels out of lines."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from firedrill.world.telemetry.logs.logql import nodes, regex
from firedrill.world.telemetry.logs.logql.errors import ParseError
from firedrill.world.telemetry.logs.logql.labels import LineLabels, clean
from firedrill.world.telemetry.logs.logql.patterns import Pattern

Apply = Callable[[str, LineLabels], str | None]
_JSON_ERROR, _LOGFMT_ERROR = "JSONParserErr", "LogfmtParserErr"
_MOST_LABELS = 500
_DEEPEST = 64
_LOGFMT = re.compile(r'\s*([^\s="]+)(?:(=)(?:"((?:\\.|[^"\\])*)"|([^\s"]*)))?')
_STEP = re.compile(r"""\.?([A-Za-z_@$][\w@$-]*)|\[\s*"((?:\\.|[^"\\])*)"\s*\]|\[(\d{1,6})\]|\.""")


class _Number(str):
    """A number of a JSON text, as it is written there."""

    __slots__ = ()


_decode = json.JSONDecoder(parse_float=_Number, parse_int=_Number, parse_constant=_Number).decode


def parser(stage: nodes.Parser) -> Apply:
    """The function of a stage.

    Raises:
        ParseError: it cannot be made.
    """
    if stage.kind == "json":
        return _json_fields(stage.fields) if stage.fields else _json
    if stage.kind == "logfmt":
        return _logfmt(stage)
    if stage.kind == "regexp":
        return _regexp(stage.text)
    if stage.kind == "pattern":
        return _pattern(stage.text)
    return _unpack


def _object(line: str, labels: LineLabels) -> Mapping[str, Any] | None:
    start = line.lstrip()
    if start[:1] != "{":
        labels.fail(_JSON_ERROR, "expecting json object(6), but it is not")
        return None
    try:
        found = _decode(line)
    except ValueError as error:
        labels.fail(_JSON_ERROR, str(error))
        return None
    except RecursionError:
        labels.fail(_JSON_ERROR, "the object is nested too deeply")
        return None
    out: Mapping[str, Any] = found
    return out


def _json(line: str, labels: LineLabels) -> str:
    found = _object(line, labels)
    if found is not None:
        _flatten(found, "", labels, 0)
    return line


def _flatten(value: Mapping[str, Any], prefix: str, labels: LineLabels, depth: int) -> None:
    for key, item in value.items():
        name = prefix + clean(key) if key.strip() else prefix.rstrip("_")
        if isinstance(item, dict):
            if depth < _DEEPEST:
                _flatten(item, name + "_", labels, depth + 1)
        elif item is not None and not isinstance(item, list) and name and len(labels.parsed) < _MOST_LABELS:
            labels.parse(name, _shown(item))


def _shown(value: Any) -> str:
    if isinstance(value, str):
        return str(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    return _raw(value)


def _raw(value: Any) -> str:
    """A JSON value as text again; numbers as they were written."""
    if isinstance(value, _Number):
        return str(value)
    if isinstance(value, dict):
        return "{" + ",".join(f"{_raw(key)}:{_raw(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(_raw, value)) + "]"
    return json.dumps(value, ensure_ascii=False)


def json_path(text: str) -> tuple[str | int, ...]:
    """The steps of `a.b[0]["c d"]`.

    Raises:
        ParseError: it is none.
    """
    out: list[str | int] = []
    at = 0
    while at < len(text):
        found = _STEP.match(text, at)
        if found is None or (found[0] == "." and found.end() == len(text)):
            raise ParseError(f"cannot parse expression [{text}]: unexpected error")
        name, quoted, index = found.groups()
        if index is not None:
            out.append(int(index))
        elif name is not None or quoted is not None:
            out.append(name if name is not None else json.loads(f'"{quoted}"'))
        at = found.end()
    if not out:
        raise ParseError(f"cannot parse expression [{text}]: unexpected error")
    return tuple(out)


def _json_fields(fields: Sequence[nodes.Extract]) -> Apply:
    paths = [(field.name, json_path(field.expression)) for field in fields]

    def apply(line: str, labels: LineLabels) -> str:
        found = _object(line, labels)
        if found is not None:
            for name, path in paths:
                value = _at(found, path)
                labels.parse(name, "" if value is None else _shown(value))
        return line

    return apply


def _at(value: Any, path: Sequence[str | int]) -> Any:
    for step in path:
        if isinstance(value, dict) and isinstance(step, str):
            value = value.get(step)
        elif isinstance(value, list) and isinstance(step, int) and step < len(value):
            value = value[step]
        else:
            return None
    return value


def _pairs(line: str) -> tuple[list[tuple[str, str, bool]], str]:
    """(key, value, has a value) of a line, and the first complaint."""
    out: list[tuple[str, str, bool]] = []
    problem, at = "", 0
    while at < len(line) and len(out) < _MOST_LABELS:
        found = _LOGFMT.match(line, at)
        if found is None or found.end() == at:
            if not line[at:].strip():
                break
            problem = problem or f"logfmt syntax error at pos {at + 1} : unexpected '{line[at:].strip()[:1]}'"
            at = _after_word(line, at)
            continue
        key, equal, quoted, bare = found.groups()
        value = bare or ""
        if quoted is not None:
            value = _unescaped(quoted)
        out.append((key, value, equal is not None))
        at = found.end()
    return out, problem


def _after_word(line: str, at: int) -> int:
    while at < len(line) and line[at].isspace():
        at += 1
    while at < len(line) and not line[at].isspace():
        at += 1
    return at


def _unescaped(text: str) -> str:
    if "\\" not in text:
        return text
    try:
        out: str = json.loads(f'"{text}"', strict=False)
    except ValueError:
        return text
    return out


def _logfmt(stage: nodes.Parser) -> Apply:
    strict, empty = "--strict" in stage.flags, "--keep-empty" in stage.flags
    wanted = [(field.name, field.expression.strip()) for field in stage.fields]

    def apply(line: str, labels: LineLabels) -> str:
        pairs, problem = _pairs(line)
        if strict and problem:
            labels.fail(_LOGFMT_ERROR, problem)
            return line
        if wanted:
            found = {key: value for key, value, _ in pairs}
            for name, expression in wanted:
                labels.parse(name, found.get(expression, ""))
            return line
        for key, value, _ in pairs:
            if value or empty:
                labels.parse(clean(key), value)
        return line

    return apply


def _regexp(text: str) -> Apply:
    expression = regex.compiled(text)
    names = sorted(expression.groupindex, key=expression.groupindex.get)

    def apply(line: str, labels: LineLabels) -> str:
        found = expression.search(line)
        if found is not None:
            for name in names:
                labels.parse(clean(name), found.group(name) or "")
        return line

    return apply


def _pattern(text: str) -> Apply:
    pattern = Pattern(text)

    def apply(line: str, labels: LineLabels) -> str:
        for name, value in pattern.captures(line):
            labels.parse(name, value)
        return line

    return apply


def _unpack(line: str, labels: LineLabels) -> str:
    found = _object(line, labels)
    if found is None:
        return line
    entry = line
    for key, value in found.items():
        if isinstance(value, str) and not isinstance(value, _Number):
            if key == "_entry":
                entry = value
            else:
                labels.parse(clean(key), value)
    return entry
