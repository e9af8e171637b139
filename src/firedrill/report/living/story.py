"""What happened in an episode on a living world, in the order of its clock. No formatting here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal
from urllib.parse import unquote_plus

from firedrill.core.living import BranchMinute, Facts, Price, RequestLine
from firedrill.records.receipt import ReceiptLine

MOST_ACTS = 1_500
"""Requests shown on a page; the run folder has the rest."""
_MOST_TEXT = 20_000
_PLUMBING = frozenset({"api", "apis", "openapi", "version", "healthz", "livez", "readyz"})
_SPOKEN = frozenset({"message", "notice", "summary"})
_DULL = frozenset({"alertname", "severity", "namespace", "cluster", "job", "team", "environment"})
"""Labels that do not tell alerts of one name apart."""

Sort = Literal["read", "write", "asked", "denied", "error"]


@dataclass(frozen=True, slots=True)
class Moment:
    """A moment of the episode that everything else is seen against."""

    id: str
    words: str
    at: int


@dataclass(frozen=True, slots=True)
class AlertRow:
    """One alert and each time that it fired; `ended` is None where it still does at the end."""

    name: str
    about: str
    labels: tuple[tuple[str, str], ...]
    spans: tuple[tuple[int, int | None], ...]
    triggering: bool


@dataclass(frozen=True, slots=True)
class Act:
    """One request."""

    number: int
    sort: Sort
    line: RequestLine
    price: Price | None = None

    @property
    def at(self) -> int:
        """When it arrived."""
        return self.line.at_ms

    @property
    def target(self) -> str:
        """What it was about, in words: an object, a collection, or the path of a query."""
        line = self.line
        if not line.resource:
            return unquote_plus(line.path)  # expressions are there to be read
        what = f"{line.resource}/{line.subresource}" if line.subresource else line.resource
        if line.name:
            what = f"{what} {line.name}"
        return f"{what} in {line.namespace}" if line.namespace else what

    @property
    def plumbing(self) -> bool:
        """Whether it is a client's own: what there is to ask for, and whether anybody answers."""
        line = self.line
        plain = line.api == "kubernetes" and not line.resource and self.sort == "read"
        return plain and line.path.strip("/").partition("/")[0].partition("?")[0] in _PLUMBING


@dataclass(frozen=True, slots=True)
class Said:
    """Something that the agent said, or was told."""

    number: int
    at: int
    who: str
    text: str


@dataclass(frozen=True)
class Story:
    """An episode's facts in the order in which they are told.

    Attributes:
        facts: as recorded.
        moments: in their order.
        alerts: those that somebody was called for first, then by when they fired.
        acts: requests in their order, at most `MOST_ACTS`.
        said: messages whose moment is known, in their order.
        left_out: requests that are not among the acts.
    """

    facts: Facts
    moments: tuple[Moment, ...]
    alerts: tuple[AlertRow, ...]
    acts: tuple[Act, ...]
    said: tuple[Said, ...] = ()
    left_out: int = 0

    @property
    def begin(self) -> int:
        """The moment that times are counted from: the fault."""
        return self.facts.times.tf

    @property
    def end(self) -> int:
        """The last moment: the end of verification."""
        return self.facts.times.tv

    @property
    def start(self) -> int:
        """The first moment that there is something to tell of."""
        before = self.facts.branches.before
        return before[0].at if before else self.begin

    @cached_property
    def whole(self) -> tuple[BranchMinute, ...]:
        """The agent's branch with the minutes before it."""
        return (*self.facts.branches.before, *self.facts.branches.agent)

    @cached_property
    def entries(self) -> tuple[Act | Said, ...]:
        """Requests and messages in one order."""
        return tuple(sorted((*self.said, *self.acts), key=lambda item: item.at))

    @property
    def priced(self) -> bool:
        """Whether requests have prices."""
        return bool(self.facts.prices)

    @property
    def plumbing(self) -> int:
        """How many requests are clients' own."""
        return sum(act.plumbing for act in self.acts)

    def counts(self) -> Mapping[Sort, int]:
        """How many requests there are of each sort."""
        found: dict[Sort, int] = {"read": 0, "write": 0, "asked": 0, "denied": 0, "error": 0}
        for item in self.acts:
            found[item.sort] += 1
        return found


def story_of(facts: Facts, receipt: Iterable[ReceiptLine] = ()) -> Story:
    """The story of an episode.

    Args:
        facts: of it.
        receipt: its lines; those of messages that have an `at_ms` are told between the requests.
    """
    prices = {item.request: item for item in facts.prices}
    acts = tuple(
        Act(number, sort_of(line), line, prices.get(number))
        for number, line in enumerate(facts.requests[:MOST_ACTS])
    )
    return Story(
        facts=facts,
        moments=_moments(facts),
        alerts=_alerts(facts),
        acts=acts,
        said=tuple(_said(receipt)),
        left_out=len(facts.requests) - len(acts),
    )


def sort_of(line: RequestLine) -> Sort:
    """What sort of request it was, by what became of it first and by what it asked for second."""
    if line.refused:
        return "denied"
    if line.code >= 400:
        return "error"
    if line.asked:
        return "asked"
    return "write" if line.writes else "read"


def _moments(facts: Facts) -> tuple[Moment, ...]:
    times = facts.times
    found = [Moment("fault", "fault", times.tf)]
    if times.ta is not None:
        found.append(Moment("alert", "first alert", times.ta))
    found += [
        Moment("start", "agent starts", times.ts),
        Moment("end", "agent ends", times.te),
        Moment("verified", "verified", times.tv),
    ]
    return tuple(sorted(found, key=lambda item: item.at))


def _alerts(facts: Facts) -> tuple[AlertRow, ...]:
    rows: dict[tuple[str, tuple[tuple[str, str], ...]], list[Any]] = {}
    for span in facts.alerts:
        key = span.name, tuple(sorted(span.labels.items()))
        rows.setdefault(key, []).append(span)
    found = [
        AlertRow(
            name=name,
            about=_about(labels),
            labels=labels,
            spans=tuple((item.fired, item.ended) for item in spans),
            triggering=any(item.triggering for item in spans),
        )
        for (name, labels), spans in rows.items()
    ]
    return tuple(sorted(found, key=lambda row: (not row.triggering, row.spans[0][0], row.name, row.about)))


def _about(labels: Sequence[tuple[str, str]]) -> str:
    return " ".join(value for name, value in labels if name not in _DULL and value)


def _said(receipt: Iterable[ReceiptLine]) -> Iterable[Said]:
    number = 0
    for line in receipt:
        at, content = line.payload.get("at_ms"), line.payload.get("content", line.payload.get("text"))
        if line.kind not in _SPOKEN or not isinstance(at, int) or not isinstance(content, str):
            continue
        content = content if content.strip() else _calls(line.payload.get("tool_calls"))
        role = line.payload.get("role", "assistant" if line.kind == "message" else line.kind)
        if content.strip():
            yield Said(number, at, "agent" if role == "assistant" else str(role), content[:_MOST_TEXT])
            number += 1


def _calls(calls: object) -> str:
    """What a message without words calls for."""
    found = [item for item in calls if isinstance(item, Mapping)] if isinstance(calls, list) else []
    return "\n".join(f"{item.get('name', 'a tool')} {item.get('arguments', '')}" for item in found)


__all__ = ["MOST_ACTS", "Act", "AlertRow", "Moment", "Said", "Sort", "Story", "sort_of", "story_of"]
