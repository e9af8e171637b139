"""Times as an API server reads them, and how Go's parser says that a text is none."""

from __future__ import annotations

import re
from functools import lru_cache

_TIME = re.compile(r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:[.,]\d+)?(Z|[+-]\d\d:\d\d)", re.ASCII)
_STEPS = (
    (r"\d{4}", "2006"),
    (r"-", "-"),
    (r"\d\d", "01"),
    (r"-", "-"),
    (r"\d\d", "02"),
    (r"T", "T"),
    (r"\d\d", "15"),
    (r":", ":"),
    (r"\d\d", "04"),
    (r":", ":"),
    (r"\d\d", "05"),
    (r"(?:[.,]\d+)?(?:Z|[+-]\d\d:\d\d)", "Z07:00"),
)
_DAYS = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


@lru_cache(maxsize=1024)
def time_problem(text: str, layout: str) -> str:
    """What is wrong with an RFC 3339 time, in the words of Go's `time.Parse`; empty for nothing."""
    match = _TIME.fullmatch(text)
    if match is None:
        rest = text
        for pattern, element in _STEPS:
            found = re.match(pattern, rest, re.ASCII)
            if found is None:
                return f'parsing time "{text}" as "{layout}": cannot parse "{rest}" as "{element}"'
            rest = rest[found.end() :]
        return f'parsing time "{text}": extra text: "{rest}"'
    year, month, day, hour, minute, second = (int(match[index]) for index in range(1, 7))
    leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    checks = (
        ("month", 1 <= month <= 12),
        ("hour", hour < 24),
        ("minute", minute < 60),
        ("second", second < 60),
        ("day", 1 <= day <= _DAYS[(month - 1) % 12] and (month != 2 or day < 29 or leap)),
    )
    for word, good in checks:
        if not good:
            return f'parsing time "{text}": {word} out of range'
    return ""
