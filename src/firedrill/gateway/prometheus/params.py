"""Parameters of requests: texts to moments, lengths and matchers, with the complaints of Prometheus."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import parse_qsl

from firedrill.world.telemetry.matching import Matcher
from firedrill.world.telemetry.promql import PromQLError
from firedrill.world.telemetry.promql.lexer import duration_ms
from firedrill.world.telemetry.promql.parser import parse_selector

_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?")
_FINE = re.compile(r"(\.\d{6})\d+")
LONGEST_FORM = 1_000_000
MOST_FIELDS = 1000
FAR_MS = 1 << 53
_EARLIEST = "-292273086-05-16T16:47:06Z"
_LATEST = "292277025-08-18T07:12:54.999999999Z"


@dataclass(frozen=True, slots=True)
class Refused(Exception):
    """An answer that is an error: HTTP status, type, text."""

    status: int
    kind: str
    text: str


def bad(text: str, name: str = "") -> Refused:
    """A request that makes no sense."""
    return Refused(400, "bad_data", f'invalid parameter "{name}": {text}' if name else text)


def of_query(error: PromQLError, name: str = "query") -> Refused:
    """What a query's error is to a client."""
    status = {"bad_data": 400, "timeout": 503}.get(error.kind, 422)
    text = str(error)
    # which parameter is at fault is told of texts, not of what evaluation finds
    return (
        bad(text, name)
        if "parse error" in text or "invalid expression type" in text
        else Refused(status, error.kind, text)
    )


class Params:
    """The fields of a request's form and of its address."""

    def __init__(self, *encoded: str) -> None:
        self._values: dict[str, list[str]] = {}
        for text in encoded:
            if len(text) > LONGEST_FORM:
                raise bad("the form is too large")
            try:
                pairs = parse_qsl(text, keep_blank_values=True, max_num_fields=MOST_FIELDS)
            except ValueError as error:
                raise bad(f"error parsing form values: {error}") from None
            for key, value in pairs:
                self._values.setdefault(key, []).append(value)

    def get(self, name: str, default: str = "") -> str:
        """The first value of a field."""
        found = self._values.get(name)
        return found[0] if found else default

    def all(self, name: str) -> list[str]:
        """All values of a field."""
        return self._values.get(name, [])

    def moment(self, name: str, default: int | None = None) -> int:
        """A time in ms; without a default it has to be there."""
        text = self.get(name)
        if not text and default is not None:
            return default
        try:
            return time_ms(text)
        except ValueError as error:
            told = f"Invalid time value for '{name}': {error}" if default is not None else str(error)
            raise bad(told, name) from None

    def length(self, name: str) -> int:
        """A length of time in ms."""
        try:
            return length_ms(self.get(name))
        except ValueError as error:
            raise bad(str(error), name) from None

    def limit(self, name: str = "limit") -> int:
        """How many at most; 0 for all."""
        text = self.get(name)
        if not text:
            return 0
        if not re.fullmatch(r"[+-]?\d{1,18}", text):
            raise bad(f'strconv.Atoi: parsing "{text}": invalid syntax', name)
        if int(text) < 0:
            raise bad("limit must be non-negative", name)
        return int(text)

    def matchers(self) -> list[tuple[Matcher, ...]]:
        """The selectors of `match[]`."""
        out = []
        for text in self.all("match[]"):
            try:
                matchers = parse_selector(text)
            except PromQLError as error:
                raise bad(str(error), "match[]") from None
            if all(matcher.test()("") for matcher in matchers):
                raise bad("match[] must contain at least one non-empty matcher", "match[]")
            out.append(matchers)
        return out


def time_ms(text: str) -> int:
    """Seconds since 1970, or RFC 3339.

    Raises:
        ValueError: it is neither.
    """
    problem = f'cannot parse "{text}" to a valid timestamp'
    if _NUMBER.fullmatch(text):
        seconds = float(text)
        if not math.isfinite(seconds):
            raise ValueError(problem)
        return max(-FAR_MS, min(FAR_MS, math.floor(seconds * 1000 + 0.5)))
    if text in {_EARLIEST, _LATEST}:
        return -FAR_MS if text == _EARLIEST else FAR_MS
    try:
        moment = datetime.fromisoformat(_FINE.sub(r"\1", text))
    except ValueError:
        raise ValueError(problem) from None
    if moment.tzinfo is None:
        raise ValueError(problem)
    return math.floor(moment.timestamp() * 1000 + 0.5)


def length_ms(text: str) -> int:
    """Seconds, or a duration such as `5m`.

    Raises:
        ValueError: it is neither.
    """
    if _NUMBER.fullmatch(text):
        seconds = float(text)
        if abs(seconds) > FAR_MS / 1000:
            raise ValueError(f'cannot parse "{text}" to a valid duration. It overflows int64')
        return math.floor(seconds * 1000 + 0.5)
    try:
        return duration_ms(text)
    except ValueError:
        raise ValueError(f'cannot parse "{text}" to a valid duration') from None


def known(params: Params, name: str, values: Mapping[str, str]) -> str:
    """One of a few words; nothing is fine as well."""
    text = params.get(name)
    if text and text.lower() not in values:
        raise bad(f'not supported value "{text.lower()}"', name)
    return values.get(text.lower(), "")
