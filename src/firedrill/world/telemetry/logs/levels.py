"""The level of a line, found as Loki finds it: in a field of the line, else by its words."""

from __future__ import annotations

import re

_FIELD = re.compile(
    r"""(?:^|[\s{,"'])(?:level|lvl|severity|severity_text|loglevel|log\.level|@l|detected_level)["']?\s*[=:]\s*["']?([A-Za-z]+|\d+)""",
    re.IGNORECASE,
)
_VALUES = {
    "trace": "trace", "trc": "trace", "debug": "debug", "dbg": "debug", "info": "info", "inf": "info",
    "information": "info", "notice": "info",
    "warn": "warn", "wrn": "warn", "warning": "warn", "error": "error", "err": "error",
    "critical": "critical", "crit": "critical", "fatal": "fatal", "panic": "fatal",
    "10": "trace", "20": "debug",
    "30": "info", "40": "warn", "50": "error", "60": "fatal",
}  # fmt: skip
_WORDS = (
    ("fatal", re.compile(r"\bfatal\b|^panic:", re.IGNORECASE)),
    ("error", re.compile(r"\berr(?:or)?\b|exception|^traceback|^E\d{4} ", re.IGNORECASE)),
    ("warn", re.compile(r"\bwarn(?:ing)?\b|^W\d{4} ", re.IGNORECASE)),
    ("critical", re.compile(r"\bcritical\b", re.IGNORECASE)),
    ("debug", re.compile(r"\bdebug\b", re.IGNORECASE)),
    ("info", re.compile(r"\binfo\b|^I\d{4} ", re.IGNORECASE)),
)
_LOOKED_AT = 400


def level_of(line: str) -> str:
    """`trace`, `debug`, `info`, `warn`, `error`, `critical`, `fatal` or `unknown`."""
    head = line[:_LOOKED_AT]
    found = _FIELD.search(head)
    if found is not None:
        known = _VALUES.get(found[1].lower())
        if known is not None:
            return known
    for level, words in _WORDS:
        if words.search(head):
            return level
    return "unknown"
