"""Label matchers: Go's expressions, in linear time, as Python's own module would match them."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firedrill.world.telemetry.matching import Matcher, capturing, full_match

PIECES = st.sampled_from(
    [
        "a",
        "b",
        ".",
        "[ab]",
        "[^a]",
        "\\d",
        "(a|b)",
        "(ab)",
        "a*",
        "b+",
        "(a|ab)*",
        "(a*)*",
        "(b?)+",
        "a{2,3}",
        "",
        "(?:ab|a)+?",
    ]
)


@given(st.lists(PIECES, max_size=6).map("".join), st.text(alphabet="ab1\n", max_size=8))
def test_expressions_match_as_pythons_do(pattern: str, text: str) -> None:
    assert full_match(pattern)(text) == (re.fullmatch(pattern, text, re.DOTALL | re.ASCII) is not None)


@pytest.mark.parametrize(
    ("op", "value", "text", "fits"),
    [
        ("=", "a", "a", True),
        ("=", "", "", True),
        ("!=", "a", "b", True),
        ("=~", "a.*", "ab\n", True),
        ("=~", "a", "ab", False),
        ("=~", "a|b", "b", True),
        ("!~", "a|b", "b", False),
        ("=~", "(?i)AB", "ab", True),
        ("=~", "[[:alpha:]]+", "abc", True),
        ("=~", "(?P<n>a)(?<m>b)", "ab", True),
        ("=~", "é+", "éé", True),
    ],
)
def test_matchers(op: str, value: str, text: str, fits: bool) -> None:
    assert Matcher("x", op, value).test()(text) is fits  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("pattern", "problem"),
    [
        ("(", "missing closing ): `(`"),
        ("[a", "missing closing ]: `[a`"),
        ("*", "missing argument to repetition operator: `*`"),
        ("a**", "invalid nested repetition operator: `**`"),
        ("[z-a]", "invalid character class range: `z-a`"),
        ("a(?=b)", "invalid or unsupported Perl syntax"),
        ("(a)\\1", "invalid or unsupported Perl syntax"),
        ("a" * 5000, "expression too large"),
    ],
)
def test_expressions_that_are_none(pattern: str, problem: str) -> None:
    with pytest.raises(ValueError, match=re.escape(problem)):
        full_match(pattern)


@pytest.mark.parametrize(
    "pattern",
    [
        "(a+)+b",
        "(a|a)*b",
        "(a|aa)+b",
        "a*a*a*a*a*a*b",
        "(a*)*(a*)*b",
        "(.*)(.*)(.*)(.*)(.*)b",
        "(a{1,30}){1,30}b",
    ],
)
def test_no_expression_takes_long(pattern: str) -> None:
    begin = time.process_time()
    assert not full_match(pattern)("a" * 200)
    assert time.process_time() - begin < 3


def test_groups_are_given_where_that_is_safe() -> None:
    match = capturing("(.*)-(.*)-(.*)-(.*)-x")("a-b-c-d-x")
    assert match is not None and match.groups() == ("a", "b", "c", "d")
    with pytest.raises(ValueError, match="repeated repetitions"):
        capturing("(a+)+b")
