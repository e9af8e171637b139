"""PromQL without a real Prometheus beside it: values worked out by hand, forms of trees, hostile texts."""

from __future__ import annotations

import math
import string
import time
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from firedrill.world.telemetry import SeriesStore, labels, promql
from firedrill.world.telemetry.promql.nodes import Aggregate, Binary, Call, Matrix, Node, Number, Subquery
from firedrill.world.telemetry.promql.printer import pretty, show
from firedrill.world.telemetry.selection import FAR, one_series

START = 1_700_000_000_000 // 960_000 * 960_000
MINUTE = 60_000
FOLDER = Path(__file__).parents[1] / "conformance" / "data" / "promql"
EXPRESSIONS = [
    text
    for group in yaml.safe_load((FOLDER / "expressions.yaml").read_text(encoding="utf-8"))
    for text in group["expressions"]
]
MISTAKES = yaml.safe_load((FOLDER / "mistakes.yaml").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def store() -> SeriesStore:
    made = SeriesStore()
    times = [START + n * 15_000 for n in range(41)]
    for pod, rate in (("a", 1.0), ("b", 2.0), ("c", 4.0)):
        series = labels.make({"pod": pod, "team": "red" if pod != "c" else "blue"}, "hits_total")
        made.write_samples(series, times, [rate * 15 * n for n in range(41)])
    made.write_samples(labels.make({}, "reset_total"), times, [float(n % 10) for n in range(41)])
    for pod in "ab":
        made.write_samples(labels.make({"pod": pod, "node": f"node-{pod}"}, "pod_info"), times, [1.0] * 41)
    for le, count in (("0.1", 10.0), ("0.5", 30.0), ("1", 40.0), ("+Inf", 40.0)):
        made.write_samples(labels.make({"le": le}, "latency_bucket"), times, [count] * 41)
    return made


def value(
    store: SeriesStore, text: str, at: int = START + 10 * MINUTE, options: promql.Options = promql.DEFAULT
) -> dict[str, float]:
    found = promql.instant(store, text, at, options)
    if isinstance(found, promql.Scalar):
        return {"scalar": found.value}
    assert isinstance(found, promql.Vector)
    return {
        labels.text_of(one): number for one, number in zip(found.labels, found.values.tolist(), strict=True)
    }


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "rate(hits_total[5m])",
            {'{pod="a", team="red"}': 1, '{pod="b", team="red"}': 2, '{pod="c", team="blue"}': 4},
        ),
        ("increase(hits_total{pod='a'}[5m])", {'{pod="a", team="red"}': 300}),
        ("sum by (team) (rate(hits_total[5m]))", {'{team="red"}': 3, '{team="blue"}': 4}),
        ("sum(hits_total) / 600", {"{}": 7}),
        ("resets(reset_total[5m])", {"{}": 2}),
        ("increase(reset_total[150s])", {"{}": 9}),
        ("topk(1, hits_total)", {'hits_total{pod="c", team="blue"}': 2400}),
        (
            "rate(hits_total[5m]) * on (pod) group_left (node) pod_info",
            {'{node="node-a", pod="a", team="red"}': 1, '{node="node-b", pod="b", team="red"}': 2},
        ),
        ("hits_total unless on (pod) pod_info", {'hits_total{pod="c", team="blue"}': 2400}),
        ("histogram_quantile(0.5, latency_bucket)", {"{}": 0.1 + 0.4 * 10 / 20}),
        ("histogram_quantile(0.99, latency_bucket)", {"{}": 0.5 + 0.5 * 9.6 / 10}),
        ("max_over_time(sum(rate(hits_total[1m]))[5m:30s])", {"{}": 7}),
        ("predict_linear(hits_total{pod='b'}[5m], 60)", {'{pod="b", team="red"}': 1320}),
        ("absent(nothing{job='x'})", {'{job="x"}': 1}),
        ("count_values('v', pod_info)", {'{v="1"}': 2}),
        ("quantile(0.5, hits_total)", {"{}": 1200}),
        ("stddev(hits_total{pod!='c'})", {"{}": 300}),
        (
            "limitk(2, hits_total)",
            {'hits_total{pod="a", team="red"}': 600, 'hits_total{pod="b", team="red"}': 1200},
        ),
        ("scalar(hits_total{pod='a'}) * 2", {"scalar": 1200}),
        ("hits_total offset 5m > 1000", {'hits_total{pod="c", team="blue"}': 1200}),
        ("hits_total{pod='a'} @ 0", {}),
        ("hour() + minute() * 0", {"{}": (START + 10 * MINUTE) // 3_600_000 % 24}),
        ("double_exponential_smoothing(hits_total{pod='a'}[5m], 0.5, 0.5)", {'{pod="a", team="red"}': 600}),
    ],
)
def test_values(store: SeriesStore, text: str, expected: dict[str, float]) -> None:
    assert value(store, text) == pytest.approx(expected)


def test_ranges_are_instants_at_every_step(store: SeriesStore) -> None:
    for text in EXPRESSIONS[::7]:
        try:
            found = promql.over_range(store, text, START, START + 5 * MINUTE, 47_000)
        except promql.PromQLError:
            continue
        for step in range(0, 5 * MINUTE + 1, 47_000):
            now = promql.instant(store, text, START + step)
            if "start()" in text or "end()" in text or not isinstance(now, promql.Vector):
                continue
            here = {
                series.labels: number
                for series in found.series
                for at, number in zip(series.times.tolist(), series.values.tolist(), strict=True)
                if at == START + step
            }
            expected = dict(zip(now.labels, now.values.tolist(), strict=True))
            assert here == pytest.approx(expected, nan_ok=True), text


def test_precedence() -> None:
    tree = promql.parse("foo + 2 * 3 ^ 2 ^ 1 > bool 4 and up or down")
    assert isinstance(tree, Binary) and tree.op == "or"
    assert isinstance(tree.lhs, Binary) and tree.lhs.op == "and"
    power = promql.parse("2 ^ 3 ^ 4")
    assert isinstance(power, Binary) and isinstance(power.rhs, Binary) and isinstance(power.lhs, Number)


def test_trees_say_what_the_text_says() -> None:
    tree = promql.parse("sum by (a) (rate(foo{b!~'x.*'}[5m] offset -1m @ end()))")
    assert isinstance(tree, Aggregate) and tree.grouping == ("a",)
    assert isinstance(tree.expr, Call) and isinstance(tree.expr.args[0], Matrix)
    selector = tree.expr.args[0].vector
    assert (tree.expr.args[0].range_ms, selector.offset_ms, selector.at) == (300_000, -60_000, "end")
    query = promql.parse("foo[1h:30s]")
    assert isinstance(query, Subquery) and (query.range_ms, query.step_ms) == (3_600_000, 30_000)


@pytest.mark.parametrize("text", EXPRESSIONS)
def test_what_is_printed_reads_back_as_the_same(text: str) -> None:
    try:
        tree = promql.parse(text)
    except promql.ParseError:
        return
    for again in (show(tree), pretty(tree)):
        assert same(promql.parse(again), tree), again


def same(a: Node, b: Node) -> bool:
    return show(a) == show(b)


@pytest.mark.parametrize("text", MISTAKES)
def test_mistakes_are_told_with_their_place(text: str) -> None:
    try:
        promql.parse(text)
    except promql.ParseError as error:
        assert ": parse error: " in str(error)


@given(
    st.text(alphabet=string.printable + "é→", max_size=60)
    | st.text(alphabet="fo()[]{}+-*/^=~!\"'1m5:,@ bysumnrate", max_size=40)
)
@settings(max_examples=400)
def test_any_text_is_parsed_or_refused(text: str) -> None:
    try:
        promql.parse(text)
    except promql.ParseError as error:
        assert error.position <= len(text)


@pytest.mark.parametrize(
    "text",
    ["(" * 5000 + "1" + ")" * 5000, "-" * 20_000 + "1", "a" * 200_000, "1" + "+1" * 30_000, "sum(" * 500],
)
def test_monstrous_texts_are_refused_quickly(store: SeriesStore, text: str) -> None:
    begin = time.process_time()
    with pytest.raises(promql.PromQLError):
        promql.instant(store, text, START)
    assert time.process_time() - begin < 5


def test_hostile_expressions_take_no_time(store: SeriesStore) -> None:
    made = SeriesStore()
    made.append(labels.make({"a": "x" * 40}, "foo"), START, 1.0)
    begin = time.process_time()
    for text in ('foo{a=~"(x+x+)+y"}', 'foo{a=~"(x*)*(x*)*(x*)*y"}', 'foo{a!~"(x|x|xx)+y"}'):
        promql.instant(made, text, START)
    with pytest.raises(promql.PromQLError, match="invalid regular expression"):
        promql.instant(made, 'label_replace(foo, "b", "$1", "a", "(x+x+)+y")', START)
    assert time.process_time() - begin < 2


def test_queries_that_would_take_too_much_are_refused(store: SeriesStore) -> None:
    small = promql.Options(most_cells=1000)
    with pytest.raises(promql.TooMuch, match="too many samples"):
        promql.over_range(store, "hits_total", START, START + 600_000, 1000, small)
    with pytest.raises(promql.TooMuch):
        promql.instant(store, "max_over_time(vector(1)[100y:1ms])", START)
    with pytest.raises(promql.BadQuery, match="11,000"):
        promql.over_range(store, "1", START, START + 11_001_000, 1000)


def test_markers_end_series_at_once_but_stay_in_ranges(store: SeriesStore) -> None:
    made = SeriesStore()
    made.add_target("pod", {"job": "x"}, START, offset_ms=0)
    block = made.block("pod", [labels.make({}, "hits_total")], START)
    for slot in range(8):
        made.values(block)[:] = slot
        made.scrape(START + slot * 15_000)
    made.retire(block, START + 7 * 15_000 + 1)
    made.scrape(START + 9 * 15_000)
    assert value(made, "hits_total", START + 8 * 15_000 - 1) == {'hits_total{job="x"}': 7}
    assert value(made, "hits_total", START + 8 * 15_000) == {}
    assert value(made, "count_over_time(hits_total[5m])", START + 8 * 15_000) == {'{job="x"}': 8}


def test_versions_differ_at_the_edge_of_windows(store: SeriesStore) -> None:
    at = START + 5 * MINUTE
    two, three = promql.dialect("2.53.3"), promql.dialect("3.5.3")
    for options, expected in ((two, 5), (three, 4)):
        found = promql.instant(store, "count_over_time(reset_total[1m])", at, options)
        assert isinstance(found, promql.Vector) and found.values.tolist() == [expected]
    with pytest.raises(ValueError, match="no version"):
        promql.dialect("latest")


def test_a_string_is_an_answer(store: SeriesStore) -> None:
    found = promql.instant(store, '"text"', START)
    assert isinstance(found, promql.Text) and found.value == "text"
    with pytest.raises(promql.BadQuery, match='"string" for range query'):
        promql.over_range(store, '"text"', START, START, 1000)
    assert math.isnan(value(store, "0 / 0")["scalar"])


@given(
    st.lists(
        st.tuples(st.sampled_from("ab"), st.sampled_from(["down", "up", "retire", "add", "wait"])),
        max_size=25,
    ),
    st.sampled_from([promql.dialect("2.53.0"), promql.dialect("3.5.0")]),
)
@settings(max_examples=60)
def test_series_that_went_and_returned_are_read_as_if_written_one_by_one(
    actions: list[tuple[str, str]], options: promql.Options
) -> None:
    scraped = SeriesStore()
    alive: dict[str, int] = {}
    for name in "ab":
        scraped.add_target(name, {"job": name}, START, offset_ms=3000)
        alive[name] = scraped.block(name, [labels.make({}, "hits_total")], START)
    now = START
    for name, action in actions:
        if action in {"down", "up"}:
            scraped.set_up(name, action == "up", now)
        elif action == "retire" and name in alive:
            scraped.retire(alive.pop(name), now)
        elif action == "add" and name not in alive:
            alive[name] = scraped.block(name, [labels.make({}, "hits_total")], now)
        for _ in range(3):
            for block in alive.values():
                scraped.values(block)[:] += 1 + (now // 15_000) % 3
            now += 15_000
            scraped.scrape(now)
    single = SeriesStore()
    for number in scraped.numbers(None):
        times, values, ends = one_series(scraped, number)
        for at, number_, end in zip(times.tolist(), values.tolist(), ends.tolist(), strict=True):
            single.append(scraped.labels(number), at, number_)
            if end < FAR:
                single.append_stale(scraped.labels(number), end)
    for text in (
        "hits_total",
        "up",
        "rate(hits_total[1m])",
        "count_over_time(hits_total[2m])",
        "timestamp(hits_total)",
    ):
        for at in range(START, now + 60_000, 23_000):
            assert value(scraped, text, at, options) == value(single, text, at, options), (text, at - START)
        over = [
            promql.over_range(one, text, START, now + 60_000, 17_000, options) for one in (scraped, single)
        ]
        assert [[s.labels, s.times.tolist(), s.values.tolist()] for s in over[0].series] == [
            [s.labels, s.times.tolist(), s.values.tolist()] for s in over[1].series
        ]
