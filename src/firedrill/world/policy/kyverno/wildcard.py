"""Wildcards as Kyverno has them: `*` for any text, `?` for exactly one character."""

from __future__ import annotations

import re
from functools import lru_cache


def contains(pattern: str) -> bool:
    """Whether the text holds a wildcard at all."""
    return "*" in pattern or "?" in pattern


@lru_cache(maxsize=8192)
def _parts(pattern: str) -> tuple[str, ...]:
    return tuple(re.sub(r"\*+", "*", pattern).split("*"))


def _at(part: str, text: str, start: int) -> bool:
    end = start + len(part)
    if end > len(text):
        return False
    if "?" not in part:
        return text.startswith(part, start)
    return all(want in ("?", got) for want, got in zip(part, text[start:end], strict=True))


def _find(part: str, text: str, start: int, stop: int) -> int:
    if "?" not in part:
        return text.find(part, start, stop)
    return next((at for at in range(start, stop - len(part) + 1) if _at(part, text, at)), -1)


def match(pattern: str, text: str) -> bool:
    """Whether the whole text fits. Takes at most pattern times text steps."""
    if pattern in ("*", text):
        return True
    if "*" not in pattern:
        return "?" in pattern and len(pattern) == len(text) and _at(pattern, text, 0)
    first, *middle, last = _parts(pattern)
    stop = len(text) - len(last)
    at = len(first)
    if stop < at or not _at(first, text, 0) or not _at(last, text, stop):
        return False
    for part in middle:
        found = _find(part, text, at, stop)
        if found < 0:
            return False
        at = found + len(part)
    return True


def any_match(patterns: object, text: str) -> bool:
    """Whether one of a list of patterns fits; what is no text never does."""
    return isinstance(patterns, list | tuple) and any(
        isinstance(item, str) and match(item, text) for item in patterns
    )
