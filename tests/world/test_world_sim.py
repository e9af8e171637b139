"""The kernel: time, the queue, named handlers, draws by name."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firedrill.world.sim import (
    EPOCH_MS,
    EventQueue,
    Rng,
    epoch_ms,
    find_handler,
    handler,
    rfc3339,
    rfc3339_micro,
)


def test_times_are_printed_as_kubernetes_prints_them() -> None:
    assert rfc3339(EPOCH_MS) == "2026-01-05T09:00:00Z"
    assert rfc3339(EPOCH_MS + 1999) == "2026-01-05T09:00:01Z"
    assert rfc3339_micro(EPOCH_MS + 250) == "2026-01-05T09:00:00.250000Z"


@given(st.integers(min_value=0, max_value=4_000_000_000))
def test_a_printed_time_reads_back(seconds: int) -> None:
    assert epoch_ms(rfc3339(seconds * 1000)) == seconds * 1000


def test_a_time_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="no time zone"):
        epoch_ms("2026-01-05T09:00:00")


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 3)), max_size=60))
def test_events_come_by_time_then_priority_then_arrival(entries: list[tuple[int, int]]) -> None:
    queue = EventQueue()
    for number, (due, priority) in enumerate(entries):
        queue.push(due, "x", (number,), priority=priority)
    assert queue.events() == sorted(queue.events())
    came = [queue.pop() for _ in range(len(queue))]
    wanted = sorted(range(len(entries)), key=lambda number: (*entries[number], number))
    assert [event[4][0] for event in came] == wanted
    assert queue.next_due() is None


def test_a_fork_of_the_queue_goes_its_own_way() -> None:
    queue = EventQueue()
    queue.push(5, "a")
    twin = queue.fork()
    queue.push(1, "b")
    assert twin.next_due() == 5
    assert queue.next_due() == 1
    twin.push(1, "b")
    assert twin.events() == queue.events()


def test_one_name_means_one_handler() -> None:
    @handler("tests.one")
    def one(_: object) -> None: ...

    assert find_handler("tests.one") is one
    with pytest.raises(ValueError, match=r"two handlers are called 'tests\.one'"):

        @handler("tests.one")
        def two(_: object) -> None: ...

    with pytest.raises(LookupError, match=r"tests\.nobody"):
        find_handler("tests.nobody")


def test_a_draw_depends_on_seed_and_name_alone() -> None:
    first = Rng(7)
    wanted = first.uniform("pull", "pod-1", 0)
    other = Rng(7)
    other.uniform("somebody else")
    assert other.uniform("pull", "pod-1", 0) == wanted
    assert Rng(8).uniform("pull", "pod-1", 0) != wanted


@given(st.integers(), st.text(max_size=20), st.integers(-1000, 1000), st.integers(0, 1000))
def test_draws_stay_in_their_range(seed: int, name: str, low: int, width: int) -> None:
    rng = Rng(seed)
    assert low <= rng.integer(low, low + width, name) <= low + width
    assert 0 <= rng.uniform(name) < 1


def test_draws_are_spread_evenly() -> None:
    rng = Rng(1)
    mean = sum(rng.uniform("mean", number) for number in range(4000)) / 4000
    assert abs(mean - 0.5) < 0.02
    assert {rng.choice("abc", number) for number in range(60)} == {"a", "b", "c"}
    with pytest.raises(IndexError):
        rng.choice("", "nothing")


def test_names_and_uids_look_like_those_of_a_cluster() -> None:
    rng = Rng(3)
    assert len(rng.suffix(5, "pod")) == 5
    assert set("".join(rng.suffix(5, "pod", number) for number in range(200))) <= set(
        "bcdfghjklmnpqrstvwxz2456789"
    )
    uid = rng.uuid("x")
    assert [len(part) for part in uid.split("-")] == [8, 4, 4, 4, 12]
    assert uid[14] == "4"
    assert uid[19] in "89ab"
    assert len(rng.hexadecimal(40, "x")) == 40
