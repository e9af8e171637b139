"""Regular expressions of queries: RE2, whose dialect Loki speaks and which takes linear time on any text.

Python's own `re` would take exponential time on hostile expressions and has another dialect.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

_LONGEST = 8192
_MEMORY = 4 << 20
_WORDS = (
    ("missing ]: ", "missing closing ]: "),
    ("missing ): ", "missing closing ): "),
    ("no argument for repetition operator: ", "missing argument to repetition operator: "),
    ("bad repetition operator: ", "invalid nested repetition operator: "),
    ("invalid perl operator: ", "invalid or unsupported Perl syntax: "),
    ("invalid named capture group: ", "invalid named capture: "),
    ("trailing \\ at end of regexp", "trailing backslash at end of expression: "),
    ("bad repeat count argument: ", "invalid repeat count: "),
    ("invalid repetition size: ", "invalid repeat count: "),
)
"""Complaints of RE2 and of Go's package, which Loki uses."""


@lru_cache(maxsize=512)
def compiled(pattern: str) -> Any:
    """The compiled expression, with the methods of `re.Pattern`.

    Raises:
        ValueError: it is none; the message is that of Go's `regexp`.
    """
    import re2

    if len(pattern) > _LONGEST:
        raise ValueError("error parsing regexp: expression too large")
    options = re2.Options()
    options.log_errors = False
    options.max_mem = _MEMORY
    try:
        return re2.compile(_named(pattern), options)
    except re2.error as error:
        raise ValueError(f"error parsing regexp: {_said(error, pattern)}") from None


@lru_cache(maxsize=512)
def anchored(pattern: str) -> Any:
    """The expression as label matchers use it: all of a text must fit, and dots take line ends.

    Raises:
        ValueError: see `compiled`.
    """
    compiled(pattern)
    return compiled(f"^(?s:{pattern})$")


def _named(pattern: str) -> str:
    """Go takes `(?<name>` for `(?P<name>`, older versions of RE2 do not."""
    return pattern.replace("(?<", "(?P<") if "(?<" in pattern and "(?<=" not in pattern else pattern


def _said(error: Exception, pattern: str) -> str:
    told = error.args[0] if error.args else b""
    text = told.decode("utf-8", "replace") if isinstance(told, bytes) else str(told)
    for theirs, ours in _WORDS:
        if text.startswith(theirs):
            rest = text[len(theirs) :]
            if theirs == "missing ): ":
                rest = pattern
            return f"{ours}`{rest}`"
    head, colon, rest = text.partition(": ")
    return f"{head}: `{rest}`" if colon else text
