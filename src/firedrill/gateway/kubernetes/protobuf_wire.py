"""The protobuf wire format, bounded against hostile input."""

from __future__ import annotations

from collections.abc import Iterator

MAX_DEPTH = 64
MAX_FIELDS = 500_000


class ProtobufError(ValueError):
    """Bytes that are no such message: the sender's mistake, 400."""


def varint(data: bytes, place: int) -> tuple[int, int]:
    """A variable-length integer and the place behind it.

    Raises:
        ProtobufError: it is cut off or longer than ten bytes.
    """
    number = shift = 0
    while True:
        if place >= len(data) or shift > 63:
            raise ProtobufError("proto: illegal or truncated varint")
        byte = data[place]
        place += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number & 0xFFFF_FFFF_FFFF_FFFF, place
        shift += 7


def fields(data: bytes) -> Iterator[tuple[int, int, int | bytes]]:
    """Field number, wire type and raw value, one after the other.

    Raises:
        ProtobufError: the bytes are no message.
    """
    place = 0
    while place < len(data):
        key, place = varint(data, place)
        number, wire = key >> 3, key & 7
        if number == 0:
            raise ProtobufError("proto: illegal tag 0")
        if wire == 0:
            value, place = varint(data, place)
            yield number, wire, value
            continue
        if wire == 2:
            size, place = varint(data, place)
        elif wire in (1, 5):
            size = 8 if wire == 1 else 4
        else:
            raise ProtobufError(f"proto: illegal wireType {wire}")
        if size > len(data) - place:
            raise ProtobufError("unexpected EOF")
        yield number, wire, data[place : place + size]
        place += size
