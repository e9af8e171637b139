"""Evaluates groups of rules at their moments, and keeps what is pending and firing."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from functools import lru_cache, partial
from hashlib import blake2b
from typing import Any, Self

from firedrill.world.telemetry import labels as label_sets
from firedrill.world.telemetry import promql
from firedrill.world.telemetry.labels import EMPTY, NAME, Labels
from firedrill.world.telemetry.promql.inputs import Inputs, inputs_of
from firedrill.world.telemetry.promql.options import DEFAULT, Options
from firedrill.world.telemetry.rules.model import Alert, Group, Health, Rule
from firedrill.world.telemetry.rules.templates import fill
from firedrill.world.telemetry.store import SeriesStore

_RESOLVED_KEPT_MS = 15 * 60_000
Key = tuple[int, int]
"""Numbers of a group and of a rule in it."""


class RuleBook:
    """All rules of a world and how they stand.

    Attributes:
        groups: in order of their files.
        interval_ms: between two evaluations of a group that names no interval.
    """

    def __init__(self, *, interval_ms: int = 30_000, options: Options = DEFAULT) -> None:
        self.groups: tuple[Group, ...] = ()
        self.interval_ms = interval_ms
        self.options = options
        self._until = -1
        self._active: dict[Key, dict[Labels, Alert]] = {}
        self._written: dict[Key, tuple[Labels, ...]] = {}
        self._health: dict[Key, Health] = {}
        self._inputs: dict[Key, Inputs | None] = {}
        self._before: dict[Key, tuple[int, list[tuple[Labels, float]]]] = {}

    def add(self, groups: Iterable[Group]) -> None:
        """More groups; they begin with the next moment that is theirs."""
        self.groups = (*self.groups, *groups)

    def keep_only(self, alerts: Collection[str]) -> None:
        """Forget all rules but these alerts and the recorded series that they read: forks that are asked for
        little cost little."""
        rules = [rule for group in self.groups for rule in group.rules]
        needed = {rule.name for rule in rules if rule.alert in alerts}
        more = True
        while more:
            texts = [rule.text for rule in rules if rule.name in needed]
            more = False
            for rule in rules:
                if rule.record and rule.name not in needed and any(rule.record in text for text in texts):
                    needed.add(rule.name)
                    more = True
        kept: dict[Key, Key] = {}
        groups: list[Group] = []
        for number, group in enumerate(self.groups):
            places = [index for index, rule in enumerate(group.rules) if rule.name in needed]
            if places:
                kept |= {(number, old): (len(groups), new) for new, old in enumerate(places)}
                groups.append(replace(group, rules=tuple(group.rules[index] for index in places)))
        self.groups = tuple(groups)
        self._inputs, self._before = {}, {}
        self._active = {new: self._active[old] for old, new in kept.items() if old in self._active}
        self._written = {new: self._written[old] for old, new in kept.items() if old in self._written}
        self._health = {new: self._health[old] for old, new in kept.items() if old in self._health}

    # --- reading

    def alerts(self, group: int, rule: int) -> list[Alert]:
        """The pending and firing alerts of a rule, in order of their labels."""
        found = self._active.get((group, rule), {})
        return [found[key] for key in sorted(found) if found[key].state != "inactive"]

    def resolved(self, group: int, rule: int) -> list[Alert]:
        """Alerts that ceased to fire in the last quarter of an hour."""
        found = self._active.get((group, rule), {})
        return [found[key] for key in sorted(found) if found[key].state == "inactive"]

    def all_alerts(self, state: str | None = None) -> list[Alert]:
        """Alerts of all rules, or only those in one state."""
        out = []
        for number, group in enumerate(self.groups):
            for index in range(len(group.rules)):
                out += [a for a in self.alerts(number, index) if state is None or a.state == state]
        return out

    def health(self, group: int, rule: int) -> Health:
        """How a rule fared."""
        return self._health.get((group, rule), Health())

    def interval_of(self, group: Group) -> int:
        """Milliseconds between two evaluations of a group."""
        return group.interval_ms or self.interval_ms

    # --- evaluating

    def advance(self, store: SeriesStore, now_ms: int) -> int:
        """Evaluate all that became due since the last call. The store has to be scraped up to now.

        Returns:
            How many evaluations of groups that were.
        """
        since = self._until if self._until >= 0 else now_ms - 1
        due: list[tuple[int, int]] = []
        for number, group in enumerate(self.groups):
            interval = self.interval_of(group)
            phase = _phase(group.file, group.name, interval)
            first = ((since - phase) // interval + 1) * interval + phase
            due += [(at, number) for at in range(first, now_ms + 1, interval)]
        shared: dict[Any, Any] = {}
        before = -1
        for at, number in sorted(due):
            if at != before:
                shared, before = {}, at
            self._evaluate(store, number, at, shared)
        self._until = max(self._until, now_ms)
        return len(due)

    def _evaluate(self, store: SeriesStore, number: int, at_ms: int, shared: dict[Any, Any]) -> None:
        group = self.groups[number]
        moment = at_ms - group.offset_ms
        memo = shared if not group.offset_ms else {}
        for index, rule in enumerate(group.rules):
            key = (number, index)
            try:
                vector = self._same(store, key, rule, moment)
                if vector is None:
                    found = promql.instant(store, rule.expression, moment, self.options, memo)
                    vector = _elements(found)
                    self._before[key] = (moment, vector)
                elif not vector and not self._active.get(key) and not self._written.get(key):
                    self._health[key] = Health("ok", "", at_ms)
                    continue
                if rule.record:
                    written = self._record(store, rule, vector, at_ms)
                    memo.clear()
                else:
                    written = self._alert(store, key, rule, vector, at_ms)
                count = len(written) if rule.record else len(self.alerts(*key))
                if group.limit and count > group.limit:
                    kind = "series" if rule.record else "alerts"
                    raise promql.PromQLError(f"exceeded limit of {group.limit} with {count} {kind}")
                self._health[key] = Health("ok", "", at_ms)
            except promql.PromQLError as error:
                written = ()
                self._health[key] = Health("err", str(error), at_ms)
                if rule.alert and "limit" in str(error):
                    self._active[key] = {}
            now = frozenset(written)
            for gone in self._written.get(key, ()):
                if gone not in now:
                    store.append_stale(gone, at_ms)
            self._written[key] = tuple(written)

    def _same(
        self, store: SeriesStore, key: Key, rule: Rule, moment: int
    ) -> list[tuple[Labels, float]] | None:
        """The last result of a rule, where nothing that it reads has changed since long before that."""
        kept = self._before.get(key)
        if kept is None or kept[0] > moment:
            return None
        if key not in self._inputs:
            self._inputs[key] = inputs_of(rule.expression)
        inputs = self._inputs[key]
        if inputs is None:
            return None
        # what changes is scraped within one interval, and what ends counts for one more
        since = kept[0] - 2 * store.interval_ms
        holds, known = store.steadiness.holds, store.numbers
        same = all(holds(name, since - reach, known=bool(known(name))) for name, reach in inputs)
        return kept[1] if same else None

    def _record(
        self, store: SeriesStore, rule: Rule, vector: list[tuple[Labels, float]], at_ms: int
    ) -> tuple[Labels, ...]:
        made = [
            label_sets.make({**dict(labels), **dict(rule.labels), NAME: rule.record}) for labels, _ in vector
        ]
        if len(set(made)) < len(made):
            raise promql.PromQLError(
                "vector contains metrics with the same labelset after applying rule labels"
            )
        for labels, (_, value) in zip(made, vector, strict=True):
            store.append(labels, at_ms, value)
        return tuple(made)

    def _alert(
        self, store: SeriesStore, key: Key, rule: Rule, vector: list[tuple[Labels, float]], at_ms: int
    ) -> tuple[Labels, ...]:
        query = partial(_ask, store, at_ms, self.options)
        found: dict[Labels, Alert] = {}
        for labels, value in vector:
            bare = dict(labels)
            bare.pop(NAME, None)
            added = {name: fill(text, bare, value, query) for name, text in rule.labels}
            made = label_sets.make({**bare, **added, "alertname": rule.alert})
            if made in found:
                raise promql.PromQLError(
                    "vector contains metrics with the same labelset after applying alert labels"
                )
            notes = tuple((name, fill(text, bare, value, query)) for name, text in rule.annotations)
            found[made] = Alert(made, notes, value, "pending", at_ms)
        active = _followed(self._active.get(key, {}), found, rule, at_ms)
        self._active[key] = active
        written: list[Labels] = []
        for labels in sorted(active):
            alert = active[labels]
            if alert.state == "inactive":
                continue
            shown = label_sets.make({**dict(labels), "alertstate": alert.state}, "ALERTS")
            kept = label_sets.make(labels, "ALERTS_FOR_STATE")
            store.append(shown, at_ms, 1.0)
            store.append(kept, at_ms, float(alert.since_ms // 1000))
            written += [shown, kept]
        return tuple(written)

    # --- the part

    def fork(self) -> Self:
        """An independent copy."""
        twin = type(self).__new__(type(self))
        twin.__dict__.update(self.__dict__)
        twin._active = {key: dict(alerts) for key, alerts in self._active.items()}
        twin._written, twin._health = dict(self._written), dict(self._health)
        twin._before, twin._inputs = dict(self._before), dict(self._inputs)
        return twin

    def state(self) -> object:
        """Everything that moves, as plain data."""
        alerts = [
            [list(key), [_plain(alert) for _, alert in sorted(active.items())]]
            for key, active in sorted(self._active.items())
        ]
        health = [[list(key), h.state, h.error, h.at_ms] for key, h in sorted(self._health.items())]
        return [self._until, [[group.file, group.name] for group in self.groups], alerts, health]


def _plain(alert: Alert) -> list[Any]:
    times = [alert.since_ms, alert.fired_ms, alert.resolved_ms, alert.kept_ms]
    return [list(alert.labels), repr(alert.value), alert.state, *times]


@lru_cache(maxsize=1024)
def _phase(file: str, name: str, interval: int) -> int:
    """Groups are spread over their interval."""
    digest = blake2b(f"{file};{name}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") % interval // 1000 * 1000


def _elements(answer: promql.Answer) -> list[tuple[Labels, float]]:
    if isinstance(answer, promql.Vector):
        return list(zip(answer.labels, answer.values.tolist(), strict=True))
    if isinstance(answer, promql.Scalar):
        return [(EMPTY, answer.value)]
    raise promql.PromQLError("rule result is not a vector or scalar")


def _ask(store: SeriesStore, at_ms: int, options: Options, text: str) -> list[dict[str, Any]]:
    """A query within a template."""
    try:
        found = _elements(promql.instant(store, text, at_ms, options))
    except promql.PromQLError as error:
        raise ValueError(str(error)) from None
    return [{"Labels": dict(labels), "Value": value} for labels, value in found]


def _followed(
    before: Mapping[Labels, Alert], found: Mapping[Labels, Alert], rule: Rule, at_ms: int
) -> dict[Labels, Alert]:
    """What has become of the alerts of a rule now that these elements are there."""
    out: dict[Labels, Alert] = {}
    for labels, alert in before.items():
        now = found.get(labels)
        if now is not None and alert.state != "inactive":
            kept = replace(alert, value=now.value, annotations=now.annotations, kept_ms=-1)
        elif now is not None:
            kept = now
        else:
            gone = _without_condition(alert, rule, at_ms)
            if gone is None:
                continue
            kept = gone
        out[labels] = kept
    for labels, alert in found.items():
        out.setdefault(labels, alert)
    for labels, alert in out.items():
        holds = labels in found or alert.kept_ms >= 0
        if alert.state == "pending" and holds and at_ms - alert.since_ms >= rule.for_ms:
            out[labels] = replace(alert, state="firing", fired_ms=at_ms)
    return out


def _without_condition(alert: Alert, rule: Rule, at_ms: int) -> Alert | None:
    if alert.state == "firing" and rule.keep_ms:
        since = alert.kept_ms if alert.kept_ms >= 0 else at_ms
        if at_ms - since < rule.keep_ms:
            return replace(alert, kept_ms=since)
    if alert.state == "pending":
        return None
    if alert.state == "inactive":
        return alert if at_ms - alert.resolved_ms <= _RESOLVED_KEPT_MS else None
    return replace(alert, state="inactive", resolved_ms=at_ms)
