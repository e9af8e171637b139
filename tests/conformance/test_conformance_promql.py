"""Hundreds of expressions on the same samples, asked of a real Prometheus and of ours."""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "bench"))
import prometheus_service
import promql_samples
from firedrill.world.telemetry import SeriesStore, promql

FOLDER = Path(__file__).parent / "data" / "promql"
FOUND = prometheus_service.find_prometheus()
BINARIES = [
    pytest.param(binary, id="{}.{}".format(*binary.version), marks=() if not number else pytest.mark.slow)
    for number, binary in enumerate(FOUND)
] or [pytest.param(None, id="none", marks=pytest.mark.skip("no Prometheus is here: scripts/prometheus"))]
pytestmark = [pytest.mark.service, pytest.mark.timeout(120)]

MINUTE = 60_000
START = promql_samples.START
INSTANTS = [
    START + 1,
    START + 7 * MINUTE,
    START + 29 * MINUTE + 12_345,
    START + 52 * MINUTE,
    START + 89 * MINUTE + 59_999,
]
RANGES = [(START, START + 90 * MINUTE, 97_000), (START + 600_500, START + 40 * MINUTE, 15_000)]
FEWER = (INSTANTS[1:3], RANGES[:1])
"""What all versions but the first are asked: what they do otherwise shows at any moment."""
GROUPS = yaml.safe_load((FOLDER / "expressions.yaml").read_text(encoding="utf-8"))
CASES = [
    (group, text) for group in GROUPS for text in group["expressions"]
]  # fmt: skip
MISTAKES: list[str] = yaml.safe_load((FOLDER / "mistakes.yaml").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def store() -> SeriesStore:
    return promql_samples.filled()


@pytest.fixture(scope="module", params=BINARIES)
def real(request: pytest.FixtureRequest, store: SeriesStore) -> Iterator[prometheus_service.Prometheus]:
    with prometheus_service.running(request.param) as server:
        server.write(promql_samples.dumped(store))
        yield server


_TWO = re.compile(r"(?<=operation: )\[.*?\](?=;many-to-many)")


def ours(store: SeriesStore, text: str, options: promql.Options, *when: int) -> Any:
    """The same shape as the real answer has: an error, or a type and rows of labels and samples."""
    try:
        answer: promql.Answer
        if len(when) == 1:
            answer = promql.instant(store, text, when[0], options)
        else:
            start, end, step = when
            answer = promql.over_range(store, text, start, end, step, options)
    except promql.PromQLError as error:
        return error.kind, _TWO.sub("[]", str(error))
    if isinstance(answer, promql.Ranges):
        return "matrix", [
            (dict(s.labels), list(zip(s.times.tolist(), s.values.tolist(), strict=True)))
            for s in answer.series
        ]
    if isinstance(answer, promql.Vector):
        return "vector", [
            (dict(labels), [(answer.at_ms, value)])
            for labels, value in zip(answer.labels, answer.values.tolist(), strict=True)
        ]
    return ("scalar" if isinstance(answer, promql.Scalar) else "string"), [
        ({}, [(answer.at_ms, answer.value)])
    ]


def theirs(answer: dict[str, Any]) -> Any:
    if answer["status"] == "error":
        # the HTTP API says of which parameter it speaks; which of several equal series is named first is chance
        return answer["errorType"], _TWO.sub(
            "[]", answer["error"].removeprefix('invalid parameter "query": ')
        )
    kind, result = answer["data"]["resultType"], answer["data"]["result"]
    if kind in {"scalar", "string"}:
        result = [{"metric": {}, "value": result}]
    rows = []
    for row in result:
        samples = row["values"] if "values" in row else [row["value"]]
        rows.append(
            (
                row["metric"],
                [(round(at * 1000), value if kind == "string" else float(value)) for at, value in samples],
            )
        )
    return kind, rows


def key(row: Any) -> list[tuple[str, str]]:
    return sorted(row[0].items())


def same(mine: Any, real: Any, *, ordered: bool) -> str:
    """What differs, or nothing."""
    if mine[0] != real[0]:
        return f"{mine[0]} instead of {real[0]}: {str(mine[1])[:300]} instead of {str(real[1])[:300]}"
    if isinstance(real[1], str):
        return "" if mine[1] == real[1] else f"{mine[1]!r} instead of {real[1]!r}"
    rows, others = (mine[1], real[1]) if ordered else (sorted(mine[1], key=key), sorted(real[1], key=key))
    if [row[0] for row in rows] != [row[0] for row in others]:
        return f"labels {[r[0] for r in rows][:6]} instead of {[r[0] for r in others][:6]} ({len(rows)}, {len(others)})"
    for (labels, samples), (_, expected) in zip(rows, others, strict=True):
        if [at for at, _ in samples] != [at for at, _ in expected]:
            return f"times of {labels}: {samples[:4]} … {len(samples)} instead of {expected[:4]} … {len(expected)}"
        for (at, value), (_, wanted) in zip(samples, expected, strict=True):
            if value != wanted and not close(value, wanted):
                return f"{labels} at {at}: {value!r} instead of {wanted!r}"
    return ""


def close(value: Any, wanted: Any) -> bool:
    if isinstance(value, str) or isinstance(wanted, str):
        return False
    if math.isnan(value) or math.isnan(wanted):
        return math.isnan(value) and math.isnan(wanted)
    return math.isclose(value, wanted, rel_tol=1e-9, abs_tol=1e-9)


def fits(group: dict[str, Any], version: tuple[int, int, int]) -> bool:
    def parts(text: str) -> tuple[int, ...]:
        return tuple(map(int, text.split(".")))

    return ("since" not in group or version >= parts(group["since"])) and (
        "until" not in group or version < parts(group["until"])
    )


def compare(
    real: prometheus_service.Prometheus,
    store: SeriesStore,
    text: str,
    options: promql.Options,
    *,
    ordered: bool,
) -> str:
    """The first moment or range at which the two differ, and how."""
    instants, ranges = (INSTANTS, RANGES) if real.binary == FOUND[0] else FEWER
    for at in instants:
        answer = theirs(real.ask("query", {"query": text, "time": at / 1000}))
        problem = same(ours(store, text, options, at), answer, ordered=ordered)
        if problem:
            return f"at {at - START}: {problem}"
    for start, end, step in ranges:
        params = {"query": text, "start": start / 1000, "end": end / 1000, "step": step / 1000}
        answer = theirs(real.ask("query_range", params))
        problem = same(ours(store, text, options, start, end, step), answer, ordered=False)
        if problem:
            return f"every {step}: {problem}"
    return ""


@pytest.mark.parametrize("name", [group["group"] for group in GROUPS])
def test_group(name: str, real: prometheus_service.Prometheus, store: SeriesStore) -> None:
    group = next(one for one in GROUPS if one["group"] == name)
    if not fits(group, real.binary.version):
        pytest.skip("this version has other functions")
    options = promql.dialect("{}.{}.{}".format(*real.binary.version))
    failures = []
    for text in group["expressions"]:
        problem = compare(real, store, text, options, ordered=group.get("ordered", False))
        if problem:
            failures.append(f"{text}\n    {problem}")
    assert not failures, f"{len(failures)} differ:\n" + "\n".join(failures)


def test_mistakes(real: prometheus_service.Prometheus, store: SeriesStore) -> None:
    if real.binary.version >= (3, 0, 0):
        pytest.skip("the grammar of Prometheus 3 takes more than ours, and words some things otherwise")
    failures = []
    for text in MISTAKES:
        kind, wanted = theirs(real.ask("query", {"query": text, "time": START / 1000}))
        if isinstance(wanted, str) and real.binary.version < (2, 50, 0):
            wanted = wanted.replace("1:1: parse error: no expr", "unknown position: parse error: no expr")
            wanted = wanted.replace("`^(?:()$`", "`(`")
        problem = same(ours(store, text, promql.DEFAULT, START), (kind, wanted), ordered=False)
        if problem:
            failures.append(f"{text!r}\n    {problem}")
    assert not failures, f"{len(failures)} differ:\n" + "\n".join(failures)


def test_there_are_enough_expressions() -> None:
    assert len({text for group in GROUPS for text in group["expressions"]}) >= 450
    assert len(MISTAKES) >= 150
