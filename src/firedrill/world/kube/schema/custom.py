"""Custom resources against the structural schema of their definition.

Wording: apiextensions-apiserver's schema validation, which is go-openapi's with Kubernetes field errors.
"""

from __future__ import annotations

import base64
import binascii
import datetime
import ipaddress
import re
from collections.abc import Callable, Mapping
from functools import cache, lru_cache
from typing import Any

from firedrill.world.kube.kinds import Kind
from firedrill.world.kube.objects import Obj
from firedrill.world.kube.schema.check.fields import Errors, FieldError, Go, go_text
from firedrill.world.kube.schema.definitions import Schema, schema_for
from firedrill.world.kube.schema.times import time_problem

Cel = Callable[[dict[str, Any], Any, Any], "str | None"]

_INT_OR_STRING = "x-kubernetes-int-or-string"
_RULES = "x-kubernetes-validations"
_SCAN = 65536
"""Patterns are only run on texts up to this length; a longer one is refused."""


def check_custom(errors: Errors, kind: Kind, obj: Obj, old: Obj | None, cel: Cel | None) -> None:
    """Every broken rule of a custom resource; `metadata` has been checked like that of any object."""
    check_against(errors, schema_for(kind), obj, old, cel)


def check_against(
    errors: Errors, schema: Schema, obj: Obj, old: Obj | None = None, cel: Cel | None = None
) -> None:
    """Every broken rule of an object of a structural schema, its metadata left aside."""
    walk = _Walk(errors, cel)
    for name in schema.target.get("required") or ():
        if name not in obj:
            errors.required(str(name))
    for name, child in schema.properties.items():
        if name in obj and name not in {"apiVersion", "kind", "metadata"}:
            walk.check(child, obj[name], name, old.get(name) if old else None)
    walk.rules(schema, obj, "", old)
    walk.combined(schema.target, obj, "")


class _Walk:
    """One validation: where errors go, and who evaluates rules."""

    __slots__ = ("cel", "errors")

    def __init__(self, errors: Errors, cel: Cel | None) -> None:
        self.errors = errors
        self.cel = cel

    def check(self, schema: Schema, value: Any, path: str, old: Any) -> None:
        """One value and all below it."""
        node = schema.target
        if value is None:
            if not node.get("nullable"):
                self._mistyped(path, value, schema.type or "object")
            return
        if not self._typed(schema, value, path):
            return
        _check_enum(self.errors, node, value, path)
        if isinstance(value, str):
            _check_text(self.errors, node, value, path)
        elif isinstance(value, (int, float)) and not isinstance(value, bool):
            _check_number(self.errors, node, value, path)
        elif isinstance(value, list):
            self._list(schema, value, path)
        elif isinstance(value, dict):
            self._object(schema, value, path, old if isinstance(old, dict) else None)
        self.combined(node, value, path)
        self.rules(schema, value, path, old)

    def _typed(self, schema: Schema, value: Any, path: str) -> bool:
        if schema.extension(_INT_OR_STRING):
            if isinstance(value, bool) or not isinstance(value, (int, str)):
                self._mistyped(path, value, "integer,string")
                return False
            return True
        wanted = schema.type
        if wanted and not _is(wanted, value):
            self._mistyped(path, value, wanted)
            return False
        return True

    def _mistyped(self, path: str, value: Any, wanted: str) -> None:
        shown = Go("null") if value is None else Go(f'"{_json_type(value)}"')
        text = f'{path} in body must be of type {wanted}: "{_json_type(value)}"'
        self.errors.found.append(FieldError("TypeInvalid", path, shown, text))

    def _list(self, schema: Schema, value: list[Any], path: str) -> None:
        node = schema.target
        most, least = node.get("maxItems"), node.get("minItems")
        if isinstance(most, int) and len(value) > most:
            detail = f"must have at most {most} items"
            self.errors.found.append(FieldError("TooMany", path, len(value), detail))
        if isinstance(least, int) and len(value) < least:
            noun = "item" if least == 1 else "items"
            self.errors.invalid(path, len(value), f"{path} in body should have at least {least} {noun}")
        _check_unique(self.errors, schema, value, path)
        items = schema.items()
        if items is not None:
            for index, item in enumerate(value):
                self.check(items, item, f"{path}[{index}]", None)

    def _object(self, schema: Schema, value: Obj, path: str, old: Obj | None) -> None:
        node = schema.target
        for name in node.get("required") or ():
            if name not in value:
                self.errors.required(f"{path}.{name}")
        most, least = node.get("maxProperties"), node.get("minProperties")
        if isinstance(most, int) and len(value) > most:
            detail = f"must have at most {most} items"
            self.errors.found.append(FieldError("TooMany", path, len(value), detail))
        if isinstance(least, int) and len(value) < least:
            self.errors.invalid(path, len(value), f"{path} in body should have at least {least} properties")
        values = schema.additional()
        for key, item in value.items():
            child = schema.property(key) or values
            if child is not None:
                self.check(child, item, f"{path}.{key}", old.get(key) if old else None)

    def combined(self, node: Mapping[str, Any], value: Any, path: str) -> None:
        """`allOf`, `anyOf`, `oneOf`, `not`, which in a structural schema only add rules."""
        for part in node.get("allOf") or ():
            self.check(Schema(None, part), value, path, None)
        where = path or "<nil>"
        if node.get("anyOf") and not any(_fits(part, value) for part in node["anyOf"]):
            self.errors.invalid(
                path, Go(_shown(value)), f"{where} in body must validate at least one schema (anyOf)"
            )
        if node.get("oneOf"):
            fitting = sum(_fits(part, value) for part in node["oneOf"])
            if fitting != 1:
                found = "Found none valid" if not fitting else f"Found {fitting} valid alternatives"
                detail = f"{where} in body must validate one and only one schema (oneOf). {found}"
                self.errors.invalid(path, Go(_shown(value)), detail)
        if isinstance(node.get("not"), Mapping) and _fits(node["not"], value):
            self.errors.invalid(
                path, Go(_shown(value)), f"{where} in body must not validate the schema (not)"
            )

    def rules(self, schema: Schema, value: Any, path: str, old: Any) -> None:
        """Rules in CEL, where somebody can evaluate them."""
        if self.cel is None:
            return
        for rule in schema.extension(_RULES) or ():
            message = self.cel(rule, value, old)
            if message is not None:
                self.errors.invalid(path or "<nil>", Go(_json_type(value)), message)


def _fits(node: Mapping[str, Any], value: Any) -> bool:
    errors = Errors()
    _Walk(errors, None).check(Schema(None, node), value, "", None)
    return not errors.found


def _is(wanted: str, value: Any) -> bool:
    if wanted == "integer":
        whole = isinstance(value, float) and value.is_integer()
        return (isinstance(value, int) and not isinstance(value, bool)) or whole
    if wanted == "number":
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    types: dict[str, type] = {"string": str, "boolean": bool, "object": dict, "array": list}
    return isinstance(value, types.get(wanted, object))


def _json_type(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    names: tuple[tuple[type, str], ...] = (
        (str, "string"),
        (int, "integer"),
        (float, "number"),
        (list, "array"),
        (dict, "object"),
    )
    return next(name for type_, name in names if isinstance(value, type_))


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return (
            "map[string]interface {}{"
            + ", ".join(f'"{key}":{go_text(value[key])}' for key in sorted(value))
            + "}"
        )
    return str(go_text(value))


def _check_enum(errors: Errors, node: Mapping[str, Any], value: Any, path: str) -> None:
    allowed = node.get("enum")
    if not isinstance(allowed, list) or any(_same(value, item) for item in allowed):
        return
    names = ", ".join(f'"{item}"' for item in allowed)
    errors.found.append(FieldError("NotSupported", path, value, f"supported values: {names}"))


def _same(left: Any, right: Any) -> bool:
    return bool(left == right) and isinstance(left, bool) == isinstance(right, bool)


@cache
def _matcher() -> Any:
    """A program that matches in linear time: the patterns of a definition may be hostile."""
    import cel

    return cel.compile("text.matches(pattern)")


@lru_cache(maxsize=4096)
def _matches(pattern: str, text: str) -> bool:
    """Whether the pattern is found in the text; one that cannot be read matches everything."""
    try:
        return bool(_matcher().execute({"text": text, "pattern": pattern}))
    except (RuntimeError, ValueError, TypeError):
        return True


def _check_text(errors: Errors, node: Mapping[str, Any], value: str, path: str) -> None:
    most, least = node.get("maxLength"), node.get("minLength")
    if isinstance(most, int) and len(value) > most:
        errors.too_long(path, value, most)
    if isinstance(least, int) and len(value) < least:
        errors.invalid(path, value, f"{path} in body should be at least {least} chars long")
    pattern = node.get("pattern")
    if isinstance(pattern, str) and pattern and (len(value) > _SCAN or not _matches(pattern, value)):
        errors.invalid(path, value, f"{path} in body should match '{pattern}'")
    format_ = node.get("format")
    if isinstance(format_, str) and format_ in _FORMATS and not _FORMATS[format_](value):
        errors.invalid(path, value, f'{path} in body must be of type {format_}: "{value}"')


def _parses(parse: Callable[[str], Any], text: str) -> bool:
    try:
        parse(text)
    except (ValueError, binascii.Error):
        return False
    return True


_FORMATS: Mapping[str, Callable[[str], bool]] = {
    "date-time": lambda text: not time_problem(text, ""),
    "date": lambda text: _parses(datetime.date.fromisoformat, text),
    "ipv4": lambda text: _parses(ipaddress.IPv4Address, text),
    "ipv6": lambda text: _parses(ipaddress.IPv6Address, text),
    "cidr": lambda text: "/" in text and _parses(lambda part: ipaddress.ip_network(part, strict=False), text),
    "byte": lambda text: _parses(lambda part: base64.b64decode(part, validate=True), text),
    "uuid": lambda text: re.fullmatch(r"(?i)[0-9a-f]{8}-?([0-9a-f]{4}-?){3}[0-9a-f]{12}", text) is not None,
    "duration": lambda text: (
        re.fullmatch(r"[+-]?(0|(\d{1,18}(\.\d{0,18})?(ns|us|µs|ms|s|m|h|d|w))+)", text) is not None
    ),
}


def _check_number(errors: Errors, node: Mapping[str, Any], value: float, path: str) -> None:
    low, high = node.get("minimum"), node.get("maximum")
    if isinstance(low, (int, float)) and (value < low or (value == low and node.get("exclusiveMinimum"))):
        word = "than" if node.get("exclusiveMinimum") else "than or equal to"
        errors.invalid(path, value, f"{path} in body should be greater {word} {low}")
    if isinstance(high, (int, float)) and (value > high or (value == high and node.get("exclusiveMaximum"))):
        word = "than" if node.get("exclusiveMaximum") else "than or equal to"
        errors.invalid(path, value, f"{path} in body should be less {word} {high}")
    step = node.get("multipleOf")
    if isinstance(step, (int, float)) and step > 0 and value % step:
        errors.invalid(path, value, f"{path} in body should be a multiple of {step}")


def _check_unique(errors: Errors, schema: Schema, value: list[Any], path: str) -> None:
    """Lists that are sets or maps hold each element, or each key, once."""
    type_ = schema.extension("x-kubernetes-list-type")
    keys = schema.extension("x-kubernetes-list-map-keys") or ()
    seen: set[str] = set()
    for index, item in enumerate(value):
        if type_ == "set":
            mark = repr(item)
        elif type_ == "map" and isinstance(item, dict):
            mark = repr([item.get(key) for key in keys])
        else:
            continue
        if mark in seen:
            shown = {key: item.get(key) for key in keys} if type_ == "map" else item
            errors.duplicate(f"{path}[{index}]", Go(_shown(shown)))
        seen.add(mark)
