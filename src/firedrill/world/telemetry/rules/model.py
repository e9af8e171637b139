"""Rules and alerts as data."""

from __future__ import annotations

from dataclasses import dataclass

from firedrill.world.telemetry.labels import Labels
from firedrill.world.telemetry.promql.nodes import Node


@dataclass(frozen=True, slots=True)
class Rule:
    """A recording rule (`record` is set) or an alerting one (`alert` is).

    Attributes:
        record, alert: the name; one of them is empty.
        text, expression: what is asked.
        for_ms: how long an alert is pending.
        keep_ms: how long it goes on firing when its condition is gone.
        labels, annotations: added; templates in alerts.
    """

    record: str
    alert: str
    text: str
    expression: Node
    for_ms: int = 0
    keep_ms: int = 0
    labels: Labels = ()
    annotations: Labels = ()

    @property
    def name(self) -> str:
        """What it is called."""
        return self.record or self.alert


@dataclass(frozen=True, slots=True)
class Group:
    """Rules that are evaluated one after another at one moment.

    Attributes:
        file: from which it comes.
        interval_ms: between two evaluations; 0 for the common one.
        limit: how many series or alerts a rule may give; 0 for any number.
        offset_ms: how far back its rules look.
    """

    name: str
    file: str
    rules: tuple[Rule, ...]
    interval_ms: int = 0
    limit: int = 0
    offset_ms: int = 0


@dataclass(frozen=True, slots=True)
class Alert:
    """An element of an alerting rule.

    Attributes:
        labels, annotations: with all templates filled in.
        value: of the expression, when it last held.
        state: `pending`, `firing`, or `inactive` once it is resolved.
        since_ms: when its condition began to hold.
        fired_ms, resolved_ms, kept_ms: when it fired, was resolved, and lost its condition; -1 for not yet.
    """

    labels: Labels
    annotations: Labels
    value: float
    state: str
    since_ms: int
    fired_ms: int = -1
    resolved_ms: int = -1
    kept_ms: int = -1


@dataclass(frozen=True, slots=True)
class Health:
    """How a rule fared at its last evaluation: `unknown`, `ok` or `err`; the error; the moment."""

    state: str = "unknown"
    error: str = ""
    at_ms: int = -1
