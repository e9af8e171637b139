"""Request bodies in Kubernetes' protobuf, as kubectl 1.32+ sends them.

The media type is `application/vnd.kubernetes.protobuf`. A body is `k8s\\0` and an envelope that names
apiVersion and kind and holds the message. Source: the package comment of apimachinery's protobuf
serializer.
"""

from __future__ import annotations

import base64
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from importlib import resources
from typing import Any

import orjson

from firedrill.gateway.kubernetes.protobuf_table import NoFieldTable, Table, load_table
from firedrill.gateway.kubernetes.protobuf_wire import MAX_DEPTH, MAX_FIELDS, ProtobufError, fields

__all__ = ["MAGIC", "MEDIA_TYPE", "Decoder", "NoFieldTable", "ProtobufError", "decoder"]

MEDIA_TYPE = "application/vnd.kubernetes.protobuf"
MAGIC = b"k8s\x00"
_META = "k8s.io.apimachinery.pkg.apis.meta.v1"
_YEAR_ONE = -62_135_596_800
_ABSENT = object()


@cache
def _go_types() -> tuple[Mapping[str, frozenset[str]], frozenset[str], Mapping[str, str]]:
    import yaml

    text = resources.files(__package__).joinpath("data/protobuf.yaml").read_text(encoding="utf-8")
    data = yaml.safe_load(text)
    inlined = {name: frozenset(names) for name, names in data["inlined"].items()}
    return inlined, frozenset(data["kept"]), data["renamed"]


@cache
def decoder() -> Decoder:
    """The decoder for the newest kubectl at hand, made once.

    Raises:
        NoFieldTable: there is none; the answer to a protobuf body is then 415.
    """
    return Decoder(load_table())


_KEEPS_ITEMS = {"k8s.io.api.core.v1.DownwardAPIProjection"}
"""Messages of nothing but `items` that are objects in JSON too; the others stand for a bare list."""


@dataclass
class _Budget:
    """How many fields may still be read, so that a small body cannot cost much."""

    left: int = field(default=MAX_FIELDS)

    def spend(self, depth: int) -> None:
        self.left -= 1
        if self.left < 0:
            raise ProtobufError("proto: too many fields")
        if depth > MAX_DEPTH:
            raise ProtobufError("proto: exceeded max depth")


class Decoder:
    """Turns bodies into the JSON objects that Go would have written.

    Args:
        table: see `protobuf_table.Table`.
    """

    def __init__(self, table: Table) -> None:
        self._table = table

    def decode(self, body: bytes) -> dict[str, Any]:
        """The object in a body, with apiVersion and kind.

        Raises:
            ProtobufError: the body is no such message, or of a kind that is not in the table.
        """
        if not body.startswith(MAGIC):
            raise ProtobufError(
                "provided data does not appear to be a protobuf message, expected prefix k8s\\0"
            )
        envelope: dict[int, Any] = {number: value for number, _, value in fields(body[4:])}
        type_meta, raw = envelope.get(1, b""), envelope.get(2, b"")
        encoding = envelope.get(3, b"")
        if not isinstance(type_meta, bytes) or not isinstance(raw, bytes) or encoding:
            raise ProtobufError("unable to decode the protobuf envelope")
        names = {number: _text(value) for number, _, value in fields(type_meta) if isinstance(value, bytes)}
        api_version, kind = names.get(1, ""), names.get(2, "")
        message = self._message_name(api_version, kind)
        return {"apiVersion": api_version, "kind": kind, **self._object(message, raw, 0, _Budget())}

    def _message_name(self, api_version: str, kind: str) -> str:
        group, _, version = api_version.rpartition("/")
        short = group.split(".")[0] or "core"
        for package in (f"k8s.io.api.{short}.{version}", f"k8s.io.metrics.pkg.apis.{short}.{version}", _META):
            if f"{package}.{kind}" in self._table:
                return f"{package}.{kind}"
        raise ProtobufError(f'no kind "{kind}" is registered for version "{api_version}"')

    def _message(self, name: str, data: bytes, depth: int, budget: _Budget) -> Any:
        special = _SPECIAL.get(name)
        if special is not None:
            return special({number: value for number, _, value in fields(data)})
        known = self._table.get(name)
        wraps = known is not None and len(known) == 1 and known.get("1", ["", "", "", False])[0] == "items"
        if wraps and name not in _KEEPS_ITEMS:
            return self._object(name, data, depth, budget).get("items", [])
        return self._object(name, data, depth, budget)

    def _object(self, name: str, data: bytes, depth: int, budget: _Budget) -> dict[str, Any]:
        known = self._table.get(name)
        if known is None:
            raise ProtobufError(f"proto: unknown message {name}")
        inlined, kept, renamed = _go_types()
        flat = inlined.get(name, frozenset())
        if name.endswith("Status"):
            kept = frozenset()
        out: dict[str, Any] = {}
        for number, wire, value in fields(data):
            budget.spend(depth)
            member = known.get(str(number))
            if member is None:
                continue
            key, type_, of, repeated = member
            key = renamed.get(key, key)
            if type_ == "map":
                self._entry(out.setdefault(key, {}), of, value, depth, budget)
                continue
            if repeated and wire == 2 and type_ in ("int", "uint", "bool"):
                out.setdefault(key, []).extend(_packed(type_, value))
                continue
            found = self._value(type_, of, value, depth, budget)
            if repeated:
                out.setdefault(key, []).append(None if found is _ABSENT else found)
            elif key in flat and isinstance(found, dict):
                out.update(found)
            elif found is not _ABSENT and (type_ == "message" or key in kept or found not in (0, "")):
                out[key] = found
        return out

    def _value(self, type_: str, of: str, value: int | bytes, depth: int, budget: _Budget) -> Any:
        if type_ == "message":
            return self._message(of, _bytes(value), depth + 1, budget)
        if type_ == "string":
            return _text(_bytes(value))
        if type_ == "bytes":
            return base64.b64encode(_bytes(value)).decode()
        if type_ in ("double", "float"):
            data = _bytes(value)
            if len(data) != (8 if type_ == "double" else 4):
                raise ProtobufError("proto: wrong wireType for a number")
            return struct.unpack("<d" if type_ == "double" else "<f", data)[0]
        return _number(type_, value)

    def _entry(
        self, into: dict[str, Any], of: list[str], value: int | bytes, depth: int, budget: _Budget
    ) -> None:
        found = {number: item for number, _, item in fields(_bytes(value))}
        key = _text(_bytes(found.get(1, b"")))
        item = self._value(of[1], of[2], found.get(2, 0 if of[1] in ("int", "bool") else b""), depth, budget)
        into[key] = None if item is _ABSENT else item


def _bytes(value: Any) -> bytes:
    if not isinstance(value, bytes):
        raise ProtobufError("proto: wrong wireType")
    return value


def _text(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError as error:
        raise ProtobufError("proto: invalid UTF-8") from error


def _number(type_: str, value: int | bytes) -> int | bool:
    if not isinstance(value, int):
        raise ProtobufError("proto: wrong wireType for a number")
    if type_ == "bool":
        return value != 0
    return value - (1 << 64) if type_ == "int" and value >= 1 << 63 else value


def _packed(type_: str, value: int | bytes) -> list[int | bool]:
    from firedrill.gateway.kubernetes.protobuf_wire import varint

    data, place, out = _bytes(value), 0, []
    while place < len(data):
        item, place = varint(data, place)
        out.append(_number(type_, item))
    return out


# --- messages that JSON writes in another way

_Raw = dict[int, Any]


def _moment(raw: _Raw, digits: int) -> Any:
    seconds, nanos = _number("int", raw.get(1, 0)), _number("int", raw.get(2, 0))
    if seconds in (_YEAR_ONE, 0):
        return _ABSENT
    try:
        at = datetime.fromtimestamp(0, UTC) + timedelta(seconds=seconds)
    except OverflowError as error:
        raise ProtobufError("a time is out of range") from error
    fraction = f".{max(0, min(nanos, 999_999_999)) // 1000:06d}" if digits else ""
    return f"{at.strftime('%Y-%m-%dT%H:%M:%S')}{fraction}Z"


def _duration(raw: _Raw) -> str:
    nanos = int(_number("int", raw.get(1, 0)))
    sign, seconds = ("-" if nanos < 0 else ""), abs(nanos) / 1e9
    hours, minutes = int(seconds // 3600), int(seconds % 3600 // 60)
    rest = f"{seconds % 60:.9f}".rstrip("0").rstrip(".")
    if hours:
        return f"{sign}{hours}h{minutes}m{rest}s"
    return f"{sign}{minutes}m{rest}s" if minutes else f"{sign}{rest}s"


def _int_or_string(raw: _Raw) -> int | str:
    if raw.get(1, 0):
        return _text(_bytes(raw.get(3, b"")))
    number = _number("int", raw.get(2, 0))
    return int(number)


def _json(raw: _Raw) -> Any:
    try:
        return orjson.loads(_bytes(raw.get(1, b"")) or b"null")
    except orjson.JSONDecodeError as error:
        raise ProtobufError(f"an embedded object is no JSON: {error}") from error


_SPECIAL: Mapping[str, Callable[[_Raw], Any]] = {
    f"{_META}.Time": lambda raw: _moment(raw, 0),
    f"{_META}.MicroTime": lambda raw: _moment(raw, 6),
    f"{_META}.Duration": _duration,
    f"{_META}.FieldsV1": _json,
    "k8s.io.apimachinery.pkg.api.resource.Quantity": lambda raw: _text(_bytes(raw.get(1, b""))),
    "k8s.io.apimachinery.pkg.util.intstr.IntOrString": _int_or_string,
    "k8s.io.apimachinery.pkg.runtime.RawExtension": _json,
}
