"""The field table: which numbers mean what in each message of the Kubernetes API.

Nobody publishes it as a file, but every kubectl carries it: Go's protobuf runtime embeds gzip'ed
FileDescriptorProtos. The table made of them is cached by the program's size and time of change.
"""

from __future__ import annotations

import os
import re
import tempfile
import zlib
from contextlib import suppress
from pathlib import Path
from typing import Any

import orjson

from firedrill.core.errors import InfrastructureError
from firedrill.gateway.kubernetes.kubectl import KubectlBinary, find_kubectl
from firedrill.gateway.kubernetes.protobuf_wire import ProtobufError, fields

Table = dict[str, dict[str, list[Any]]]
"""Message name to field number to `[name, type, message name, repeated]`.

Types are `int`, `uint`, `bool`, `string`, `bytes`, `double`, `float`, `message` and `map`; for a map
the third member is `[key type, value type, message name]`.
"""

_GZIP = re.compile(rb"\x1f\x8b\x08\x00\x00\x00\x00\x00")
_MAX_PROGRAM, _MAX_DESCRIPTOR = 256 << 20, 4 << 20
_TYPES = {1: "double", 2: "float", 3: "int", 4: "uint", 5: "int", 8: "bool", 9: "string", 11: "message"}
_TYPES |= {12: "bytes", 13: "uint", 14: "int"}
_FORMAT = 1


class NoFieldTable(InfrastructureError):
    """No kubectl is at hand to read the table from: protobuf bodies cannot be understood, 415."""


def load_table(binary: KubectlBinary | None = None, cache: Path | None = None) -> Table:
    """The table of that kubectl (the newest at hand by default), read from the cache where it is there.

    Raises:
        NoFieldTable: there is no kubectl, or it carries no descriptors.
    """
    if binary is None:
        at_hand = find_kubectl()
        if not at_hand:
            raise NoFieldTable("no kubectl 1.30 or newer is at hand; run `make tools`")
        binary = at_hand[0]
    info = binary.path.stat()
    folder = cache or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "firedrill"
    kept = folder / f"protobuf-{_FORMAT}-{info.st_size}-{info.st_mtime_ns}.json"
    with suppress(OSError, orjson.JSONDecodeError):
        found = orjson.loads(kept.read_bytes())
        if isinstance(found, dict) and found:
            return found
    if info.st_size > _MAX_PROGRAM:
        raise NoFieldTable(f"{binary.path}: too large to be a kubectl")
    table = extract(binary.path.read_bytes())
    if not table:
        raise NoFieldTable(f"{binary.path}: carries no descriptors")
    with suppress(OSError):
        _write(kept, orjson.dumps(table))
    return table


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=path.name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        Path(name).replace(path)
    except OSError:
        Path(name).unlink(missing_ok=True)
        raise


def extract(program: bytes) -> Table:
    """The table of every Kubernetes message whose descriptor lies in the program."""
    table: Table = {}
    for match in _GZIP.finditer(program):
        reader = zlib.decompressobj(31)
        try:
            text = reader.decompress(
                memoryview(program)[match.start() : match.start() + (1 << 20)], _MAX_DESCRIPTOR
            )
            if reader.eof and text[:1] == b"\n" and b"k8s.io/" in text[:16]:
                _file(text, table)
        except (zlib.error, ProtobufError, UnicodeDecodeError):
            continue
    return table


def _file(text: bytes, table: Table) -> None:
    package, messages = "", []
    for number, _, value in fields(text):
        if number == 2 and isinstance(value, bytes):
            package = value.decode()
        elif number == 4 and isinstance(value, bytes):
            messages.append(value)
    for message in messages:
        _message(package, message, table)


def _message(package: str, text: bytes, table: Table) -> None:
    name, members, nested = "", [], []
    for number, _, value in fields(text):
        if not isinstance(value, bytes):
            continue
        if number == 1:
            name = f"{package}.{value.decode()}"
        elif number == 2:
            members.append(_member(value))
        elif number == 3:
            nested.append(value)
    inner: Table = {}
    for one in nested:
        _message(name, one, inner)
    for member in members:
        entry = inner.get(member[1][2])
        if entry is not None and member[1][3]:
            key, value_type = entry["1"], entry["2"]
            member[1][1:] = ["map", [key[1], value_type[1], value_type[2]], False]
    table[name] = dict(members)


def _member(text: bytes) -> tuple[str, list[Any]]:
    found = {number: value for number, _, value in fields(text)}
    name, type_name = found.get(1, b""), found.get(6, b"")
    kind = _TYPES.get(int(found.get(5, 0)), "unknown")
    if not isinstance(name, bytes) or not isinstance(type_name, bytes):
        raise ProtobufError("a field without a name")
    return str(found.get(3, 0)), [
        name.decode(),
        kind,
        type_name.decode().removeprefix("."),
        found.get(4) == 3,
    ]
