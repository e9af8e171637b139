"""Request bodies: JSON, YAML and protobuf, with the complaints of a real server about broken ones."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import orjson
import yaml

from firedrill.world.kube.api import errors
from firedrill.world.kube.api.request import PatchType

MAX_DEPTH = 120
"""How deep a body may be nested: more than any real object, less than what recursion can take."""
MAX_NODES = 1_000_000
_READ = ("application/json", "application/yaml", "application/vnd.kubernetes.protobuf")
PATCHES: Mapping[str, PatchType] = {
    "application/json-patch+json": "json",
    "application/merge-patch+json": "merge",
    "application/strategic-merge-patch+json": "strategic",
    "application/apply-patch+yaml": "apply",
}
_NUMBERS = {"N", "I"}
_JSON_ERRORS = (
    ("Expecting value", "looking for beginning of value"),
    ("Expecting property name", "looking for beginning of object key string"),
    ("Illegal trailing comma", "looking for beginning of object key string"),
    ("Expecting ':'", "after object key"),
    ("Expecting ','", "after object key:value pair"),
    ("Extra data", "after top-level value"),
    ("Invalid control character", "in string literal"),
    ("Invalid \\escape", "in string escape code"),
    ("Invalid \\uXXXX escape", "in \\u hexadecimal character escape"),
)


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]  # chosen at run time
    """YAML as Kubernetes reads it: a date is text."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in found if tag != "tag:yaml.org,2002:timestamp"]
    for first, found in _Loader.yaml_implicit_resolvers.items()
}


def media_type(text: str) -> str:
    """The media type of a Content-Type header, without parameters."""
    return text.partition(";")[0].strip().lower()


def read_object(content_type: str, raw: bytes, kind: str) -> Any:
    """The object in the body of a create or update.

    Args:
        content_type: the header.
        raw: the body.
        kind: what the path expects, for messages.

    Raises:
        ApiError: 415 for a format that cannot be read, 400 for a broken body.
    """
    media = media_type(content_type) or "application/json"
    if media == "application/vnd.kubernetes.protobuf":
        return bounded(_protobuf(raw))
    if media not in {"application/json", "application/yaml"}:
        raise errors.unsupported_media_type(_READ, "")
    try:
        found = read_json(raw) if media == "application/json" else read_yaml(raw)
    except ValueError as problem:
        raise errors.bad_request(
            f"the object provided is unrecognized (must be of type {kind}): "
            f"couldn't get version/kind; json parse error: {problem} ({_summary(raw)})"
        ) from None
    if not isinstance(found, dict):
        what = "array" if isinstance(found, list) else _go_name(found)
        raise errors.bad_request(
            f"the object provided is unrecognized (must be of type {kind}): couldn't get version/kind; "
            f"json parse error: json: cannot unmarshal {what} into Go value of type "
            'struct { APIVersion string "json:\\"apiVersion,omitempty\\""; '
            f'Kind string "json:\\"kind,omitempty\\"" }} ({_summary(raw)})'
        )
    return found


def read_patch(content_type: str, raw: bytes) -> tuple[PatchType, Any]:
    """The type and the content of a patch.

    Raises:
        ApiError: 415 for an unknown type, 400 for a broken body.
    """
    kind = PATCHES.get(media_type(content_type))
    if kind is None:
        raise errors.unsupported_media_type(tuple(PATCHES), "")
    try:
        body = read_yaml(raw) if kind == "apply" else read_json(raw)
    except ValueError as problem:
        if kind == "apply":
            raise errors.bad_request(f"error decoding YAML: {problem}") from None
        raise errors.bad_request(str(problem)) from None
    if kind == "json" and not isinstance(body, list):
        raise errors.bad_request(
            f"json: cannot unmarshal {_go_name(body)} into Go value of type jsonpatch.Patch"
        )
    if kind != "json" and not isinstance(body, dict):
        raise errors.bad_request(
            f"json: cannot unmarshal {_go_name(body)} into Go value of type map[string]interface {{}}"
        )
    return kind, body


def read_json(raw: bytes) -> Any:
    """The value in JSON text.

    Raises:
        ValueError: it is none, in the words of Go's decoder.
    """
    try:
        value = orjson.loads(raw)
    except orjson.JSONDecodeError as problem:
        raise ValueError(_go_complaint(raw, problem)) from None
    return bounded(value)


def read_yaml(raw: bytes) -> Any:
    """The value in YAML (or JSON) text.

    Raises:
        ValueError: it is none, or more than one document.
    """
    if raw.lstrip()[:1] in (b"{", b"["):
        try:
            return bounded(orjson.loads(raw))
        except orjson.JSONDecodeError:
            pass  # YAML in flow style looks alike
    try:
        _refuse_deep(raw)
        return bounded(yaml.load(raw, Loader=_Loader))  # noqa: S506 - a safe loader
    except yaml.YAMLError as problem:
        mark = getattr(problem, "problem_mark", None)
        where = f"line {mark.line + 1}: " if mark is not None else ""
        raise ValueError(f"yaml: {where}{getattr(problem, 'problem', None) or problem}") from None
    except (RecursionError, UnicodeDecodeError):
        raise ValueError("yaml: exceeded max depth") from None


def _refuse_deep(raw: bytes) -> None:
    """Refuse YAML that is nested so deeply that composing it would overflow the stack of the C library.

    Raises:
        ValueError: it is.
        yaml.YAMLError: it is no YAML.
    """
    depth = 0
    for event in yaml.parse(raw, Loader=_Loader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > MAX_DEPTH:
                raise ValueError("yaml: exceeded max depth")
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


def bounded(value: Any) -> Any:
    """The same value, if it is plain JSON of a size and depth that can be worked with.

    Raises:
        ValueError: it is not.
    """
    stack = [(value, 0)]
    nodes = 0
    while stack:
        here, depth = stack.pop()
        nodes += len(here) if isinstance(here, (dict, list)) else 1
        if depth > MAX_DEPTH:
            raise ValueError("exceeded max depth")
        if nodes > MAX_NODES:
            raise ValueError("document contains excessive aliasing")
        if isinstance(here, dict):
            if not all(isinstance(key, str) for key in here):
                raise ValueError("json: object key must be a string")
            stack.extend((item, depth + 1) for item in here.values() if not isinstance(item, str))
        elif isinstance(here, list):
            stack.extend((item, depth + 1) for item in here if not isinstance(item, str))
        elif isinstance(here, float):
            if not math.isfinite(here):
                raise ValueError("json: unsupported value")
        elif isinstance(here, int):
            if not -(1 << 63) <= here < 1 << 63:
                raise ValueError(
                    f"json: cannot unmarshal number {str(here)[:40]} into Go value of type int64"
                )
        elif here is not None and not isinstance(here, str):
            raise ValueError(f"json: unsupported type: {type(here).__name__}")
    return value


def _protobuf(raw: bytes) -> Any:
    from firedrill.gateway.kubernetes import protobuf

    try:
        decoder = protobuf.decoder()
    except protobuf.NoFieldTable:
        # without a kubectl at hand nobody knows the numbers of the fields
        raise errors.unsupported_media_type(_READ[:2], "") from None
    try:
        return decoder.decode(raw)
    except protobuf.ProtobufError as problem:
        raise errors.bad_request(str(problem)) from None


def _go_complaint(raw: bytes, found: orjson.JSONDecodeError) -> str:
    fallback = str(found)
    text = raw.decode("utf-8", "replace")
    try:
        json.loads(text)
    except json.JSONDecodeError as problem:
        rest = text[problem.pos :].lstrip(" \t\r\n")
        if not rest or problem.msg.startswith("Unterminated string"):
            return "unexpected end of JSON input"
        for start, words in _JSON_ERRORS:
            if problem.msg.startswith(start):
                return f"invalid character {_quoted(rest[0])} {words}"
        return fallback
    except (RecursionError, ValueError):
        return "exceeded max depth"
    if "\ufffd" in text:
        return "invalid UTF-8 in string"
    # what Python takes for a number, and JSON does not
    strange = text[found.pos : found.pos + 1]
    return (
        f"invalid character {_quoted(strange)} looking for beginning of value"
        if strange in _NUMBERS
        else fallback
    )


def _quoted(char: str) -> str:
    if char == "'":
        return "'\\''"
    return f"'{char}'" if char.isprintable() else f"'\\x{ord(char) & 0xFF:02x}'"


def _summary(raw: bytes) -> str:
    if not raw:
        return "<empty>"
    text = raw[:30].decode("utf-8", "replace") if raw[:1] == b"{" else raw[:30].hex()
    return text + (" ..." if len(raw) > 30 else "")


def _go_name(value: Any) -> str:
    for types, name in (
        (bool, "bool"),
        ((int, float), "number"),
        (str, "string"),
        (list, "array"),
        (dict, "object"),
    ):
        if isinstance(value, types):
            return name
    return "null"
