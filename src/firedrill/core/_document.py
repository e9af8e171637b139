"""Reading foreign YAML and JSON with bounds, into plain values that have a canonical JSON form."""

from __future__ import annotations

import datetime as dt
import json
import math
from collections.abc import Iterable
from typing import Any

import yaml

from firedrill.core.errors import Finding, InputError

MAX_CHARS = 4 * 1024 * 1024
MAX_DEPTH = 64
MAX_NODES = 200_000
"""Scalars, keys and containers of a document, aliases counted as often as they are used."""

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def read_document(text: str, source: str) -> tuple[Any, list[Finding]]:
    """``text`` as plain values, with a finding for each repeated key.

    Raises:
        InputError: too large, too deep, too many nodes, or neither JSON nor YAML.
    """
    if len(text) > MAX_CHARS:
        raise InputError(f"has {len(text)} characters, more than the {MAX_CHARS} allowed", source=source)
    text = text.removeprefix("\ufeff")
    if text.lstrip()[:1] in ("{", "["):
        try:
            return _read_json(text, source)
        except ValueError:
            pass  # flow YAML may look like JSON
        except RecursionError:
            raise _too_deep(source) from None
    return _read_yaml(text, source)


def plain(value: object, source: str) -> Any:
    """``value`` with only dict (string keys), list, str, int, float, bool and None.

    Raises:
        InputError: deeper than ``MAX_DEPTH`` or larger than ``MAX_NODES``.
    """
    budget = [MAX_NODES]

    def walk(item: object, depth: int) -> Any:
        budget[0] -= 1
        if depth > MAX_DEPTH:
            raise _too_deep(source)
        if budget[0] < 0:
            raise _too_many(source)
        if isinstance(item, dict):
            return {_text(key): walk(member, depth + 1) for key, member in item.items()}
        if isinstance(item, list | tuple):
            return [walk(member, depth + 1) for member in item]
        if isinstance(item, set | frozenset):
            return [walk(member, depth + 1) for member in sorted(item, key=str)]
        if item is None or isinstance(item, bool | int):
            return item
        if isinstance(item, float):
            return item if math.isfinite(item) else str(item)
        return _text(item)

    return walk(value, 0)


def clean(text: str) -> str:
    """``text`` without lone surrogates, which have no UTF-8 form."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _text(value: object) -> str:
    if isinstance(value, dt.datetime | dt.date):
        return value.isoformat()
    if isinstance(value, bytes):
        return value.hex()
    return clean(str(value))


def _too_deep(source: str) -> InputError:
    return InputError(f"is nested deeper than {MAX_DEPTH} levels", source=source)


def _too_many(source: str) -> InputError:
    return InputError(f"holds more than {MAX_NODES} values (with aliases expanded)", source=source)


def _repeated(key: str, source: str, line: int | None = None) -> Finding:
    message = f"key {key!r} stands twice in one mapping; the last one is used"
    return Finding("warning", "duplicate-key", message, source, line, key)


def _read_json(text: str, source: str) -> tuple[Any, list[Finding]]:
    findings: list[Finding] = []

    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        result = dict(items)
        if len(result) != len(items):
            seen: set[str] = set()
            for key, _ in items:
                if key in seen:
                    findings.append(_repeated(clean(key), source))
                seen.add(key)
        return result

    value = json.loads(text, object_pairs_hook=pairs)
    return plain(value, source), findings


def _read_yaml(text: str, source: str) -> tuple[Any, list[Finding]]:
    try:
        findings = scan(yaml.parse(text, Loader=_Loader), source)
        return plain(yaml.load(text, Loader=_Loader), source), findings  # noqa: S506 - a safe loader
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        problem = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise InputError(
            f"is neither JSON nor YAML: {problem}",
            source=source,
            line=mark.line + 1 if mark is not None else None,
        ) from None
    except (ValueError, TypeError, OverflowError, RecursionError) as error:
        # scalars that look like numbers or dates and are none; unhashable keys
        raise InputError(f"holds a value that cannot be read: {error}", source=source) from None


class _Frame:
    """One open collection while scanning: its anchor, its size, and the keys of a mapping."""

    __slots__ = ("anchor", "at_key", "keys", "size")

    def __init__(self, anchor: str | None, mapping: bool) -> None:
        self.anchor = anchor
        self.size = 1
        self.keys: set[str] | None = set() if mapping else None
        self.at_key = mapping


class _Scanner:
    """Refuses, before anything is built, what would be too deep or too large with aliases expanded."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.findings: list[Finding] = []
        self._sizes: dict[str, int] = {}
        self._stack: list[_Frame] = []

    def take(self, event: Any) -> None:
        """Follow one event of the parser."""
        line = event.start_mark.line + 1
        if isinstance(event, yaml.CollectionStartEvent):
            self._stack.append(_Frame(event.anchor, isinstance(event, yaml.MappingStartEvent)))
            if len(self._stack) > MAX_DEPTH:
                raise _too_deep(self.source)
        elif isinstance(event, yaml.CollectionEndEvent):
            frame = self._stack.pop()
            if frame.anchor:
                self._sizes[frame.anchor] = frame.size
            self._add(frame.size, None, line)
        elif isinstance(event, yaml.AliasEvent):
            if event.anchor not in self._sizes:
                problem = f"alias *{event.anchor} has no anchor before it"
                raise InputError(problem, source=self.source, line=line)
            self._add(self._sizes[event.anchor], None, line)
        elif isinstance(event, yaml.ScalarEvent):
            if event.anchor:
                self._sizes[event.anchor] = 1
            self._add(1, event.value, line)

    def _add(self, size: int, scalar: str | None, line: int) -> None:
        """Count a finished node towards the collection it stands in."""
        if not self._stack:
            return
        top = self._stack[-1]
        top.size += size
        if top.size > MAX_NODES:
            raise _too_many(self.source)
        if top.keys is None:
            return
        if top.at_key and scalar is not None and scalar != "<<":
            if scalar in top.keys:
                self.findings.append(_repeated(clean(scalar), self.source, line))
            top.keys.add(scalar)
        top.at_key = not top.at_key


def scan(events: Iterable[Any], source: str) -> list[Finding]:
    """A finding for each repeated key in the events of a YAML parser.

    Raises:
        InputError: what they tell is too deep, or too large with aliases expanded.
    """
    scanner = _Scanner(source)
    for event in events:
        scanner.take(event)
    return scanner.findings
