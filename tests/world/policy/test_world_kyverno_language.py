"""Patterns, conditions, queries and their functions, against what they mean; and against hostile ones."""

from __future__ import annotations

import re
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firedrill.world.policy.kyverno import Subject, evaluate, load, wildcard
from firedrill.world.policy.kyverno.budget import Budget, Exhausted
from firedrill.world.policy.kyverno.conditions import OPERATORS
from firedrill.world.policy.kyverno.leaves import leaf
from firedrill.world.policy.kyverno.overlay import Overlay
from firedrill.world.policy.kyverno.query import QueryError, search

SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(-5, 5), st.sampled_from(["", "a", "5", "1Gi", "10s"])
)
TREES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.sampled_from("abc"), inner, max_size=3)
    ),
    max_leaves=10,
)


def query(text: str, data: Any = None) -> Any:
    data = {} if data is None else data
    return search(text, data, budget=Budget(), now_ms=1_700_000_000_000)


@given(st.text("ab*?", max_size=8), st.text("ab", max_size=8))
def test_wildcards_mean_what_the_regular_expression_says(pattern: str, text: str) -> None:
    expression = "".join({"*": ".*", "?": "."}.get(letter, re.escape(letter)) for letter in pattern)
    assert wildcard.match(pattern, text) == (re.fullmatch(expression, text) is not None)


@pytest.mark.parametrize(
    ("value", "pattern", "fits"),
    [
        (False, "false", True),
        (True, "false", False),
        (None, "false", False),
        (5, ">3 & <10", True),
        (12, ">3 & <10", False),
        (12, "<3 | >10", True),
        ("512Mi", "<=1Gi", True),
        ("2Gi", "<=1Gi", False),
        (8080, "8000-9000", True),
        (80, "8000-9000", False),
        (80, "8000!-9000", True),
        ("90s", ">1m", True),
        ("nginx:latest", "!*:latest", False),
        ("nginx:1", "!*:latest & *:*", True),
        ("nginx", "!*:latest & *:*", False),
        ("", "?*", False),
        (None, "?*", False),
        (None, "<10", True),
        (0, None, True),
        ("", None, True),
        ([], None, False),
        ("5", 5, True),
        (5.0, 5, True),
        ({"a": 1}, {}, True),
        ("abc", "abc", True),
        ("a|b", "a|b", True),
        ("b", "a | b", True),
        (True, True, True),
        (1, True, False),
    ],
)
def test_leaves(value: Any, pattern: Any, fits: bool) -> None:
    assert leaf(value, pattern) is fits


@given(TREES)
def test_an_object_fits_itself_unless_it_holds_empty_lists_or_wildcards(tree: Any) -> None:
    text = repr(tree)
    if "[]" in text or "|" in text or "''" in text or ("[" in text and "None" in text):
        return  # no wildcard fits nothing, and lists become wildcards below
    pattern = {"spec": _as_pattern(tree)}
    found = Overlay().compare({"spec": tree}, pattern)
    assert found is None, (found, tree)


def _as_pattern(tree: Any) -> Any:
    """Lists of maps are patterns for each element, so only single ones are their own pattern."""
    if isinstance(tree, dict):
        return {key: _as_pattern(value) for key, value in tree.items()}
    if isinstance(tree, list):
        return "*" if not _alike(tree) else [_as_pattern(tree[0])]
    return tree


def _alike(items: list[Any]) -> bool:
    return len(items) == 1


@given(TREES, st.sampled_from(["(a)", "=(a)", "X(a)", "^(a)", "<(a)"]), TREES)
def test_anchors_say_something_of_everything(value: Any, key: str, pattern: Any) -> None:
    found = Overlay().compare({"a": value, "b": 1}, {key: pattern, "b": 1})
    assert found is None or found.message
    if key == "X(a)":
        assert found is not None
        assert found.kind == "refused"
    if key in ("(a)", "<(a)") and found is not None:
        assert found.kind == "skip"
    without = Overlay().compare({"b": 1}, {key: pattern, "b": 1})
    assert (without is None) == (key != "(a)")


@pytest.mark.parametrize(
    ("resource", "pattern", "kind"),
    [
        ({"l": [{"n": "a", "v": 1}, {"n": "b", "v": 2}]}, {"l": [{"(n)": "a", "v": 1}]}, None),
        ({"l": [{"n": "a", "v": 3}, {"n": "b", "v": 2}]}, {"l": [{"(n)": "a", "v": 1}]}, "unlike"),
        ({"l": [{"n": "b", "v": 2}]}, {"l": [{"(n)": "a", "v": 1}]}, "skip"),
        ({"l": [{"n": "a"}, {"n": "b"}]}, {"^(l)": [{"n": "b"}]}, None),
        ({"l": [{"n": "a"}]}, {"^(l)": [{"n": "a"}, {"n": "b"}]}, "unlike"),
        ({"v": 1, "k": "x"}, {"<(k)": "y", "v": 2}, "skip"),
        ({"v": 1}, {"<(k)": "y", "v": 1}, None),
        ({"l": [1, 2, 3]}, {"l": ["<4"]}, None),
        ({"l": [1, 2, 5]}, {"l": ["<4"]}, "unlike"),
        ({"metadata": {"labels": {"app.x": "1"}}}, {"metadata": {"labels": {"app.*": "?*"}}}, None),
        ({"metadata": {"labels": {"other": "1"}}}, {"metadata": {"labels": {"app.*": "?*"}}}, "unlike"),
        ({"a": None}, {"a": "*"}, "unlike"),
        ({"a": {}}, {"a": "*"}, None),
    ],
)
def test_overlays(resource: Any, pattern: Any, kind: str | None) -> None:
    found = Overlay().compare(resource, pattern)
    assert (found.kind if found else None) == kind


def test_a_condition_nobody_ever_met_makes_a_mismatch_an_error() -> None:
    found = Overlay().compare({"spec": {"l": [{"v": 1}], "w": 1}}, {"spec": {"X(gone)": "null", "w": 2}})
    assert found is not None
    assert found.path == ""


@pytest.mark.parametrize(
    ("key", "operator", "value", "holds"),
    [
        ("a", "Equals", "a", True),
        ("abc", "Equals", "a*", True),
        ("1Gi", "Equals", "1024Mi", True),
        ("1h", "Equals", 3600, True),
        (1, "Equals", "1", True),
        (True, "Equals", "true", False),
        (True, "NotEquals", "true", True),
        (None, "NotEquals", "a", False),
        (["a"], "Equals", ["a"], True),
        ("a", "AnyIn", ["a", "b"], True),
        ("a", "AnyIn", "a", True),
        ("a", "AnyIn", '["a","b"]', True),
        (["a", "c"], "AnyIn", ["a", "b"], True),
        (["a", "c"], "AllIn", ["a", "b"], False),
        (["a", "c"], "AnyNotIn", ["a", "b"], True),
        (["a", "c"], "AllNotIn", ["a", "b"], False),
        (["c"], "AllNotIn", ["a", "b"], True),
        ([], "AnyIn", ["a"], False),
        ([], "AllNotIn", ["a"], True),
        (True, "AnyIn", [True], True),
        (5, "AnyIn", "1-10", True),
        (50, "AnyNotIn", "1-10", True),
        (None, "AnyNotIn", ["a"], False),
        (5, "GreaterThan", 4, True),
        ("5", "GreaterThan", 4, True),
        ("1Gi", "LessThan", "512Mi", False),
        ("1h", "GreaterThan", "30m", True),
        ("1.2.3", "GreaterThan", "1.2.0", True),
        ("a", "GreaterThan", 1, False),
        ("30s", "DurationLessThan", 60, True),
        ("x", "DurationLessThan", 60, False),
    ],
)
def test_operators(key: Any, operator: str, value: Any, holds: bool) -> None:
    assert OPERATORS[operator.lower()](key, value) is holds


@given(TREES, st.sampled_from(sorted(OPERATORS)), TREES)
def test_operators_always_decide(key: Any, operator: str, value: Any) -> None:
    assert OPERATORS[operator](key, value) in (True, False)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("add(`1`, `2`)", 3),
        ("add('1Gi', '512Mi')", "1536Mi"),
        ("subtract('1h', '1800s')", "30m0s"),
        ("divide('10Gi', '2Gi')", 5),
        ("divide('10Gi', `4`)", "2560Mi"),
        ("multiply('10s', `6`)", "1m0s"),
        ("modulo(`7`, `3`)", 1),
        ("round(`3.14159`, `2`)", 3.14),
        ("sum([`1`, `2`, `3`])", 6),
        ("split('a-b', '-')", ["a", "b"]),
        ("trim('xax', 'x')", "a"),
        ("to_upper('a')", "A"),
        ("truncate('abcdef', `3`)", "abc"),
        ("replace('aaa', 'a', 'b', `2`)", "bba"),
        ("regex_match('^v[0-9]+$', 'v12')", True),
        ("regex_replace_all('([a-z]+)-([0-9]+)', 'ab-12', '$2-$1')", "12-ab"),
        ("regex_replace_all_literal('a', 'banana', '$')", "b$n$n$"),
        ("pattern_match('ng*', 'nginx')", True),
        ('label_match(`{"a":"b"}`, `{"a":"b","c":"d"}`)', True),
        ("base64_decode(base64_encode('hé'))", "hé"),
        ("parse_json('{\"a\": [1]}').a[0]", 1),
        ("parse_yaml('a: [1]').a[0]", 1),
        ("items(`{\"a\": 1}`, 'k', 'v')", [{"k": "a", "v": 1}]),
        ("object_from_lists(['a'], [`1`])", {"a": 1}),
        ("lookup(`{\"a\": 1}`, 'a')", 1),
        ("to_boolean('True')", True),
        ("path_canonicalize('/a/../b//c')", "/b/c"),
        ("image_normalize('nginx')", "docker.io/nginx:latest"),
        ("semver_compare('1.2.3', '>=1.0.0 <2.0.0')", True),
        ("semver_compare('v2.1.0', '1.x || >=3.0.0')", False),
        ("time_add('2024-01-01T00:00:00Z', '36h')", "2024-01-02T12:00:00Z"),
        ("time_diff('2024-01-01T00:00:00Z', '2024-01-01T01:30:00Z')", "1h30m0s"),
        ("time_since('', '2023-11-14T22:13:20Z', '')", "0s"),
        ("time_now_utc()", "2023-11-14T22:13:20Z"),
        ("time_to_cron('2024-01-01T05:30:00Z')", "30 5 1 1 1"),
        ("time_truncate('2024-01-01T05:34:00Z', '1h')", "2024-01-01T05:00:00Z"),
        ("time_parse('2006-01-02', '2024-05-06')", "2024-05-06T00:00:00Z"),
        ("time_before('2024-01-01T00:00:00Z', '2024-01-02T00:00:00Z')", True),
        ("sha256('a') | length(@)", 64),
        ("regex_match('^[a-z]{5}$', random('[a-z]{5}'))", True),
        ("compare('a', 'b')", -1),
        ("equal_fold('A', 'a')", True),
    ],
)
def test_functions(text: str, value: Any) -> None:
    assert query(text) == value


def test_what_is_missing_is_an_error_but_not_where_a_default_or_a_list_follows() -> None:
    data = {"a": {"b": 1}, "l": [{"x": 1}, {}]}
    with pytest.raises(QueryError, match='Unknown key "c" in path'):
        query("a.c", data)
    assert query("a.c || 'none'", data) == "none"
    assert query("l[].x", data) == [1]
    assert query("c.d[].e", data) is None
    assert query("l[?x == `1`] | length(@)", data) == 1
    assert query("[a.b, a.c]", data) == [1, None]
    with pytest.raises(QueryError):
        query("length(a.c)", data)
    with pytest.raises(QueryError):
        query("nosuch(a)", data)


def _policy(validate: dict[str, Any], **more: Any) -> dict[str, Any]:
    match = {"any": [{"resources": {"kinds": ["ConfigMap"]}}]}
    rule = {"name": "rule", "match": match, "validate": validate, **more}
    head = {"apiVersion": "kyverno.io/v1", "kind": "ClusterPolicy", "metadata": {"name": "policy"}}
    return {**head, "spec": {"rules": [rule]}}


def _deny(key: str) -> dict[str, Any]:
    return _policy({"deny": {"conditions": {"any": [{"key": key, "operator": "Equals", "value": "x"}]}}})


_DOUBLED = " | ".join(["[@, @]"] * 60)
_BOMBS = [
    _deny("{{ request.object.data.a | " + _DOUBLED + " | to_string(@) }}"),
    _deny("{{ request.object.data.a | " + " | ".join(["[@, @][]"] * 60) + " }}"),
    _deny("{{ (" + f"request.object | {_DOUBLED}) == (request.object | {_DOUBLED}" + ") }}"),
    _deny("{{ " + "(" * 3000 + "request" + ")" * 3000 + " }}"),
    _deny("{{ " + "!" * 5000 + "request }}"),
    _deny("{{ regex_match('(a+)+$', request.object.data.long) }}"),
    _deny("{{ regex_match('(((((a{1,100}){1,100}){1,100}){1,100}){1,100})', 'a') }}"),
    _deny("{{ replace_all(request.object.data.long, 'a', request.object.data.long) }}"),
    _deny("{{ random('[a-z]{9999}[a-z]{9999}[a-z]{9999}') }}"),
    _deny("{{ parse_yaml('a: &x [1]\nb: [*x, *x]') }}"),
    _deny("{{ request.object.data.loop }}"),
    _policy({"pattern": {"data": {"long": "*a" * 4000}}}),
]


@pytest.mark.parametrize("document", _BOMBS, ids=range(len(_BOMBS)))
def test_hostile_policies_end_soon_and_in_words(document: dict[str, Any]) -> None:
    data = {"a": "x", "long": "a" * 20_000 + "b", "loop": "{{ request.object.data.loop }}"}
    resource = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x"}, "data": data}
    began = time.process_time()
    (row,) = evaluate([load(document)], Subject(resource))
    assert time.process_time() - began < 5
    assert row.result in ("error", "fail", "pass")
    assert len(row.message) < 100_000


def test_deep_patterns_and_objects_are_given_up() -> None:
    pattern: Any = {}
    for _ in range(3000):
        pattern = {"a": pattern}
    (row,) = evaluate([load(_policy({"pattern": pattern}))], Subject({"kind": "ConfigMap", **pattern}))
    assert row.result == "error"
    with pytest.raises(Exhausted):
        Overlay(Budget(10)).compare({"a": [1] * 100}, {"a": [1]})
