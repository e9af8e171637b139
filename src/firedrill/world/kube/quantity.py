"""Resource quantities (`100m`, `128Mi`, `1e3`) as whole numbers.

Source: the grammar of apimachinery's `resource.Quantity`: a signed number, then a suffix.
"""

from __future__ import annotations

import re
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache

_GRAMMAR = re.compile(r"([+-]?(?:\d+(?:\.\d*)?|\.\d+))(Ki|Mi|Gi|Ti|Pi|Ei|[numkMGTPE]|[eE][+-]?\d{1,3})?")
_BINARY = {"Ki": 1, "Mi": 2, "Gi": 3, "Ti": 4, "Pi": 5, "Ei": 6}
_DECIMAL = {"n": -9, "u": -6, "m": -3, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}


@lru_cache(maxsize=8192)
def parse(text: str | int | float) -> Fraction:
    """The exact value.

    Raises:
        ValueError: the text is no quantity.
    """
    match = _GRAMMAR.fullmatch(str(text)) if len(str(text)) < 64 else None
    if match is None:
        raise ValueError(
            "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
        )
    number, suffix = Fraction(Decimal(match[1])), match[2] or ""
    if suffix in _BINARY:
        return number * Fraction(1024) ** _BINARY[suffix]
    if suffix in _DECIMAL:
        return number * Fraction(10) ** _DECIMAL[suffix]
    if suffix:
        return number * Fraction(10) ** int(suffix[1:])
    return number


@lru_cache(maxsize=8192)
def milli(text: str | int | float) -> int:
    """Thousandths, rounded up (away from what would be free): `100m` is 100, `1` is 1000."""
    return _ceil(parse(text) * 1000)


@lru_cache(maxsize=8192)
def value(text: str | int | float) -> int:
    """Units (bytes, cores, pieces), rounded up."""
    return _ceil(parse(text))


def _ceil(number: Fraction) -> int:
    return -((-number.numerator) // number.denominator)


def from_milli(thousandths: int) -> str:
    """The canonical text of so many thousandths: 1500 is `1500m`, 2000 is `2`."""
    if thousandths % 1000:
        return f"{thousandths}m"
    return from_value(thousandths // 1000)


def from_value(number: int) -> str:
    """The canonical decimal text: 3000 is `3k`, 3001 is `3001`."""
    for suffix, power in (("E", 18), ("P", 15), ("T", 12), ("G", 9), ("M", 6), ("k", 3)):
        if number and number % 10**power == 0:
            return f"{number // 10**power}{suffix}"
    return str(number)


def from_bytes(number: int) -> str:
    """The canonical binary text: 134217728 is `128Mi`."""
    for suffix, power in (("Ei", 6), ("Pi", 5), ("Ti", 4), ("Gi", 3), ("Mi", 2), ("Ki", 1)):
        if number and number % 1024**power == 0:
            return f"{number // 1024**power}{suffix}"
    return str(number)


@lru_cache(maxsize=8192)
def canonical(text: str | int | float) -> str:
    """The text as an API server prints it back: `1000m` is `1`, `0.5` is `500m`, `1024Ki` is `1Mi`."""
    number = parse(text)
    match = _GRAMMAR.fullmatch(str(text))
    suffix = (match[2] or "") if match else ""
    if suffix in _BINARY and abs(number) >= 1024 and number.denominator == 1:
        return from_bytes(number.numerator)
    for digits, unit in ((0, ""), (3, "m"), (6, "u"), (9, "n")):
        scaled = number * 10**digits
        if scaled.denominator == 1:
            return from_value(scaled.numerator) if not unit else f"{scaled.numerator}{unit}"
    return f"{_ceil(number * 10**9)}n"
