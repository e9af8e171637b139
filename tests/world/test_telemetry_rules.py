"""Rules: files and their mistakes, templates, alerts from pending to resolved, recorded series, silences."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firedrill.core.errors import InputError
from firedrill.world.telemetry import Monitoring, SeriesStore, labels, promql
from firedrill.world.telemetry.matching import Matcher
from firedrill.world.telemetry.rules import RuleBook, Silence, Silences, read_rules
from firedrill.world.telemetry.rules.humane import printf
from firedrill.world.telemetry.rules.templates import check, fill

START = 1_700_000_000_000 // 960_000 * 960_000
FILE = """
groups:
  - name: shop
    interval: 30s
    rules:
      - record: service:errors:ratio
        expr: sum by (service) (rate(errors_total[1m])) / sum by (service) (rate(calls_total[1m]))
        labels: {source: rules}
      - alert: HighErrorRate
        expr: service:errors:ratio > 0.1
        for: 1m
        keep_firing_for: 1m
        labels: {severity: critical, service_name: "{{ $labels.service }}"}
        annotations:
          description: "{{ $labels.service }} fails in {{ $value | humanizePercentage }} of calls"
      - alert: Gone
        expr: absent(calls_total)
"""


class Scene:
    """A service whose errors can be switched on."""

    def __init__(self) -> None:
        self.watch = Monitoring()
        self.watch.rules.add(read_rules(FILE, "shop.yaml"))
        store = self.watch.store
        store.add_target("cart", {"service": "cart"}, START, offset_ms=0)
        self.block = store.block(
            "cart", [labels.make({}, "calls_total"), labels.make({}, "errors_total")], START
        )
        self.now = START

    def run(self, seconds: int, failing: bool) -> None:
        for _ in range(seconds // 5):
            self.now += 5000
            values = self.watch.store.values(self.block)
            values += [50, 25 if failing else 0]
            self.watch.advance(self.now)

    def states(self) -> list[str]:
        return [f"{dict(a.labels)['alertname']} {a.state}" for a in self.watch.rules.all_alerts()]


def test_an_alert_is_pending_then_fires_stays_a_while_and_resolves() -> None:
    scene = Scene()
    scene.run(300, failing=False)
    assert scene.states() == []
    scene.run(60, failing=True)
    assert scene.states() == ["HighErrorRate pending"]
    scene.run(120, failing=True)
    assert scene.states() == ["HighErrorRate firing"]
    (alert,) = scene.watch.rules.all_alerts("firing")
    assert dict(alert.labels) == {
        "alertname": "HighErrorRate", "service": "cart", "service_name": "cart", "severity": "critical", "source": "rules",
    }  # fmt: skip
    assert dict(alert.annotations) == {"description": "cart fails in 50% of calls"}
    assert alert.fired_ms - alert.since_ms == 60_000
    scene.run(90, failing=False)
    assert scene.states() == ["HighErrorRate firing"]
    scene.run(120, failing=False)
    assert scene.states() == []
    (resolved,) = scene.watch.rules.resolved(0, 1)
    assert resolved.resolved_ms > 0
    scene.run(1200, failing=False)
    assert scene.watch.rules.resolved(0, 1) == []


def test_alerts_are_series_that_end_with_them() -> None:
    scene = Scene()
    scene.run(300, failing=True)
    store, now = scene.watch.store, scene.now

    def found(text: str, at: int) -> list[dict[str, str]]:
        answer = promql.instant(store, text, at)
        assert isinstance(answer, promql.Vector)
        return [dict(one) for one in answer.labels]

    assert [one["alertstate"] for one in found("ALERTS", now)] == ["firing"]
    assert [one["alertstate"] for one in found("ALERTS", START + 60_000)] == ["pending"]
    assert found('service:errors:ratio{source="rules"} > 0.4', now)
    answer = promql.instant(store, "ALERTS_FOR_STATE", now)
    assert isinstance(answer, promql.Vector)
    assert answer.values.tolist() == [scene.watch.rules.all_alerts()[0].since_ms // 1000]
    scene.run(300, failing=False)
    assert found("ALERTS", scene.now) == []


def test_a_fork_runs_on_as_its_origin_does() -> None:
    scene = Scene()
    scene.run(200, failing=True)
    twin = Scene()
    twin.watch, twin.now, twin.block = scene.watch.fork(), scene.now, scene.block
    for one in (scene, twin):
        one.run(150, failing=False)
    assert scene.watch.state() == twin.watch.state()
    twin.run(100, failing=True)
    assert scene.watch.state() != twin.watch.state()


def test_how_often_time_is_advanced_does_not_matter_to_rules() -> None:
    store = SeriesStore()
    store.write_samples(
        labels.make({}, "x"), [START + n * 1000 for n in range(600)], [float(n % 70) for n in range(600)]
    )
    text = "groups: [{name: g, rules: [{alert: A, expr: x > 30, for: 20s}, {record: y, expr: x * 2}]}]"
    fine, coarse = RuleBook(), RuleBook()
    twin = store.fork()
    for book in (fine, coarse):
        book.add(read_rules(text, "f"))
        book.advance(store, START)
    for at in range(START, START + 600_000, 1000):
        fine.advance(store, at)
    coarse.advance(twin, START + 599_000)
    assert fine.state() == coarse.state()


def test_a_rule_that_fails_says_why_and_the_others_go_on() -> None:
    store = SeriesStore()
    for one in "ab":
        store.append(labels.make({"a": one}, "x"), START, 1.0)
    book = RuleBook()
    book.add(
        read_rules(
            """
groups:
  - name: g
    limit: 1
    rules:
      - {alert: Same, expr: x, labels: {a: same}}
      - {record: many, expr: x}
      - {record: one, expr: count(x)}
      - {alert: Text, expr: 'x + on() x'}
""",
            "f",
        )
    )
    book.advance(store, START - 1)
    book.advance(store, START + 30_000)
    assert (
        book.health(0, 0).error
        == "vector contains metrics with the same labelset after applying alert labels"
    )
    assert book.health(0, 1).error == "exceeded limit of 1 with 2 series"
    assert book.health(0, 2).state == "ok"
    assert "many-to-many matching not allowed" in book.health(0, 3).error


@pytest.mark.parametrize(
    ("text", "problem", "field"),
    [
        ("groups: 5", "expected a list", "groups"),
        ("other: []", "has the field `groups`", None),
        ("[1]", "has the field `groups`", None),
        ("a: {b", "no YAML", None),
        ("[" * 3000, "deep", None),
        ("a: 1\n---\nb: 2\n", "one document", None),
        ("groups: [{name: '', rules: []}]", "must not be empty", "groups[0].name"),
        ("groups: [{name: a}, {name: a}]", "repeated", "groups[1]"),
        ("groups: [{name: a, rules: [{expr: x}]}]", "must be set", "groups[0].rules[0]"),
        ("groups: [{name: a, rules: [{alert: x, record: y, expr: x}]}]", "only one of", "groups[0].rules[0]"),
        ("groups: [{name: a, rules: [{alert: x}]}]", "'expr' must be set", "groups[0].rules[0].expr"),
        ("groups: [{name: a, rules: [{alert: x, expr: 'x ='}]}]", "could not parse expression: 1:", "groups[0].rules[0].expr"),
        ("groups: [{name: a, rules: [{alert: x, expr: x, for: soon}]}]", "not a valid duration", "groups[0].rules[0].for"),
        ("groups: [{name: a, rules: [{record: x, expr: x, for: 1m}]}]", "invalid field 'for'", "groups[0].rules[0].for"),
        ("groups: [{name: a, rules: [{record: 'x y', expr: x}]}]", "invalid recording rule name", "groups[0].rules[0].record"),
        ("groups: [{name: a, rules: [{alert: x, expr: x, labels: {'a-b': c}}]}]", "invalid label name", "groups[0].rules[0].labels"),
        ("groups: [{name: a, rules: [{alert: x, expr: x, annotations: {a: '{{ if }}'}}]}]", "template of a", "groups[0].rules[0].annotations.a"),
        ("groups: [{name: a, rules: [{alert: x, expr: x, unknown: 1}]}]", "field unknown not found", "groups[0].rules[0]"),
        ("groups: [{name: a, limit: many}]", "expected a number", "groups[0].limit"),
    ],
)  # fmt: skip
def test_mistakes_in_files_are_told_with_their_place(text: str, problem: str, field: str | None) -> None:
    with pytest.raises(InputError) as caught:
        read_rules(text, "rules.yaml")
    assert problem in str(caught.value) and (field is None or field in str(caught.value))


def test_operators_objects_are_read_as_well() -> None:
    text = "kind: PrometheusRule\nspec: {groups: [{name: a, rules: [{record: x, expr: '1'}]}]}"
    assert read_rules(text, "f")[0].rules[0].record == "x"
    assert read_rules("", "f") == ()


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("{{ $labels.pod }} is {{ $value }}", "web-1 is 1234.5678"),
        ("{{ .Labels.pod }}/{{ .Value }}", "web-1/1234.5678"),
        ("{{ $value | humanize }} {{ humanize1024 $value }}", "1.235k 1.206ki"),
        ("{{ $value | humanizeDuration }}", "20m 34s"),
        ("{{ $value | humanizeTimestamp }}", "1970-01-01 00:20:34.568 +0000 UTC"),
        ('{{ printf "%.2f%%" $value }} {{ printf "%5.1f|%-6s|%q" 1.25 "a" "b" }}', '1234.57%   1.2|a     |"b"'),
        ('{{ if eq $labels.pod "web-1" }}yes{{ else }}no{{ end }}', "yes"),
        ("{{ if gt $value 2000.0 }}a{{ else if lt $value 1500.0 }}b{{ else }}c{{ end }}", "b"),
        ("{{ with $labels.missing }}x{{ else }}none{{ end }}", "none"),
        ("a {{- /* note */ -}} b{{ $labels.missing }}", "ab"),
        ("{{ range $k, $v := $labels }}{{ $k }}={{ $v }};{{ end }}", "ns=shop;pod=web-1;"),
        ('{{ with query "up" }}{{ . | first | value | humanize }}{{ end }}', "2"),
        ('{{ range query "up" }}{{ .Labels.job }}:{{ .Value }} {{ end }}', "a:2 b:3 "),
        ('{{ query "up" | sortByLabel "job" | first | label "job" }}', "a"),
        ('{{ reReplaceAll "web-(.*)" "pod $1" $labels.pod }}', "pod 1"),
        ("{{ $labels.pod | toUpper | printf \"<%s>\" }}", "<WEB-1>"),
        ("{{ $x := $labels.pod }}{{ $x }}{{ len $x }}", "web-15"),
        ('{{ ($labels.pod) }}{{ index $labels "ns" }}', "web-1shop"),
        ('{{ if and (ne $labels.ns "x") (not $labels.y) }}ok{{ end }}', "ok"),
        ("{{ $labels.pod | unknown }}", '<error expanding template: function "unknown" not defined>'),
        ("{{ $nothing }}", '<error expanding template: undefined variable "$nothing">'),
        ('{{ query "none" | first | value }}', "<error expanding template: first() called on vector with no elements>"),
        ("no action", "no action"),
    ],
)  # fmt: skip
def test_templates(template: str, expected: str) -> None:
    def query(text: str) -> list[dict[str, object]]:
        return (
            [{"Labels": {"job": j}, "Value": v} for j, v in (("a", 2.0), ("b", 3.0))] if text == "up" else []
        )

    assert fill(template, {"pod": "web-1", "ns": "shop"}, 1234.5678, query) == expected


@pytest.mark.parametrize(
    "template",
    [
        "{{",
        "{{ if $x }}",
        "{{ end }}",
        "{{ else }}",
        "{{ }}",
        "{{ $x ! }}",
        "{{ range",
        "{{ if a }}{{ else for }}{{ end }}",
    ],
)
def test_templates_that_cannot_be_read(template: str) -> None:
    assert check(template)


@given(st.text(alphabet='{}$.|()":=- \n/*abelsngvuirfwthd1%', max_size=60))
def test_any_template_is_filled_in_or_refused(template: str) -> None:
    if not check(template):
        fill(template, {"a": "b"}, 1.0, lambda _: [])


@pytest.mark.parametrize(("form", "args", "expected"), [("%d", (1.0,), "%!d(float64=1)"), ("%s %s", ("a",), "a %!s(MISSING)"), ("x", (1,), "x%!(EXTRA 1)"), ("%v", (1e21,), "1e+21"), ("%v", (0.00001,), "1e-05"), ("%99999f", (1.0,), "%!f(BADWIDTH)")])  # fmt: skip
def test_formats(form: str, args: tuple[object, ...], expected: str) -> None:
    assert printf(form, *args) == expected


def test_silences_begin_end_and_are_changed() -> None:
    silences = Silences()
    made = Silence(
        "",
        (Matcher("alertname", "=", "A"), Matcher("pod", "=~", "web-.*")),
        START,
        START + 1000,
        0,
        "me",
        "why",
    )
    first = silences.put(made, START)
    fits = labels.make({"alertname": "A", "pod": "web-1"})
    assert silences.silencing(fits, START) == [first]
    assert silences.silencing(labels.make({"alertname": "A"}), START) == []
    assert silences.silencing(fits, START + 1000) == []
    twin = silences.fork()
    assert twin.expire(first, START + 10) and not twin.expire(first, START + 20)
    assert twin.silencing(fits, START + 10) == [] and silences.silencing(fits, START + 10) == [first]
    longer = Silence(first, made.matchers, START, START + 9000, 0, "me", "longer")
    assert silences.put(longer, START + 10) == first
    other = Silence(first, (Matcher("alertname", "=", "B"),), START, START + 9000, 0, "me", "other")
    second = silences.put(other, START + 20)
    assert second != first and silences.get(first).state(START + 20) == "expired"  # type: ignore[union-attr]
    with pytest.raises(KeyError):
        silences.put(Silence("unknown", (), 0, 1, 0, "", ""), START)
