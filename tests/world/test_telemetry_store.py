"""The series store: scrapes, lives of series, forks, retention, and what selections give."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from firedrill.world.telemetry import SeriesStore, labels
from firedrill.world.telemetry.matching import Matcher
from firedrill.world.telemetry.selection import FAR, one_series

START = 1_700_000_000_000 // 960_000 * 960_000
NAMED = Matcher("__name__", "=", "hits_total")


def store_with(*names: str, offset: int = 0, **options: int) -> tuple[SeriesStore, int]:
    store = SeriesStore(**options)
    store.add_target("pod", {"job": "api", "instance": "pod:80"}, START, offset_ms=offset)
    return store, store.block("pod", [labels.make({"path": name}, "hits_total") for name in names], START)


def run(store: SeriesStore, first: int, last: int, block: int | None = None) -> None:
    """Scrape every interval; each value is the number of its interval."""
    for slot in range(first, last):
        if block is not None:
            store.values(block)[:] = slot
        store.scrape(START + slot * store.interval_ms + store.interval_ms - 1)


def only(store: SeriesStore, *matchers: Matcher) -> tuple[list[int], list[float]]:
    ((_, times, values),) = store.select(matchers or (NAMED,), 0, 1 << 60)
    return ((times - START) // store.interval_ms).tolist(), values.tolist()


def test_a_scrape_takes_what_the_producer_wrote_at_the_targets_offset() -> None:
    store, block = store_with("/", offset=4000)
    run(store, 0, 200, block)
    ((found, times, values),) = store.select([NAMED], START, START + 200 * 15_000)
    assert dict(found) == {"__name__": "hits_total", "job": "api", "instance": "pod:80", "path": "/"}
    assert (times - START).tolist() == [4000 + slot * 15_000 for slot in range(200)]
    assert values.tolist() == [float(slot) for slot in range(200)]


def test_targets_are_up_until_their_scrapes_fail() -> None:
    store, block = store_with("/")
    run(store, 0, 3, block)
    store.set_up("pod", False, START + 3 * 15_000)
    run(store, 3, 5, block)
    store.set_up("pod", True, START + 5 * 15_000)
    run(store, 5, 7, block)
    assert only(store) == ([0, 1, 2, 5, 6], [0, 1, 2, 5, 6])
    assert only(store, Matcher("__name__", "=", "up")) == ([0, 1, 2, 3, 4, 5, 6], [1, 1, 1, 0, 0, 1, 1])


def test_a_retired_series_ends_with_a_marker_and_may_return() -> None:
    store, block = store_with("/")
    run(store, 0, 4, block)
    store.retire(block, START + 4 * 15_000)
    run(store, 4, 8)
    again = store.block("pod", [labels.make({"path": "/"}, "hits_total")], START + 8 * 15_000)
    run(store, 8, 10, again)
    assert only(store) == ([0, 1, 2, 3, 8, 9], [0, 1, 2, 3, 8, 9])
    (number,) = store.numbers("hits_total")
    _, _, ends = one_series(store, number)
    assert ends.tolist() == [FAR, FAR, FAR, START + 4 * 15_000, FAR, FAR]


def test_counters_of_a_block_start_anew() -> None:
    store, block = store_with("/", "/cart")
    store.values(block)[:] = [3, 4]
    store.restart(block)
    assert store.values(block).tolist() == [0, 0]


def test_a_fork_and_its_origin_go_their_own_ways() -> None:
    store, block = store_with("/")
    run(store, 0, 100, block)
    store.append((("__name__", "rule"),), START, 1.0)
    twin = store.fork()
    assert twin.state() == store.state()
    run(store, 100, 130, block)
    store.append((("__name__", "rule"),), START + 1, 2.0)
    run(twin, 100, 110)
    twin.append((("__name__", "rule"),), START + 5, 3.0)
    assert only(store)[1][-1] == 129
    assert only(twin)[1][100:] == [99.0] * 10
    assert store.select([Matcher("__name__", "=", "rule")], 0, 1 << 60)[0][2].tolist() == [1, 2]
    assert twin.select([Matcher("__name__", "=", "rule")], 0, 1 << 60)[0][2].tolist() == [1, 3]


def test_sealed_chunks_are_shared_by_forks() -> None:
    store, block = store_with("/")
    run(store, 0, 300, block)
    twin = store.fork()
    assert store._sealed and all(twin._sealed[index] is chunk for index, chunk in store._sealed.items())


def test_old_chunks_go_and_memory_stays_bounded() -> None:
    store, block = store_with("/", retention_ms=64 * 15_000)
    store.write_samples((("__name__", "single"),), [START, START + 1], [1.0, 2.0])
    run(store, 0, 1000, block)
    slots, values = only(store)
    assert len(store._sealed) <= 2
    assert slots[0] >= 1000 - 3 * 64 and slots == [int(value) for value in values] and slots[-1] == 999
    assert store.select([Matcher("__name__", "=", "single")], 0, 1 << 60) == []


def test_samples_out_of_order_are_refused() -> None:
    store = SeriesStore()
    made = labels.make({}, "single")
    store.append(made, START + 10, 1.0)
    store.append(made, START + 10, 2.0)
    store.append(made, START + 5, 3.0)
    assert store.select([Matcher("__name__", "=", "single")], 0, 1 << 60)[0][2].tolist() == [1.0]
    with pytest.raises(ValueError, match="older"):
        store.write_samples(made, [START], [1.0])
    with pytest.raises(ValueError, match="rising"):
        store.write_samples(made, [START + 30, START + 20], [1.0, 2.0])


def test_unknown_and_doubled_targets_are_refused() -> None:
    store, _ = store_with("/")
    with pytest.raises(ValueError, match="exists"):
        store.add_target("pod", {}, START)
    with pytest.raises(KeyError):
        store.block("other", [], START)
    with pytest.raises(ValueError, match="same labels"):
        store.block("pod", [labels.make({}, "x"), labels.make({}, "x")], START)


def test_offsets_of_targets_differ_and_do_not_change() -> None:
    store = SeriesStore()
    offsets = [store.add_target(f"pod-{n}", {}, START).offset_ms for n in range(50)]
    other = SeriesStore()
    assert len(set(offsets)) > 45 and max(offsets) < 15_000
    assert offsets == [other.add_target(f"pod-{n}", {}, START).offset_ms for n in range(50)]


@given(
    st.lists(
        st.tuples(
            st.sampled_from("abcd"), st.sampled_from(["add", "retire", "down", "up", "scrape", "fork"])
        ),
        max_size=60,
    )
)
def test_whatever_happens_samples_are_those_of_a_plain_list(steps: list[tuple[str, str]]) -> None:
    store = SeriesStore()
    plain: dict[str, list[tuple[int, float]]] = {}
    alive: dict[str, int] = {}
    for name in "abcd":
        store.add_target(name, {"job": name}, START, offset_ms=ord(name) * 100)
    up = dict.fromkeys("abcd", True)
    for number, (name, action) in enumerate(steps):
        now = START + number * 15_000
        if action == "add" and name not in alive:
            alive[name] = store.block(name, [labels.make({}, "hits_total")], now)
        elif action == "retire" and name in alive:
            store.retire(alive.pop(name), now)
        elif action in {"up", "down"}:
            up[name] = action == "up"
            store.set_up(name, up[name], now)
        elif action == "fork":
            store = store.fork()
        for one, block in alive.items():
            store.values(block)[:] = number
            if up[one]:
                plain.setdefault(one, []).append((now + ord(one) * 100, float(number)))
        store.scrape(now + 14_999)
    for name in "abcd":
        matchers = [NAMED, Matcher("job", "=", name)]
        found = store.select(matchers, 0, 1 << 60)
        samples = list(zip(found[0][1].tolist(), found[0][2].tolist(), strict=True)) if found else []
        assert samples == plain.get(name, [])


def test_gathers_over_chunks_equal_single_reads() -> None:
    store, block = store_with(*[f"/{n}" for n in range(40)])
    rng = np.random.default_rng(3)
    for slot in range(150):
        store.values(block)[:] = rng.random(40)
        store.scrape(START + slot * 15_000 + 14_999)
    rows = np.array([3, 17, 5, 39], np.int64)
    first = START // 15_000
    many = store.gather(rows, first, first + 150)
    for place, row in enumerate(rows.tolist()):
        assert many[place].tolist() == store.gather(np.array([row]), first, first + 150)[0].tolist()


def test_rows_that_are_gone_take_no_room_in_later_chunks() -> None:
    store, lasting = store_with("/")
    families = [labels.make({"n": str(n)}, "busy_total") for n in range(20)]
    for slot in range(400):
        now = START + slot * 15_000
        store.add_target(f"pod-{slot}", {"pod": f"pod-{slot}"}, now, offset_ms=1000)
        block = store.block(f"pod-{slot}", families, now)
        store.values(block)[:] = slot
        store.values(lasting)[:] = slot
        store.scrape(now + 14_999)
        store.remove_target(f"pod-{slot}", now + 14_999)
    sizes = [len(chunk.data) for chunk in store._sealed.values()]
    assert len(sizes) == 6 and max(sizes) < 64 * 22
    assert only(store) == (list(range(400)), [float(slot) for slot in range(400)])
    for slot in (3, 100, 399):
        matchers = [Matcher("__name__", "=", "busy_total"), Matcher("pod", "=", f"pod-{slot}")]
        found = store.select(matchers, 0, 1 << 60)
        assert [values.tolist() for _, _, values in found] == [[float(slot)]] * 20
