"""The level of a line, found as Loki finds it: in a field of the line, else by its words.

Beyond that, the short marks of MongoDB (`"s":"E"`), Redis (`#`), .NET (`fail:`) and Next.js (`⨯`) are known.
"""

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
_STARTS = {"fail: ": "error", "crit: ": "critical", "dbug: ": "debug", "trce: ": "trace", "info: ": "info"}
_MONGODB = re.compile(r'^\{"t":\{[^}]*\},\s*"s":"([A-Z])')
_REDIS = re.compile(r"^\d+:[A-Z] \d\d? [A-Z][a-z]{2} \d{4} [\d:.]+ ([*#])")
_POSTGRES = re.compile(
    r"^[\d-]+ [\d:.]+ [A-Z]{3} \[\d+\][^:]{0,40} (LOG|HINT|DETAIL|STATEMENT|PANIC|FATAL|NOTICE):  "
)
_MARKS = {"F": "fatal", "E": "error", "W": "warn", "I": "info", "D": "debug", "*": "info", "#": "warn"}
_NEXT = {"⨯": "error", "⚠": "warn"}
_KINDS = {"FATAL": "fatal", "PANIC": "fatal"}


def level_of(line: str) -> str:
    """`trace`, `debug`, `info`, `warn`, `error`, `critical`, `fatal` or `unknown`."""
    marked = _marked(line)
    if marked:
        return marked
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


def _marked(line: str) -> str:
    """The level by a mark at the start of the line; empty where there is none."""
    first = line[:1]
    if first == "{":
        found = _MONGODB.match(line)
        return _MARKS.get(found[1], "") if found is not None else ""
    if first == " ":
        return _NEXT.get(line[1:2], "")
    if first.isdigit():
        found = _REDIS.match(line)
        if found is not None:
            return _MARKS[found[1]]
        found = _POSTGRES.match(line)
        return _KINDS.get(found[1], "info") if found is not None else ""
    return _STARTS.get(line[:6], "")
