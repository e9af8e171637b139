"""Which fields lines have: what Grafana offers to filter by."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from firedrill.world.telemetry.logs.logql import parse
from firedrill.world.telemetry.logs.logql.labels import LineLabels
from firedrill.world.telemetry.logs.logql.nodes import Parser, Selector
from firedrill.world.telemetry.logs.logql.parsers import parser
from firedrill.world.telemetry.logs.logql.units import go_duration, humanized_bytes, number

_KINDS = (("int", int), ("float", number), ("duration", go_duration), ("bytes", humanized_bytes))
_STAGES = ("json", "logfmt")


def detect(lines: Sequence[str], limit: int) -> dict[str, Any]:
    """Fields of some lines, each with its type, how many values it has, and which parsers find it.

    Args:
        lines: newest first.
        limit: most fields.
    """
    stages = [(name, parser(_stage(name))) for name in _STAGES]
    values: dict[str, set[str]] = {}
    found_by: dict[str, set[str]] = {}
    for line in lines:
        for name, apply in stages:
            labels = LineLabels({}, "")
            apply(line, labels)
            if labels.failed or (name == "logfmt" and (line[:1] == "{" or "=" not in line)):
                continue
            for field, value in labels.key():
                values.setdefault(field, set()).add(value)
                found_by.setdefault(field, set()).add(name)
    told = [
        {
            "label": field,
            "type": _kind(values[field]),
            "cardinality": len(values[field]),
            "parsers": sorted(found_by[field]),
        }
        for field in sorted(values)[:limit]
    ]
    return {"fields": told, "limit": limit}


def _stage(name: str) -> Parser:
    query = parse(f'{{a="b"}} | {name}')
    assert isinstance(query, Selector)
    (stage,) = query.stages
    assert isinstance(stage, Parser)
    return stage


def _kind(values: set[str]) -> str:
    for name, read in _KINDS:
        try:
            for value in sorted(values):
                read(value)
        except ValueError:
            continue
        return name
    if values <= {"true", "false"}:
        return "boolean"
    return "string"
