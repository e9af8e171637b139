"""Addresses in variables and flags in files: whatever somebody writes is understood, or means nothing."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from firedrill.world.app import load_package, rows
from firedrill.world.app.address import Address, parse_address
from firedrill.world.app.flags import _from_file, _number, apply_flags
from firedrill.world.app.graph import compile_graph
from firedrill.world.app.tables import draw


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("cart", Address("cart", 1)),
        ("cart:7070", Address("cart", 7070)),
        (" cart.shop.svc.cluster.local:80 ", Address("cart.shop.svc.cluster.local", 80)),
        ("http://email:8080/send?x=1", Address("email", 8080)),
        ("https://email", Address("email", 1)),
        ("redis://:se%40cret@store:6379/0", Address("store", 6379, "se@cret")),
        ("postgres://me:pw@db:5433/shop?sslmode=disable", Address("db", 5433, "pw")),
        ("jdbc:postgresql://db:5432/shop", Address("db", 5432)),
        ("me:pw@tcp(db:3306)/shop", Address("db", 3306, "pw")),
        ("Host=db;Port=5432;Username=me;Password=pw", Address("db", 5432, "pw")),
        ("Server=db; Pwd=x", Address("db", 1, "x")),
        ("host=db port=5432 user=me password=pw dbname=x", Address("db", 5432, "pw")),
        ("[::1]:53", Address("::1", 53)),
        ("10.0.0.1:99999", Address("10.0.0.1", 0)),
        ("quote:0000", Address("quote", 0)),
        ("one:9092,two:9092", Address("one", 9092)),
        ("", Address("", 1)),
        (":8080", Address("", 1)),
    ],
)
def test_addresses_are_read_in_all_usual_forms(text: str, found: Address) -> None:
    assert parse_address(text, 1) == found


@given(st.text(max_size=300))
def test_any_text_is_an_address_or_none(text: str) -> None:
    found = parse_address(text, 80)
    assert 0 <= found.port < 65_536
    assert not any(char.isspace() for char in found.host)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *(("", 0), ("false", 0), ("0", 0), ("ON", 1), ("true", 1), ("2", 2), ("50%", 0.5), ("1.5s", 1500)),
        *(("250ms", 250), ("1m30s", 90_000), ("-3", 0), ("nan", 0), ("inf", 0), ("1e400", 0), ("what", 0)),
        ("1" * 60, 1e6),
    ],
)
def test_values_of_flags(text: str, value: float) -> None:
    assert _number(text) == value


def test_a_file_of_flags() -> None:
    flags = {
        "a": {"state": "ENABLED", "variants": {"on": True, "off": False}, "defaultVariant": "on"},
        "b": {"state": "DISABLED", "variants": {"on": True}, "defaultVariant": "on"},
        "c": {"state": "ENABLED", "variants": {"half": 0.5}, "defaultVariant": "half"},
        "d": {"state": "ENABLED", "variants": {"x": "5s"}, "defaultVariant": "x"},
        "e": {"state": "ENABLED", "variants": {"on": True}, "defaultVariant": "else"},
        "f": ["no flag"],
    }
    assert _from_file(json.dumps({"flags": flags})) == {"a": 1, "b": 0, "c": 0.5, "d": 5000, "e": 0}


@given(st.recursive(st.none() | st.booleans() | st.floats() | st.text(max_size=5), lambda x: st.lists(x) | st.dictionaries(st.sampled_from(["flags", "a", "state", "variants", "defaultVariant"]), x), max_leaves=12))  # fmt: skip
def test_any_file_holds_flags_or_none(value: object) -> None:
    for text in (json.dumps(value), str(value)):
        assert all(number >= 0 for number in _from_file(text).values())


def test_every_kind_of_flag_changes_what_it_says() -> None:
    graph = compile_graph(load_package("astronomy-shop").application)
    app = graph.app

    def changed(name: str, value: float = 1.0) -> tuple[dict[str, np.ndarray], float]:
        arrays = {
            "op_io": np.zeros(len(graph.op_cpu)),
            "op_error": np.zeros(len(graph.op_cpu)),
            "op_work": np.ones(len(graph.op_cpu)),
            "cold": np.zeros(len(app.services) + 1),
            "edge_code": np.zeros(len(graph.edge_call), np.int64),
            "messages": np.ones(len(graph.edge_call)),
            "leak": np.zeros(len(app.services) + 1),
            "flood": np.zeros(graph.entries),
            "delay": np.zeros(len(graph.edge_call)),
        }
        values = tuple(value if flag.name == name else 0.0 for flag in app.flags)
        return arrays, apply_flags(graph, values, arrays)

    ops = {name: number for number, name in enumerate(graph.op_names)}
    assert changed("adFailure")[0]["op_error"][ops["ad", "get"]] == pytest.approx(0.1)
    slow = changed("imageSlowLoad", 5000)[0]["delay"]
    assert np.flatnonzero(slow).size == 1
    assert slow.max() == 5000
    assert changed("adHighCpu")[0]["op_work"][ops["ad", "get"]] == 2400
    flood = changed("loadGeneratorFloodHomepage", 100)[0]["flood"]
    assert [graph.edge_call[n].operation for n in np.flatnonzero(flood)] == ["home"]
    assert flood.sum() == pytest.approx(14)
    assert changed("emailMemoryLeak", 100)[0]["leak"].sum() == pytest.approx(1024 * 1024)
    assert changed("kafkaQueueProblems", 100)[0]["messages"].max() == 100
    lost = changed("paymentUnreachable")[0]["edge_code"]
    assert [graph.edge_call[edge].service for edge in np.flatnonzero(lost)] == ["payment"]
    assert lost.max() == rows.NO_DNS
    nothing, load = changed("nobody")
    assert load == 1.0
    assert not nothing["op_error"].any()


def test_the_tables_that_ship_are_those_that_are_computed() -> None:
    assert np.allclose(draw.quota(), draw._quota(), rtol=1e-9, atol=1e-15)
    assert np.allclose(draw.quantiles().ravel(), draw._tables(), rtol=1e-5)
    share, left = draw.left_over(np.array([0.5, 2.0, 50.0, -1.0]))
    assert share[0] > share[1] > share[2] >= 0
    assert left[3] > left[0] > left[1]


def test_waiting_agrees_with_erlang() -> None:
    table = draw.erlang_rows((1, 2, 10))
    found = draw.waiting(table, np.array([0.5, 0.5, 0.5]))
    # One server: the utilisation itself; two: 2u^2 / (1 + u); ten: from tables of Erlang's C.
    assert found == pytest.approx([0.5, 1 / 3, 0.0361], rel=0.01)
    assert draw.waiting(table, np.ones(3)) == pytest.approx([1, 1, 1])
