"""Building the suites that come with Firedrill: from tables of incidents, and by choice among drawn ones."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from firedrill.core.errors import InputError
from firedrill.core.scenario import Metadata, Scenario
from firedrill.suites._files import write_atomic
from firedrill.suites.living.case import Case
from firedrill.suites.living.itbench import case_of_specification, parse_specification
from firedrill.suites.living.making import attempt
from firedrill.suites.living.tables import Row, rows
from firedrill.suites.living.worlds import Worlds
from firedrill.suites.manifest import validate_record

SEEDS = (1, 2, 3)
"""Worlds in which a row of a table is tried, one after the other."""
LITE = 21
_TOGETHER = 8
Tell = Callable[[str], None]


def run_table(
    table: str, work: Path, *, processes: int = 2, full: bool = False, tell: Tell | None = None
) -> tuple[list[Scenario], dict[str, str]]:
    """The scenarios of a table's rows, and for the rows that give none the reason.

    What is done is kept in the folder, and not done again.

    Args:
        table: `itbench-sre` or `sre-paper`.
        work: folder for what is under way.
        processes: how many work at once.
        full: whether causes are proved by healing.
        tell: told of each row.
    """
    todo = [row for row in rows(table) if not (work / f"{row.id}.json").is_file()]
    work.mkdir(parents=True, exist_ok=True)
    jobs = [(table, batch, full) for batch in _batches(todo)]
    if processes <= 1:
        for job in jobs:
            _note(work, _run_rows(*job), tell)
    elif jobs:
        with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
            for future in as_completed([pool.submit(_run_rows, *job) for job in jobs]):
                _note(work, future.result(), tell)
    scenarios, left_out = [], {}
    for row in rows(table):
        made = json.loads((work / f"{row.id}.json").read_bytes())
        if made["scenario"] is None:
            left_out[row.id] = made["why"]
        else:
            scenarios.append(validate_record(Scenario, made["scenario"], row.id))
    return scenarios, left_out


def _note(work: Path, made: Mapping[str, Mapping[str, Any]], tell: Tell | None) -> None:
    for name, found in made.items():
        write_atomic(work / f"{name}.json", json.dumps(found).encode())
        if tell is not None:
            tell(f"{name}: {found['why'] or 'kept'}")


def _batches(todo: Sequence[Row]) -> list[list[Row]]:
    """Rows that share a world, a few at a time."""
    groups: dict[tuple[Any, ...], list[Row]] = {}
    for row in todo:
        applications = row.specification["spec"]["applications"]
        waits = [item.get("waitFor", {}).get("preInjection") for item in row.specification["spec"]["faults"]]
        groups.setdefault((json.dumps([applications, waits]),), []).append(row)
    return [
        group[start : start + _TOGETHER]
        for group in groups.values()
        for start in range(0, len(group), _TOGETHER)
    ]


def _run_rows(table: str, batch: Sequence[Row], full: bool) -> dict[str, dict[str, Any]]:
    """What becomes of rows that share a world; those that give nothing are tried in further worlds."""
    out: dict[str, dict[str, Any]] = {}
    for seed in SEEDS:
        worlds = Worlds(1)
        for row in batch:
            if row.id in out and (out[row.id]["scenario"] is not None or not out[row.id]["again"]):
                continue
            try:
                case = case_of_specification(parse_specification(row.specification, row.id), seed)
                found, why = _try_row(table, row, case, full, worlds)
                out[row.id] = {"scenario": found, "why": why, "again": True}
            except InputError as error:
                out[row.id] = {"scenario": None, "why": error.problem, "again": False}
    return {name: {"scenario": found["scenario"], "why": found["why"]} for name, found in out.items()}


def _try_row(
    table: str, row: Row, case: Case, full: bool, worlds: Worlds
) -> tuple[dict[str, Any] | None, str]:
    name, tags = f"itbench-{row.id}", [f"labelled-{row.complexity}"]
    if table != "itbench-sre":
        # the names of patterns would tell what broke
        number = [other.id for other in rows(table)].index(row.id) + 1
        name, tags = f"{table}-{number:02d}", [f"pattern-{row.id}"]
    return attempt(case, name, worlds, full=full, tags=tags)


def with_and_without_traces(scenarios: Iterable[Scenario]) -> list[Scenario]:
    """Each scenario twice: with traces, and the same one without."""
    out: list[Scenario] = []
    for scenario in scenarios:
        seen = tuple(name for name in scenario.environment.modalities if name != "traces")
        environment = scenario.environment.model_copy(update={"modalities": seen})
        bare = scenario.model_copy(update={"environment": environment})
        out += [scenario, under_name(bare, f"{scenario.metadata.name}-without-traces")]
    return out


def under_name(scenario: Scenario, name: str) -> Scenario:
    """The same scenario and truth under another name."""
    metadata = Metadata.model_validate({**scenario.metadata.model_dump(by_alias=True), "name": name})
    truth = {**scenario.truth, "metadata": {"name": name}}
    return scenario.model_copy(update={"metadata": metadata, "truth": truth})


def choose_lite(scenarios: Sequence[Scenario], count: int = LITE) -> list[Scenario]:
    """So many of the scenarios, balanced by application, difficulty, family and mechanism.

    Each time the one is taken whose kinds have been taken least; of equals, the first.
    """
    left = list(scenarios)
    out: list[Scenario] = []
    taken: Counter[tuple[str, str]] = Counter()
    while left and len(out) < count:
        best = min(left, key=lambda item: tuple(sorted((taken[kind] for kind in _kinds(item)), reverse=True)))
        left.remove(best)
        taken.update(_kinds(best))
        out.append(best)
    return sorted(out, key=lambda item: item.metadata.name)


def _kinds(scenario: Scenario) -> tuple[tuple[str, str], ...]:
    return (
        ("application", scenario.environment.application or ""),
        ("difficulty", scenario.metadata.complexity),
        *(("mechanism", item.id) for item in scenario.faults[:1]),
        ("family", scenario.metadata.fault_class),
    )


def renamed(scenarios: Iterable[Scenario], prefix: str) -> list[Scenario]:
    """The scenarios under names of their own: the prefix and a number."""
    return [under_name(item, f"{prefix}-{number:03d}") for number, item in enumerate(scenarios, start=1)]


__all__ = ["LITE", "choose_lite", "renamed", "run_table", "under_name", "with_and_without_traces"]
