"""The level of a line, found as Loki finds it: in a field of the line, else by its words."""

from __future__ import annotations

import re

_KEYS = ("level", "severity", "lvl")
_FIELD = re.compile(r"""(?:_text)?["']?\s*[=:]\s*["']?([a-z]+|\d+)""")
_VALUES = {
    "trace": "trace", "trc": "trace", "debug": "debug", "dbg": "debug", "info": "info", "inf": "info",
    "information": "info", "notice": "info",
    "warn": "warn", "wrn": "warn", "warning": "warn", "error": "error", "err": "error",
    "critical": "critical", "crit": "critical", "fatal": "fatal", "panic": "fatal",
    "10": "trace", "20": "debug",
    "30": "info", "40": "warn", "50": "error", "60": "fatal",
}  # fmt: skip
_WORDS = (
    ("fatal", ("fatal", "panic:")),
    ("error", ("error", "err:", "exception", "traceback", " err ")),
    ("warn", ("warn",)),
    ("critical", ("critical",)),
    ("debug", ("debug",)),
    ("info", ("info",)),
)
_KLOG = {"F": "fatal", "E": "error", "W": "warn", "I": "info"}
_LOOKED_AT = 400


def level_of(line: str) -> str:
    """`trace`, `debug`, `info`, `warn`, `error`, `critical`, `fatal` or `unknown`."""
    head = line[:_LOOKED_AT].lower()
    for key in _KEYS:
        at = head.find(key)
        while at >= 0:
            found = _FIELD.match(head, at + len(key))
            if found is not None and found[1] in _VALUES:
                return _VALUES[found[1]]
            at = head.find(key, at + 1)
    if line[1:5].isdigit() and line[:1] in _KLOG:
        return _KLOG[line[0]]
    for level, words in _WORDS:
        for word in words:
            if word in head:
                return level
    return "unknown"
