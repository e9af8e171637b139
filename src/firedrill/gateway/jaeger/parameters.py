"""The parameters of Jaeger's requests. Times in µs unless a name says otherwise."""

from __future__ import annotations

import re

import orjson

from firedrill.gateway.loki.wire import Asked, Refusal
from firedrill.world.telemetry.logs.logql.units import go_duration
from firedrill.world.telemetry.traces import Search

_WHOLE = re.compile(r"-?\d{1,19}")
_TRACE = re.compile(r"[0-9a-fA-F]{1,32}")
_LIMIT = 100
_MOST = 1500
_LOOKBACK_MS = 172_800_000


def search(asked: Asked, now_ms: int) -> Search:
    """Which traces are wanted.

    Raises:
        Refusal: 400, something is wrong, in the words of Jaeger.
    """
    service = asked.first("service")
    if not service:
        raise Refusal(400, "parameter 'service' is required")
    end = _moment(asked, "end", now_ms * 1000)
    start = _moment(asked, "start", end - _lookback(asked))
    shortest, longest = _duration(asked, "minDuration"), _duration(asked, "maxDuration")
    if longest and shortest > longest:
        raise Refusal(400, "'maxDuration' should be greater than 'minDuration'")
    return Search(
        service=service,
        operation=asked.first("operation"),
        start=start,
        end=end,
        shortest=shortest,
        longest=longest,
        tags=_tags(asked),
        limit=_limit(asked),
    )


def trace_id(text: str) -> str:
    """An id of 32 lower-case digits.

    Raises:
        Refusal: 400, it is none.
    """
    if not _TRACE.fullmatch(text):
        shown = text[:64]
        if len(text) > 32:
            raise Refusal(400, f"TraceID cannot be longer than 32 hex characters: {shown}")
        raise Refusal(400, f'strconv.ParseUint: parsing "{shown}": invalid syntax')
    return text.lower().rjust(32, "0")


def span_of_time(asked: Asked, now_ms: int) -> tuple[int, int]:
    """(start, end) in ms of a question about dependencies.

    Raises:
        Refusal: 400, they are no numbers.
    """
    end = _whole(asked, "endTs") if asked.first("endTs") else now_ms
    lookback = _whole(asked, "lookback") if asked.first("lookback") else 86_400_000
    return end - lookback, end


def _whole(asked: Asked, name: str) -> int:
    text = asked.first(name)
    if not _WHOLE.fullmatch(text):
        raise Refusal(
            400, f"unable to parse param '{name}': strconv.ParseInt: parsing \"{text[:40]}\": invalid syntax"
        )
    return int(text)


def _moment(asked: Asked, name: str, default: int) -> int:
    return _whole(asked, name) if asked.first(name) else default


def _lookback(asked: Asked) -> int:
    """The interface's `1h` or `2d`, in µs; clients that send a start need none."""
    text = asked.first("lookback")
    found = re.fullmatch(r"(\d{1,6})(ms|[smhdw])", text)
    if found is None:
        return _LOOKBACK_MS * 1000
    sizes = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}
    return int(found[1]) * sizes[found[2]] * 1000


def _duration(asked: Asked, name: str) -> int:
    text = asked.first(name)
    if not text:
        return 0
    try:
        return go_duration(text) // 1000
    except ValueError as error:
        raise Refusal(400, f"unable to parse param '{name}': {error}") from None


def _limit(asked: Asked) -> int:
    if not asked.first("limit"):
        return _LIMIT
    return min(max(_whole(asked, "limit"), 1), _MOST)


def _tags(asked: Asked) -> tuple[tuple[str, str], ...]:
    out: dict[str, str] = {}
    for text in asked.all("tag"):
        key, colon, value = text.partition(":")
        if not colon:
            raise Refusal(400, f"malformed 'tag' parameter, expecting key:value, received: {text[:80]}")
        out[key] = value
    for text in asked.all("tags"):
        try:
            found = orjson.loads(text)
        except orjson.JSONDecodeError as error:
            raise Refusal(400, f"malformed 'tags' parameter, cannot unmarshal JSON: {error}") from None
        if not isinstance(found, dict) or not all(isinstance(value, str) for value in found.values()):
            raise Refusal(
                400,
                "malformed 'tags' parameter, cannot unmarshal JSON: "
                "json: cannot unmarshal value into Go value of type map[string]string",
            )
        out |= found
    return tuple(sorted(out.items()))
