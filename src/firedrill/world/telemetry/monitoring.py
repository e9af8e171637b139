"""What watches a world: its series, its rules, and what was silenced."""

from __future__ import annotations

from typing import Self

from firedrill.world.telemetry.rules import RuleBook, Silences
from firedrill.world.telemetry.store import SeriesStore


class Monitoring:
    """A Prometheus and an Alertmanager, as state.

    Attributes:
        store: the series.
        rules: rules and alerts.
        silences: of the Alertmanager.
        started_ms: since when it runs; -1 until it is first advanced.
    """

    def __init__(self) -> None:
        self.store = SeriesStore()
        self.rules = RuleBook()
        self.silences = Silences()
        self.started_ms = -1

    def advance(self, now_ms: int) -> None:
        """Scrape what is due and evaluate rules: to be called after producers have written their counters."""
        if self.started_ms < 0:
            self.started_ms = now_ms
        self.store.scrape(now_ms)
        self.rules.advance(self.store, now_ms)

    def fork(self) -> Self:
        """An independent copy."""
        twin = type(self).__new__(type(self))
        twin.store, twin.rules, twin.silences = self.store.fork(), self.rules.fork(), self.silences.fork()
        twin.started_ms = self.started_ms
        return twin

    def state(self) -> object:
        """As plain data, samples as digests."""
        return [self.started_ms, self.store.state(), self.rules.state(), self.silences.state()]
