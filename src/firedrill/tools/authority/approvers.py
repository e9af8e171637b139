"""Who is asked: rules, an on-call lead who takes his time, a webhook, a person at a terminal."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Protocol

from firedrill.core.errors import InputError
from firedrill.tools.authority.matching import Case, fits
from firedrill.tools.authority.model import ApproverSpec, Rule

MINUTE_MS = 60_000
_LONGEST_REASON = 500
_LONGEST_ANSWER = 64 * 1024


@dataclass(frozen=True, slots=True)
class Answer:
    """Yes or no.

    Attributes:
        reason: for whoever asked.
        waited_ms: virtual time until it came.
    """

    approved: bool
    reason: str = ""
    waited_ms: int = 0


class Approver(Protocol):
    """Somebody who can be asked."""

    @property
    def name(self) -> str:
        """As receipts call him."""

    async def ask(self, case: Case, rule: Rule) -> Answer:
        """Whether this may be done. `rule` says why he is asked."""


class Judge:
    """An approver who goes by rules: `lead` says yes where none of them fits, `rules` no."""

    def __init__(self, spec: ApproverSpec) -> None:
        self.name = spec.name or spec.kind
        self._spec = spec

    async def ask(self, case: Case, rule: Rule) -> Answer:
        """See `Approver`."""
        spec = self._spec
        waited = round(spec.minutes * MINUTE_MS)
        for own in spec.rules:
            if fits(own.match, case, permits=own.effect == "allow"):
                return Answer(own.effect == "allow", own.reason or f"{self.name}: {own.name}", waited)
        if spec.kind == "lead":
            return Answer(approved=True, waited_ms=waited)
        return Answer(approved=False, reason=f"{self.name}: nothing speaks for it", waited_ms=waited)


class Webhook:
    """An approver behind an address: gets JSON, answers `{"allow": true|false, "reason": …}`.

    Whatever else comes, or nothing in time, is a no.
    """

    def __init__(self, spec: ApproverSpec) -> None:
        self.name = spec.name or "webhook"
        self._spec = spec

    async def ask(self, case: Case, rule: Rule) -> Answer:
        """See `Approver`."""
        import httpx

        spec = self._spec
        waited = round(spec.minutes * MINUTE_MS)
        try:
            async with (
                asyncio.timeout(spec.timeout),
                httpx.AsyncClient(timeout=spec.timeout, trust_env=False) as client,
                client.stream("POST", spec.url, json=question(case, rule)) as response,
            ):
                raw = await _bounded(response)
                status = response.status_code
        except (TimeoutError, httpx.HTTPError, OSError):
            return Answer(False, f"{self.name} did not answer within {spec.timeout:g} s", waited)
        return replace_wait(read_answer(status, raw, self.name), waited)


async def _bounded(response: Any) -> bytes:
    out = b""
    async for chunk in response.aiter_bytes():
        out += chunk
        if len(out) > _LONGEST_ANSWER:
            break
    return out


def read_answer(status: int, raw: bytes, name: str) -> Answer:
    """The answer of a webhook; a no where it cannot be read."""
    import orjson

    try:
        found = orjson.loads(raw)
    except orjson.JSONDecodeError:
        found = None
    if status != 200 or not isinstance(found, dict) or not isinstance(found.get("allow"), bool):
        return Answer(False, f"{name} gave no answer that can be read (HTTP {status})")
    return Answer(found["allow"], str(found.get("reason") or "")[:_LONGEST_REASON])


def replace_wait(answer: Answer, waited_ms: int) -> Answer:
    """The same answer after another time."""
    return Answer(answer.approved, answer.reason, waited_ms)


class Person:
    """An approver at a terminal.

    Args:
        spec: how long he may take.
        put: shows him a question and gives what he typed.
    """

    def __init__(self, spec: ApproverSpec, put: Callable[[str], Awaitable[str]]) -> None:
        self.name = spec.name or "person"
        self._spec = spec
        self._put = put
        self._one_at_a_time = asyncio.Lock()

    async def ask(self, case: Case, rule: Rule) -> Answer:
        """See `Approver`."""
        waited = round(self._spec.minutes * MINUTE_MS)
        try:
            async with asyncio.timeout(self._spec.timeout), self._one_at_a_time:
                typed = await self._put(sentence(case, rule))
        except TimeoutError:
            return Answer(False, f"{self.name} did not answer within {self._spec.timeout:g} s", waited)
        word, _, reason = typed.strip().partition(" ")
        approved = word.lower() in {"y", "yes", "allow", "approve"}
        return Answer(
            approved, reason.strip()[:_LONGEST_REASON] or ("" if approved else f"{self.name} said no"), waited
        )


def question(case: Case, rule: Rule) -> dict[str, Any]:
    """What an approver is told, as JSON."""
    asked = case.asked
    return {
        "apiVersion": "firedrill/v1",
        "kind": "ApprovalRequest",
        "rule": rule.name,
        "reason": rule.reason,
        "api": asked.api,
        "user": asked.user,
        "actingAs": asked.acting_as,
        "verb": asked.verb,
        "resource": asked.resource,
        "subresource": asked.subresource,
        "namespace": asked.namespace,
        "name": asked.name,
        "count": asked.count,
        "dryRun": asked.dry_run,
        "effects": sorted(case.effects),
        "fields": list(case.fields or ())[:100],
        "targets": [f"{space}/{name}" if space else name for space, name in (case.targets or ())[:100]],
        "command": list(asked.command),
    }


def sentence(case: Case, rule: Rule) -> str:
    """What an approver is told, in one line without control characters."""
    asked = case.asked
    what = f"{asked.resource}/{asked.subresource}" if asked.subresource else asked.resource
    where = f" in {asked.namespace}" if asked.namespace else ""
    many = f" ({asked.count} objects)" if asked.count > 1 else ""
    words = f": {' '.join(asked.command)}" if asked.command else ""
    effects = f" [{', '.join(sorted(case.effects))}]" if case.effects else ""
    who = asked.user or "somebody"
    text = f"{who} asks to {asked.verb} {what} {asked.name}{where}{many}{words}{effects} (rule {rule.name})"
    return "".join(char if char.isprintable() else " " for char in text)[:1000]


def approver_of(spec: ApproverSpec, put: Callable[[str], Awaitable[str]] | None = None) -> Approver:
    """The approver that a policy names.

    Args:
        put: how a person is reached, where there is one.

    Raises:
        InputError: the policy wants a person, and nobody is there.
    """
    if spec.kind == "webhook":
        return Webhook(spec)
    if spec.kind == "person":
        if put is None:
            mend = "use an approver of kind lead, rules or webhook, or run it where somebody can be asked"
            raise InputError("nobody is at a terminal to be asked", field="approver.kind", mend=mend)
        return Person(spec, put)
    return Judge(spec)
