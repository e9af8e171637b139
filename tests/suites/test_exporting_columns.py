"""Whole columns of texts are what the plain writers give cell by cell."""

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from firedrill.core.errors import InfrastructureError
from firedrill.snapshot.writer import format_cell, format_time
from firedrill.suites.exporting import columns
from firedrill.suites.exporting.samples import texts_of


@given(st.lists(st.integers(0, (1 << 63) - 1)), st.sampled_from((0, 3, 6, 9)))
def test_stamps_are_those_of_single_times(times: list[int], digits: int) -> None:
    found = columns.cut(columns.stamps(np.array(times, np.int64), digits))
    assert [text.decode() for text in found] == [format_time(time, digits) for time in times]


@given(st.lists(st.integers(0, (1 << 64) - 1)))
def test_words_are_hexadecimal(words: list[int]) -> None:
    found = columns.cut(columns.hexadecimal(np.array(words, np.uint64)))
    assert found == [b"%016x" % word for word in words]


@given(st.lists(st.floats()))
def test_samples_are_those_of_single_cells(values: list[float]) -> None:
    told = texts_of(np.array(values, float)) if values else []
    assert told == [format_cell(value) for value in values]


def test_samples_that_are_no_numbers() -> None:
    values = np.array([math.nan, -0.0, math.inf, -math.inf, 1e16, 1.5e-05, 42.0])
    assert texts_of(values) == ["", "-0.0", "inf", "-inf", "1e+16", "1.5e-05", "42.0"]


@given(st.lists(st.tuples(st.text(), st.text())))
def test_lines_are_their_cells_beside_each_other(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str]]
) -> None:
    path = tmp_path_factory.mktemp("lines") / "table.tsv"
    first, second = (columns.encoded([row[place] for row in rows]) for place in (0, 1))
    columns.write_lines(path, ("a", "é"), [first, second])
    wanted = "a\té\n" + "".join(one + two for one, two in rows)
    assert path.read_bytes() == wanted.encode("utf-8", "replace")


def test_texts_of_one_width_and_picked_ones() -> None:
    assert columns.beside(b"<", columns.hexadecimal(np.array([10], np.uint64)), b">") == [
        b"<000000000000000a>"
    ]
    assert columns.picked([b"only"], np.array([0, 0])) == [b"only", b"only"]
    assert columns.encoded(["\ud800"]) == [b"?"]


def test_a_file_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), columns.replacing(tmp_path / "table.tsv") as file:
        file.write(b"half")
        raise RuntimeError
    assert not list(tmp_path.iterdir())
    (tmp_path / "taken").write_text("")
    with pytest.raises(InfrastructureError), columns.replacing(tmp_path / "taken" / "table.tsv"):
        pass
