"""What a model call spent, read from an answer or a stream of any of the three protocols.

Pure functions over decoded JSON, so that the loop and the metering proxy count alike.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from firedrill.core.episode import Tokens

Protocol = Literal["chat", "responses", "anthropic"]
"""OpenAI chat completions, OpenAI responses, Anthropic messages."""
PROTOCOLS: tuple[Protocol, ...] = get_args(Protocol)

CHARS_PER_TOKEN = 4
"""Where an endpoint does not tell: bytes of a request, and characters of an answer."""
_LINE_LIMIT = 8_000_000
_COUNT_LIMIT = 10**12


@dataclass(frozen=True, slots=True)
class Reading:
    """What one call spent.

    ``cost`` is the endpoint's own figure in US dollars, None when it gave none. ``cache_write`` is the
    part of ``tokens.input`` that was written to a prompt cache, which some makers bill apart.
    ``reported`` is False when the answer held no usage at all, and then every count is 0.
    """

    tokens: Tokens = field(default_factory=Tokens)
    cost: float | None = None
    cache_write: int = 0
    reported: bool = False


def read_usage(protocol: Protocol, body: object) -> Reading:
    """Read the usage of a whole answer (a decoded JSON object). Never raises."""
    usage = body.get("usage") if isinstance(body, Mapping) else None
    return _read(protocol, usage)


def usage_from(protocol: Protocol, body: object) -> tuple[Tokens, float | None]:
    """The tokens of a whole answer, and the endpoint's own cost in US dollars if it gave one."""
    reading = read_usage(protocol, body)
    return reading.tokens, reading.cost


class UsageFromStream:
    """Reads the usage out of a stream of server-sent events, fed in chunks of any size.

    Nothing of the stream is kept but the line under way, so memory is bounded.
    """

    def __init__(self, protocol: Protocol) -> None:
        self._protocol = protocol
        self._rest = b""
        self._skipping = False
        self._usage: dict[str, Any] = {}

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes of the stream."""
        lines = (self._rest + chunk).split(b"\n")
        self._rest = lines.pop()
        for line in lines:
            if self._skipping:
                self._skipping = False
            else:
                self._line(line)
        if len(self._rest) > _LINE_LIMIT:
            self._rest, self._skipping = b"", True

    def reading(self) -> Reading:
        """What is known so far: the final figures once the stream has ended."""
        if self._rest and not self._skipping:
            self._line(self._rest)
            self._rest = b""
        return _read(self._protocol, self._usage or None)

    def usage(self) -> tuple[Tokens, float | None]:
        """The same as :func:`usage_from`, for the stream so far."""
        reading = self.reading()
        return reading.tokens, reading.cost

    def _line(self, line: bytes) -> None:
        if not line.startswith(b"data:") or b'"usage"' not in line:
            return
        try:
            event = json.loads(line[5:])
        except (ValueError, RecursionError):
            return
        if not isinstance(event, dict):
            return
        # Anthropic spreads its figures over two events; the later one holds running totals.
        for holder in (event, event.get("response"), event.get("message")):
            usage = holder.get("usage") if isinstance(holder, dict) else None
            if isinstance(usage, dict):
                self._usage.update({key: value for key, value in usage.items() if value is not None})


def _read(protocol: Protocol, usage: object) -> Reading:
    if not isinstance(usage, Mapping) or not usage:
        return Reading()
    return _anthropic(usage) if protocol == "anthropic" else _openai(usage)


def _openai(usage: Mapping[str, Any]) -> Reading:
    """Chat completions and responses differ in the names alone."""
    given = _count(usage, "prompt_tokens", "input_tokens")
    written = _count(usage, "completion_tokens", "output_tokens")
    details_in = _part(usage, "prompt_tokens_details", "input_tokens_details")
    details_out = _part(usage, "completion_tokens_details", "output_tokens_details")
    reasoning = _count(details_out, "reasoning_tokens")
    total = _count(usage, "total_tokens")
    # Some endpoints leave what was thought out of the completion count, but not out of the total.
    if total > given + written:
        written = total - given
    cached = _count(details_in, "cached_tokens") or _count(usage, "prompt_cache_hit_tokens", "cached_tokens")
    return Reading(
        Tokens(input=given, output=written, cached=min(cached, given), reasoning=min(reasoning, written)),
        _cost(usage),
        min(_count(details_in, "cache_write_tokens", "cache_creation_tokens"), given),
        reported=True,
    )


def _anthropic(usage: Mapping[str, Any]) -> Reading:
    """Input tokens come in three disjoint counts: fresh, read from the cache, written to it."""
    cached = _count(usage, "cache_read_input_tokens")
    cache_write = _count(usage, "cache_creation_input_tokens")
    output = _count(usage, "output_tokens")
    thinking = _count(_part(usage, "output_tokens_details"), "thinking_tokens", "reasoning_tokens")
    return Reading(
        Tokens(
            input=_count(usage, "input_tokens") + cached + cache_write,
            output=output,
            cached=cached,
            reasoning=min(thinking, output),
        ),
        _cost(usage),
        cache_write,
        reported=True,
    )


def _cost(usage: Mapping[str, Any]) -> float | None:
    cost = _money(usage.get("cost"))
    upstream = _money(_part(usage, "cost_details").get("upstream_inference_cost"))
    # With one's own key, `cost` is only the router's fee.
    if upstream is not None and usage.get("is_byok") is True:
        return (cost or 0.0) + upstream
    return cost


def _money(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) and value >= 0 else None


def _count(data: Mapping[str, Any], *names: str) -> int:
    for name in names:
        value = data.get(name)
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            continue
        return max(0, min(int(value), _COUNT_LIMIT))
    return 0


def _part(data: Mapping[str, Any], *names: str) -> Mapping[str, Any]:
    for name in names:
        value = data.get(name)
        if isinstance(value, Mapping):
            return value
    return {}
