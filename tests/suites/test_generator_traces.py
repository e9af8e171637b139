"""Traces by the gigabyte: rows, ids, order, bounded size, and the refusals."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from firedrill.core.errors import InputError
from firedrill.snapshot.columns import TRACE_COLUMNS
from firedrill.suites.generator import write_traces
from firedrill.suites.generator.spans import Ordered

pytestmark = pytest.mark.slow

csv.field_size_limit(1 << 30)


def test_rows_are_whole_unique_and_in_order(tmp_path: Path) -> None:
    path = write_traces(tmp_path / "otel_traces_raw.tsv", megabytes=6, seed=1)
    assert 6e6 <= path.stat().st_size < 8e6
    assert (path.stat().st_mode & 0o777) == 0o644
    with path.open(encoding="utf-8", newline="") as file:
        reader = csv.reader(file, delimiter="\t")
        assert tuple(next(reader)) == TRACE_COLUMNS
        rows = list(reader)
    assert all(len(row) == len(TRACE_COLUMNS) for row in rows)
    assert len({row[2] for row in rows}) == len(rows)
    times = [row[0] for row in rows]
    assert times == sorted(times)
    spans, parents = {row[2] for row in rows}, {row[3] for row in rows} - {""}
    assert parents <= spans
    assert len({row[11] for row in rows}) > 1_000
    roots = [row[11] for row in rows if not row[3]]
    assert len(set(roots)) == len(roots)


def test_the_same_seed_gives_the_same_bytes(tmp_path: Path) -> None:
    first = write_traces(tmp_path / "a.tsv", megabytes=2, seed=3).read_bytes()
    assert write_traces(tmp_path / "b.tsv", megabytes=2, seed=3).read_bytes() == first
    assert write_traces(tmp_path / "c.tsv", megabytes=2, seed=4).read_bytes() != first


def test_an_existing_file_is_not_touched(tmp_path: Path) -> None:
    path = tmp_path / "mine.tsv"
    path.write_text("keep")
    with pytest.raises(InputError, match="already exists"):
        write_traces(path, megabytes=1)
    assert path.read_text() == "keep"


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        write_traces(tmp_path / "file" / "t.tsv", megabytes=1)
    with pytest.raises(InputError, match="megabytes"):
        write_traces(tmp_path / "t.tsv", megabytes=0)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_broken_write_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(Ordered, "add", fails)
    with pytest.raises(OSError, match="disk full"):
        write_traces(tmp_path / "t.tsv", megabytes=1)
    assert list(tmp_path.iterdir()) == []
