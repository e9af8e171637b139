"""Numbers and hashes as the controllers of workloads reckon them."""

from __future__ import annotations

import re
from typing import Any

_SAFE = "bcdfghjklmnpqrstvwxz2456789"
_PERCENT = re.compile(r"(\d{1,9})%")


def scaled(number: Any, total: int, *, up: bool) -> int:
    """A count that is given as such or as a part of the total (`25%`), rounded up or down."""
    if isinstance(number, int):
        return number
    match = _PERCENT.fullmatch(str(number or "0"))
    if match is None:
        text = str(number)
        return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0
    product = int(match[1]) * total
    return -(-product // 100) if up else product // 100


def hash_of(value: Any, collisions: int | None = None) -> str:
    """The hash of a template as it goes into names: the same for the same content.

    The digest is FNV-1a of 32 bits and its decimal digits are spelled in Kubernetes' safe alphabet,
    as `pod-template-hash` is; only the bytes that go in differ from those of the real controllers.
    """
    import orjson

    data = orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    if collisions is not None:
        data += collisions.to_bytes(8, "little")
    number = 0x811C9DC5
    for byte in data:
        number = ((number ^ byte) * 0x01000193) & 0xFFFFFFFF
    return "".join(_SAFE[ord(digit) % len(_SAFE)] for digit in str(number))
