"""Foreign YAML files are read within bounds."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firedrill.core.documents import read_documents
from firedrill.core.errors import InputError

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(st.characters(codec="ascii")),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("abcxyz", min_size=1), inner),
    max_leaves=20,
)

LAUGHS = "a0: &a0 [x, x]\n" + "".join(f"a{n + 1}: &a{n + 1} [*a{n}, *a{n}]\n" for n in range(22))


@given(VALUES)
def test_json_is_read_as_it_is(value: Any) -> None:
    assert read_documents(json.dumps([value]), "file") == [[value]]


def test_a_date_is_text() -> None:
    assert read_documents("a: 2024-01-02\n---\nb: 2024-01-02T03:04:05Z\n", "file") == [
        {"a": "2024-01-02"},
        {"b": "2024-01-02T03:04:05Z"},
    ]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[" * 100_000, "deeper"),
        (LAUGHS, "more than"),
        ("a: [1, 2\nb: 3", "no YAML"),
        ("? [1]\n: 2", "no YAML"),
        ("a: !!python/object/apply:os.system [ls]", "no YAML"),
    ],
    ids=["deep", "laughs", "open", "key", "tag"],
)
def test_what_cannot_be_read_is_refused(text: str, problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        read_documents(text, "file")


@given(st.text(max_size=300))
def test_anything_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(InputError):
        read_documents(text, "file")
