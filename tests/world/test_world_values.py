"""Quantities, selectors and the ways to build new objects from old ones."""

from __future__ import annotations

import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firedrill.world.kube import objects, quantity, selectors


@pytest.mark.parametrize(
    ("text", "milli", "value"),
    [
        ("100m", 100, 1),
        ("1", 1000, 1),
        ("1.5", 1500, 2),
        ("128Mi", 134217728000, 134217728),
        ("1e3", 1_000_000, 1000),
        ("0", 0, 0),
        ("1n", 1, 1),
        ("-2", -2000, -2),
        (3, 3000, 3),
        ("1k", 1_000_000, 1000),
    ],
)
def test_quantities_are_numbers(text: str, milli: int, value: int) -> None:
    assert quantity.milli(text) == milli
    assert quantity.value(text) == value


@pytest.mark.parametrize("text", ["", "abc", "1 Mi", "1MiB", "1e", "--1", "1.2.3", "0x10", "9" * 80])
def test_what_is_no_quantity_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="quantities must match"):
        quantity.parse(text)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("1000m", "1"),
        ("0.5", "500m"),
        ("1024Ki", "1Mi"),
        ("1500m", "1500m"),
        ("2000", "2k"),
        ("0", "0"),
        ("0.1Gi", "107374182400m"),
        ("1e3", "1k"),
        ("100Mi", "100Mi"),
        ("0.0001", "100u"),
    ],
)
def test_quantities_are_printed_in_their_canonical_form(text: str, wanted: str) -> None:
    assert quantity.canonical(text) == wanted


@given(st.integers(0, 10**15))
def test_a_canonical_quantity_keeps_its_value(number: int) -> None:
    for text in (quantity.from_milli(number), quantity.canonical(f"{number}m")):
        assert quantity.milli(text) == number
    assert quantity.value(quantity.from_bytes(number)) == number
    assert quantity.value(quantity.from_value(number)) == number


LABELS = {"app": "web", "tier": "front", "n": "5", "example.com/x": ""}


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("", True),
        ("app=web", True),
        ("app==web,tier!=back", True),
        ("app = db", False),
        ("app in (db, web)", True),
        ("app notin (db,web)", False),
        ("missing notin (a)", True),
        ("missing!=a", True),
        ("tier", True),
        ("!tier", False),
        ("!missing", True),
        ("n>4,n<6", True),
        ("n>5", False),
        ("app>1", False),
        ("example.com/x=", True),
    ],
)
def test_label_selectors(text: str, wanted: bool) -> None:
    assert selectors.matches(selectors.parse(text), LABELS) is wanted


@pytest.mark.parametrize("text", ["a b", "=x", "app in web", "app in (a", "a=b=c", ",", "a,,b"])
def test_malformed_selectors_are_refused(text: str) -> None:
    with pytest.raises(selectors.SelectorError):
        selectors.parse(text)


@given(st.text(max_size=40))
def test_any_text_is_a_selector_or_refused(text: str) -> None:
    for parse in (selectors.parse, selectors.parse_fields):
        try:
            parse(text)
        except selectors.SelectorError:
            continue


def test_selector_objects() -> None:
    assert selectors.from_object(None) is None
    assert not selectors.selects(None, LABELS)
    assert selectors.selects({}, LABELS)
    wanted = {
        "matchLabels": {"app": "web"},
        "matchExpressions": [{"key": "tier", "operator": "In", "values": ["front"]}],
    }
    assert selectors.selects(wanted, LABELS)
    assert selectors.selects({"matchExpressions": [{"key": "n", "operator": "Gt", "values": ["4"]}]}, LABELS)
    assert not selectors.selects({"matchExpressions": [{"key": "tier", "operator": "DoesNotExist"}]}, LABELS)
    with pytest.raises(selectors.SelectorError, match="not a valid label selector operator"):
        selectors.selects({"matchExpressions": [{"key": "a", "operator": "Like"}]}, LABELS)
    assert selectors.of_map({}) is None
    assert selectors.matches(selectors.of_map({"app": "web"}) or (), LABELS)


def test_field_selectors() -> None:
    parsed = selectors.parse_fields("spec.nodeName=n1,status.phase!=Running,metadata.name==x")
    assert parsed == (
        ("spec.nodeName", "=", "n1"),
        ("status.phase", "!=", "Running"),
        ("metadata.name", "=", "x"),
    )
    with pytest.raises(selectors.SelectorError, match="invalid selector"):
        selectors.parse_fields("spec.nodeName")


TREES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=12,
)


@given(
    st.dictionaries(st.text(max_size=3), TREES, max_size=4),
    st.lists(st.text(max_size=3), min_size=1, max_size=3),
)
def test_a_new_object_leaves_the_old_one_alone(tree: dict, path: list[str]) -> None:
    before = copy.deepcopy(tree)
    frozen = objects.freeze(tree)
    if all(isinstance(objects.dig(tree, *path[:depth]), dict | None) for depth in range(1, len(path))):
        changed = objects.with_path(frozen, path, 42)
        assert objects.dig(changed, *path) == 42
        assert objects.dig(objects.without_path(changed, path), *path) is None
    assert frozen == before
    assert objects.thaw(frozen) == before


def test_frozen_objects_refuse_to_change() -> None:
    frozen = objects.freeze({"a": [1, {"b": 2}]})
    with pytest.raises(TypeError, match="changed in place"):
        frozen["a"] = 1
    with pytest.raises(TypeError, match="changed in place"):
        frozen["a"].append(2)
    with pytest.raises(TypeError, match="changed in place"):
        frozen["a"][1].update(b=3)
    free = copy.deepcopy(frozen)
    free["a"] = 3
    assert copy.copy(frozen) == {"a": [1, {"b": 2}]}


def test_dig_goes_only_where_there_is_something() -> None:
    tree = {"a": [{"b": 1}], "c": "text"}
    assert objects.dig(tree, "a", 0, "b") == 1
    assert objects.dig(tree, "a", 5, "b") is None
    assert objects.dig(tree, "c", "d", default=7) == 7
    assert objects.dig(None, "a", default="x") == "x"


def test_conditions_keep_the_time_of_their_last_change() -> None:
    first = objects.with_condition(None, {"type": "Ready", "status": "True"}, "t1")
    same = objects.with_condition(first, {"type": "Ready", "status": "True", "reason": "New"}, "t2")
    assert same == [{"type": "Ready", "status": "True", "reason": "New", "lastTransitionTime": "t1"}]
    other = objects.with_condition(same, {"type": "Ready", "status": "False"}, "t3")
    assert other[0]["lastTransitionTime"] == "t3"
    obj = {"status": {"conditions": other}}
    assert objects.condition(obj, "Ready") == other[0]
    assert objects.condition(obj, "Gone") is None


def test_owner_references() -> None:
    owner = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": {"name": "x", "uid": "u"}}
    child = {"metadata": {"ownerReferences": [{"kind": "Other"}, objects.owner_reference(owner)]}}
    found = objects.controller_of(child)
    assert found is not None
    assert (found["kind"], found["uid"], found["blockOwnerDeletion"]) == ("ReplicaSet", "u", True)
    assert objects.controller_of({}) is None
