"""Durations, sizes, rates and percentages as experiments write them. Hostile texts give None or 0."""

from __future__ import annotations

import re
from math import isfinite
from typing import Any

_PART = re.compile(r"(\d{1,12}(?:\.\d{1,9})?)(ns|us|µs|ms|s|m|h)")
_MS = {"ns": 1e-6, "us": 1e-3, "µs": 1e-3, "ms": 1.0, "s": 1e3, "m": 6e4, "h": 3.6e6}
_SIZE = re.compile(r"(\d{1,15}(?:\.\d{1,6})?)\s*([KMGT]?)(?:i?B)?", re.IGNORECASE)
_RATE = re.compile(r"(\d{1,15}(?:\.\d{1,6})?)\s*([kmgt]?)(bps|bit)", re.IGNORECASE)
_STEPS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
_MOST_MS = 10**12


def duration_ms(text: Any) -> int | None:
    """Milliseconds of a duration such as `1h30m` or `-10ms`; None where it is none."""
    words = str(text or "").strip()
    sign = -1 if words.startswith("-") else 1
    words = words.lstrip("+-")
    found = _PART.findall(words)
    if not found or "".join(number + unit for number, unit in found) != words:
        return 0 if words == "0" else None
    return sign * min(round(sum(float(number) * _MS[unit] for number, unit in found)), _MOST_MS)


def thousandths(text: Any) -> int:
    """A percentage such as `25`, `12.5` or `40%` in thousandths, 0 to 1000."""
    try:
        value = float(str(text or "0").strip().removesuffix("%"))
    except ValueError:
        return 0
    return min(max(round(value * 10), 0), 1000) if isfinite(value) else 0


def size(text: Any, whole: int) -> int:
    """Bytes of a size such as `256MB`, or of `50%` of the whole; all of it where nothing is said."""
    words = str(text or "").strip()
    if not words:
        return whole
    if words.endswith("%"):
        return whole * thousandths(words) // 1000
    found = _SIZE.fullmatch(words)
    return int(float(found[1]) * _STEPS[found[2].upper()]) if found else 0


def rate(text: Any) -> int:
    """Bytes per second of a rate: `1mbps` is a megabyte per second, `1mbit` an eighth of that."""
    found = _RATE.fullmatch(str(text or "").strip())
    if not found:
        return 0
    value = float(found[1]) * 1000 ** ("", "K", "M", "G", "T").index(found[2].upper())
    return max(int(value / 8 if found[3].lower() == "bit" else value), 1)
