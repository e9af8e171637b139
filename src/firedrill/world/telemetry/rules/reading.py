"""Rule files of Prometheus, with the complaints that it would have."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from firedrill.core.documents import read_documents
from firedrill.core.errors import InputError
from firedrill.world.telemetry import labels as label_sets
from firedrill.world.telemetry.labels import NAME, Labels
from firedrill.world.telemetry.promql import ParseError, parse
from firedrill.world.telemetry.promql.lexer import duration_ms
from firedrill.world.telemetry.rules.model import Group, Rule
from firedrill.world.telemetry.rules.templates import check

_LONGEST = 4_000_000
_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_GROUP_KEYS = frozenset(("name", "interval", "query_offset", "limit", "labels", "rules"))
_RULE_KEYS = frozenset(("record", "alert", "expr", "for", "keep_firing_for", "labels", "annotations"))


def read_rules(text: str, source: str) -> tuple[Group, ...]:
    """The groups of a rule file.

    Also takes a `PrometheusRule` as the operator of Prometheus uses it.

    Raises:
        InputError: it is no rule file.
    """
    if len(text) > _LONGEST:
        raise InputError("the rule file is too large", source=source)
    found = read_documents(text, source)
    if len(found) > 1:
        raise InputError("a rule file is one document", source=source, mend="leave one")
    data = found[0] if found else None
    if isinstance(data, dict) and data.get("kind") == "PrometheusRule":
        data = data.get("spec")
    if data is None:
        return ()
    if not isinstance(data, dict) or not set(data) <= {"groups"}:
        raise InputError("a rule file has the field `groups` and no other", source=source)
    return read_groups(data.get("groups") or [], source)


def read_groups(groups: Any, source: str) -> tuple[Group, ...]:
    """Groups that were read already.

    Raises:
        InputError: they are no groups.
    """
    if not isinstance(groups, list):
        raise InputError("expected a list of groups", source=source, field="groups")
    out: list[Group] = []
    for index, entry in enumerate(groups):
        group = _group(entry, source, f"groups[{index}]")
        if any(other.name == group.name for other in out):
            raise _bad(f'groupname: "{group.name}" is repeated in the same file', source, f"groups[{index}]")
        out.append(group)
    return tuple(out)


def _bad(problem: str, source: str, field: str) -> InputError:
    return InputError(problem, source=source, field=field)


def _mapping(value: Any, keys: frozenset[str], source: str, field: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _bad("expected a mapping", source, field)
    unknown = sorted(str(key) for key in value if key not in keys)
    if unknown:
        raise _bad(f"field {unknown[0]} not found", source, field)
    return value


def _duration(value: Any, source: str, field: str) -> int:
    if value is None:
        return 0
    if str(value) == "0":
        return 0
    try:
        return duration_ms(str(value))
    except ValueError as error:
        raise _bad(str(error), source, field) from None


def _group(entry: Any, source: str, field: str) -> Group:
    found = _mapping(entry, _GROUP_KEYS, source, field)
    name = found.get("name")
    if not isinstance(name, str) or not name:
        raise _bad("Groupname must not be empty", source, f"{field}.name")
    limit = found.get("limit") or 0
    if not isinstance(limit, int) or isinstance(limit, bool) or limit < 0:
        raise _bad("expected a number", source, f"{field}.limit")
    rules = found.get("rules") or []
    if not isinstance(rules, list):
        raise _bad("expected a list of rules", source, f"{field}.rules")
    common = _pairs(found.get("labels"), source, f"{field}.labels")
    return Group(
        name,
        source,
        tuple(_rule(rule, common, source, f"{field}.rules[{index}]") for index, rule in enumerate(rules)),
        _duration(found.get("interval"), source, f"{field}.interval"),
        limit,
        _duration(found.get("query_offset"), source, f"{field}.query_offset"),
    )


def _pairs(value: Any, source: str, field: str) -> dict[str, str]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise _bad("expected a mapping", source, field)
    out = {}
    for key, text in value.items():
        if not isinstance(key, str) or not _LABEL.fullmatch(key) or key == NAME:
            raise _bad(f"invalid label name: {key}", source, field)
        if isinstance(text, dict | list):
            raise _bad("expected a string", source, f"{field}.{key}")
        out[key] = "" if text is None else str(text).lower() if isinstance(text, bool) else str(text)
    return out


def _rule(entry: Any, common: Mapping[str, str], source: str, field: str) -> Rule:
    found = _mapping(entry, _RULE_KEYS, source, field)
    record, alert = str(found.get("record") or ""), str(found.get("alert") or "")
    if bool(record) is bool(alert):
        problem = (
            "only one of 'record' and 'alert' must be set"
            if record
            else "one of 'record' or 'alert' must be set"
        )
        raise _bad(problem, source, field)
    text = str(found.get("expr") or "")
    if not text:
        raise _bad("field 'expr' must be set in rule", source, f"{field}.expr")
    try:
        expression = parse(text)
    except ParseError as error:
        raise _bad(f"could not parse expression: {error}", source, f"{field}.expr") from None
    labels = {**common, **_pairs(found.get("labels"), source, f"{field}.labels")}
    annotations = _pairs(found.get("annotations"), source, f"{field}.annotations")
    if record:
        wrong = next((key for key in ("annotations", "for", "keep_firing_for") if found.get(key)), None)
        if wrong:
            raise _bad(f"invalid field '{wrong}' in recording rule", source, f"{field}.{wrong}")
        if not _NAME.fullmatch(record):
            raise _bad(f"invalid recording rule name: {record}", source, f"{field}.record")
    else:
        for part, pairs in (("labels", labels), ("annotations", annotations)):
            for key, template in pairs.items():
                problem = check(template)
                if problem:
                    raise _bad(f"template of {key}: {problem}", source, f"{field}.{part}.{key}")
    return Rule(
        record,
        alert,
        text.strip(),
        expression,
        _duration(found.get("for"), source, f"{field}.for"),
        _duration(found.get("keep_firing_for"), source, f"{field}.keep_firing_for"),
        label_sets.make(labels),
        _sorted(annotations),
    )


def _sorted(pairs: Mapping[str, str]) -> Labels:
    return tuple(sorted(pairs.items()))
