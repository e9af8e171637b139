"""CEL: optional syntax, macros, libraries, errors, bounds."""

import contextlib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firedrill.world.kube import cel

OBJECT = {"a": {"b": [1, 2]}, "s": "x", "n": None, "m": {"k/x": 1}, "u": 3}


def run(text: Any, **more: Any) -> Any:
    return cel.compile(text).evaluate({"object": OBJECT, **more})


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("object.?a.b.orValue([])", [1, 2]),
        ("object.?q.b.c.orValue('d')", "d"),
        ("object.a.?c.orValue(3)", 3),
        ("object.m[?'k/x'].orValue(0)", 1),
        ("object.?m['k/y'].orValue(0)", 0),
        ("object.a.b[?5].hasValue()", False),
        ("object.a.b[?-1].hasValue()", False),
        ("optional.of(2).or(optional.of(3)).value()", 2),
        ("optional.none().or(optional.of(3)).value()", 3),
        ("object.?a.b.optMap(x, x.size()).orValue(0)", 2),
        ("object.?a.optFlatMap(x, x.?b).orValue([])", [1, 2]),
        ("[?optional.none(), 2, ?optional.of(3)]", [2, 3]),
        ("{?'a': optional.none(), 'b': 2}", {"b": 2}),
        ("has(object.?q.z)", False),
        ("optional.ofNonZeroValue('').hasValue()", False),
        ("cel.bind(x, object.a.b, x.size() + x[0])", 3),
        ("[1, 2].all(i, v, v == i + 1)", True),
        ("{'a': 1}.exists(k, v, k == 'a' && v == 1)", True),
        ("[5, 6].transformList(i, v, i > 0, v * 2)", [12]),
        ("{'a': 1}.transformMap(k, v, v + 1)", {"a": 2}),
        ("[1].map(x, [10].map(x, x + 1))", [[11]]),
        ("has(object.a) && !has(object.q)", True),
        ("'é'.size() + size([1])", 2),
        ("object.s.startsWith('x') && 'xy'.endsWith('y')", True),
        ("string(true) + string(1) + string(1.5)", "true11.5"),
        ("timestamp('2024-01-01T00:00:00Z').getFullYear()", 2024),
        ("string(timestamp('2024-01-01T00:00:00Z'))", "2024-01-01T00:00:00Z"),
        ("quantity('1') == quantity('1000m')", True),
        ("quantity('1Gi').isGreaterThan(quantity('1G'))", True),
        ("quantity('200m').add(quantity('800m')).asInteger()", 1),
        ("quantity('5').sub(7).sign()", -1),
        ("isQuantity('1x')", False),
        ("url('https://u@a.b:80/x?y=1').getHostname()", "a.b"),
        ("url('/x').getHost()", ""),
        ("isURL('no url')", False),
        ("ip('::1').family()", 6),
        ("ip('10.0.0.1').isLoopback()", False),
        ("ip.isCanonical('::0001')", False),
        ("cidr('10.1.2.3/8').containsIP('10.1.1.1')", True),
        ("cidr('10.0.0.0/8').containsCIDR('10.1.0.0/16')", True),
        ("cidr('10.0.0.0/8').prefixLength()", 8),
        ("semver('1.2.3').isLessThan(semver('1.10.0'))", True),
        ("semver('1.2.3-rc.1').isLessThan(semver('1.2.3'))", True),
        ("'a1b22'.findAll('[0-9]+')", ["1", "22"]),
        ("'a1b22'.find('[0-9]+')", "1"),
        ("[3, 1].max() + [3, 1].min() + [3, 1].sum()", 8),
        ("['b', 'a'].isSorted()", False),
        ("['b', 'a'].indexOf('a')", 1),
        ("sets.equivalent([1, 2], [2, 1, 1])", True),
        ("'%s is %d of %.1f'.format(['a', 3, 2.55])", "a is 3 of 2.5"),
        ("format.dns1123Label().validate('A_').hasValue()", True),
        ("format.dns1123Label().validate('a-b').hasValue()", False),
        ("'a,b,c'.split(',', 2)", ["a", "b,c"]),
        ("'abc'.substring(1, 2) + 'x'.upperAscii()", "bX"),
        ("dyn(1) == 1.0", True),
        ("object.a.b.orValue([])", [1, 2]),
        ("object.q == 1 || true", True),
        ("true // a comment", True),
        ("r'\\d' == '\\\\d' && '''a\nb'''.contains('\\n')", True),
    ],
)
def test_values(text: Any, value: Any) -> None:
    assert run(text) == value


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("object.q", "no such key: q"),
        ("has(object.q.z)", "no such key: q"),
        ("object.a.b[5]", "index out of bounds: 5"),
        ("1 / 0", "division by zero"),
        ("9223372036854775807 + 1", "return error for overflow"),
        ("'a' + 1", "no such overload"),
        ("optional.none().value()", "optional.none() dereference"),
        ("object.s.hasValue()", "no such overload"),
        ("quantity('1x')", "quantities must match"),
        ("'abc'.substring(5)", "index out of range: 5"),
        ("[].max()", "min/max called on empty list"),
    ],
)
def test_errors_say_what_a_server_says(text: Any, problem: Any) -> None:
    with pytest.raises(cel.CelError) as caught:
        run(text)
    assert str(caught.value).startswith(problem)


@pytest.mark.parametrize(
    ("text", "line", "column"),
    [
        ("a b", 1, 3),
        ("1 +\n + 2", 2, 2),
        ("foo(1)", 1, 1),
        ("a.b.nothing()", 1, 5),
        ("'x", 1, 1),
        ("1 ? 2", 1, 6),
    ],
)
def test_syntax_errors_have_a_place(text: Any, line: Any, column: Any) -> None:
    with pytest.raises(cel.CelSyntaxError) as caught:
        cel.compile(text)
    assert (caught.value.line, caught.value.column) == (line, column)


def test_an_optional_is_handed_out_and_taken_in() -> None:
    found = run("object.?a")
    assert found == cel.Optional(({"b": [1, 2]},))
    program = cel.compile("variables.x.b.orValue([])", frozenset({"variables.x"}))
    assert program.evaluate({"variables": {"x": found}}) == [1, 2]
    assert program.evaluate({"variables": {"x": cel.Optional()}}) == []


@pytest.mark.parametrize(
    "text",
    [
        "object.l.all(a, object.l.all(b, object.l.all(c, object.l.all(d, true))))",
        "cel.bind(a, 'xxxxxxxx', " + "cel.bind(a, a + a, " * 40 + "a" + ")" * 41,
        "cel.bind(a, [1, 2], " + "cel.bind(a, a + a, " * 40 + "a.size()" + ")" * 41,
    ],
)
def test_what_would_cost_too_much_is_refused_before_it_runs(text: Any) -> None:
    with pytest.raises(cel.CelError, match="cost limit exceeded"):
        cel.compile(text).evaluate({"object": {"l": list(range(300))}})


@pytest.mark.parametrize(
    "text", ["(" * 5000 + "1", "-" * 5000 + "1", "1" + "+1" * 5000, "a" + ".b" * 5000, "[" * 5000]
)
def test_deep_nesting_is_an_error_and_no_crash(text: Any) -> None:
    with pytest.raises(cel.CelSyntaxError):
        cel.compile(text)


def test_a_regular_expression_that_could_take_for_ever_elsewhere_takes_no_time() -> None:
    assert run("'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!'.find('(a+)+$')") == ""


PIECES = st.sampled_from(
    [
        "object",
        ".",
        ".?",
        "a",
        "b",
        "[",
        "[?",
        "]",
        "(",
        ")",
        "{",
        "}",
        ",",
        ":",
        "?",
        "1",
        "'x'",
        "orValue",
        "map",
        "all",
        "has",
        "cel.bind",
        "optional.of",
        "&&",
        "||",
        "==",
        "in",
        "+",
        "-",
        "!",
        "x",
        " ",
        "\n",
        "//",
        "é",
    ]
)


@settings(max_examples=400, deadline=None)
@given(st.lists(PIECES, max_size=25).map("".join))
def test_any_text_is_a_value_or_a_proper_error(text: Any) -> None:
    try:
        program = cel.Program(text)
    except cel.CelSyntaxError as problem:
        assert problem.line >= 1 and problem.column >= 1
        return
    with contextlib.suppress(cel.CelError):
        program.evaluate({"object": OBJECT, "x": 1, "a": 1, "b": [1]})


KEYS = st.sampled_from(["a", "b", "c"])


@settings(max_examples=200, deadline=None)
@given(
    st.recursive(st.integers(0, 5), lambda inner: st.dictionaries(KEYS, inner, max_size=3), max_leaves=8),
    st.lists(KEYS, min_size=1, max_size=4),
)
def test_optional_chains_agree_with_looking_step_by_step(value: Any, path: Any) -> None:
    here, found = value, True
    for step in path:
        if not isinstance(here, dict):
            return  # selecting from a number is an error in CEL
        if step not in here:
            found = False
            break
        here = here[step]
    text = "x" + "".join(f".?{step}" for step in path)
    program = cel.Program(f"{text}.hasValue() ? [{text}.value()] : []")
    assert program.evaluate({"x": value}) == ([here] if found else [])


def test_another_room_may_bring_functions() -> None:
    program = cel.Program("store.Get('a', 'b').x + 1", extensions=frozenset({"store.Get"}))
    assert "store" not in program.names
    assert program.evaluate({}, {"store.Get": lambda one, other: {"x": len(one + other)}}) == 3
    with pytest.raises(cel.CelSyntaxError):
        cel.compile("store.Put(1)", extensions=frozenset({"store.Get"}))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("[{'b': 1}, {'a': 1}].exists(x, x.a == 1)", True),
        ("[{'b': 1}, {'a': 2}].all(x, x.a == 1)", False),
        ("{'k': 1, 'l': 2}.exists(k, object.m[k] == 1 || k == 'l')", True),
    ],
)
def test_an_element_that_settles_the_matter_wins_over_one_that_fails(text: Any, value: Any) -> None:
    assert run(text) is value


@pytest.mark.parametrize(
    "text", ["[{'b': 1}, {'a': 2}].exists(x, x.a == 1)", "[{'b': 1}, {'a': 1}].all(x, x.a == 1)"]
)
def test_a_failing_element_fails_a_loop_that_nothing_settles(text: Any) -> None:
    with pytest.raises(cel.CelError, match="no such key: a"):
        run(text)
