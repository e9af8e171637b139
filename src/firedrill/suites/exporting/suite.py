"""Suites of living worlds as folders of recorded snapshots, for any runner of the published layout."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any

from firedrill.core.digest import digest_of
from firedrill.core.errors import InputError
from firedrill.core.scenario import Scenario
from firedrill.suites._files import write_atomic
from firedrill.suites.exporting.incident import RECORDED, Amount, export_incident
from firedrill.suites.manifest import Manifest, validate_record, write_manifest
from firedrill.suites.opening import select

if TYPE_CHECKING:
    from firedrill.suites.living import Worlds
    from firedrill.suites.model import Suite

VERSION = "1"
"""Rises whenever the same scenario gives other bytes."""
USUAL = Amount(traces=0.1, metrics_ms=60_000, logs=0.1)
"""What is recorded of each incident of a suite unless more is asked for."""
Progress = Callable[[int, int, str], None]
"""Told (scenarios written, scenarios wanted, the last one's name)."""
_UNDER_WAY = ".under-way"


def chosen(suite: Suite, names: Sequence[str], count: int | None) -> list[tuple[int, Scenario]]:
    """Some scenarios with their numbers in the suite, from 1: those of these names, and no more than `count`.

    Raises:
        InputError: one is not there, or none of them is about a living world.
    """
    items = select(suite, names) if names else suite.scenarios
    wanted = {item.id for item in items}
    found = [
        (number, item.scenario)
        for number, item in enumerate(suite.scenarios, 1)
        if item.id in wanted and item.scenario.environment.backend == "world"
    ]
    if not found:
        mend = "`firedrill suite generate` makes some; recorded incidents are in this layout already"
        raise InputError(f"{suite.name} has no scenario of a living world", source=str(suite.root), mend=mend)
    return found[:count]


def export_suite(
    suite: Suite,
    out: Path,
    *,
    names: Sequence[str] = (),
    count: int | None = None,
    amount: Amount = USUAL,
    processes: int = 2,
    progress: Progress | None = None,
) -> Path:
    """Let each scenario happen and write it as a recorded snapshot.

    The layout is that of ITBench-AA: `sre/data.jsonl`, `sre/Scenario-<N>/` and `suite.yaml`. An export that
    was interrupted goes on where it was; each incident appears whole or not at all. The same scenarios give
    the same bytes, whoever wrote what.

    Args:
        suite: of scenarios of living worlds, as `open_suite` gives it.
        out: a new or empty folder, or one in which the same was begun.
        names: only these scenarios; all where there are none.
        count: at most so many.
        amount: how much of traces and metrics.
        processes: how many work at once, each with about 500 MB.
        progress: told of every scenario.

    Raises:
        InputError: the folder holds something else, or a scenario cannot be simulated.
    """
    wanted = chosen(suite, names, count)
    work = _begin(suite, wanted, out, amount)
    place = out / "sre"
    done = sum((place / f"Scenario-{number}").is_dir() for number, _ in wanted)
    open_ = [pair for pair in wanted if not (place / f"Scenario-{pair[0]}").is_dir()]

    def note(name: str) -> None:
        nonlocal done
        done += 1
        if progress is not None:
            progress(done, len(wanted), name)

    batches = _batches(open_)
    if processes <= 1 or len(batches) <= 1:
        for batch in batches:
            for name in _export_all(batch, str(out), amount):
                note(name)
    else:
        _together(batches, out, amount, processes, note)
    _finish(suite, wanted, out, work, amount)
    return out


def _begin(suite: Suite, wanted: Sequence[tuple[int, Scenario]], out: Path, amount: Amount) -> Path:
    from firedrill.suites.living.writing import scenario_digest

    work = out / _UNDER_WAY
    digests = [[number, scenario_digest(scenario)] for number, scenario in wanted]
    plan = {"format": VERSION, "suite": suite.name, "amount": list(amount), "scenarios": digest_of(digests)}
    path = work / "plan.json"
    if path.is_file():
        if json.loads(path.read_bytes()) != plan:
            problem = "the export of something else was begun in this folder"
            raise InputError(problem, source=str(out), mend="name another folder, or remove this one")
        return work
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError("is there already and not empty", source=str(out), mend="name another folder")
    try:
        (out / "sre").mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot be made: {error.strerror}", source=str(out)) from error
    write_atomic(path, json.dumps(plan).encode())
    return work


def _batches(wanted: Sequence[tuple[int, Scenario]]) -> list[list[tuple[int, dict[str, Any]]]]:
    """Scenarios of one world together, as plain data."""
    from firedrill.suites.living.writing import case_of, dump

    groups: dict[tuple[Any, ...], list[tuple[int, dict[str, Any]]]] = {}
    for number, scenario in wanted:
        key = case_of(scenario, scenario.metadata.name).world_key
        groups.setdefault(key, []).append((number, dump(scenario)))
    return list(groups.values())


def _together(
    batches: list[list[tuple[int, dict[str, Any]]]],
    out: Path,
    amount: Amount,
    processes: int,
    note: Callable[[str], None],
) -> None:
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        running: set[Future[list[str]]] = set()
        try:
            for batch in batches:
                running.add(pool.submit(_export_all, batch, str(out), amount))
            while running:
                ended, running = wait(running, return_when=FIRST_COMPLETED)
                for future in ended:
                    for name in future.result():
                        note(name)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _export_all(batch: Sequence[tuple[int, dict[str, Any]]], out: str, amount: Amount) -> list[str]:
    """What one process does at a time: all scenarios of one world."""
    from firedrill.suites.living import Worlds

    worlds = Worlds(1)
    names = []
    for number, data in batch:
        scenario = validate_record(Scenario, data, f"Scenario-{number}")
        export_scenario(scenario, Path(out) / "sre" / f"Scenario-{number}", worlds, amount)
        names.append(scenario.metadata.name)
    return names


def export_scenario(
    scenario: Scenario, folder: Path, worlds: Worlds | None = None, amount: Amount = USUAL
) -> None:
    """Let one scenario happen and write it into a new folder, which appears whole or not at all.

    Raises:
        InputError: it cannot be simulated, or the folder cannot be made.
    """
    from firedrill.suites.living import simulate
    from firedrill.suites.living.writing import case_of, truth_texts

    case = case_of(scenario, scenario.metadata.name)
    incident = simulate(case, worlds)
    place = folder.parent / f".{folder.name}.{os.getpid()}"
    shutil.rmtree(place, ignore_errors=True)
    try:
        modalities = [name for name in RECORDED if name in case.modalities]
        export_incident(incident, place, modalities=modalities, amount=amount)
        for name, text in zip(
            ("ground_truth.yaml", "ground_truth_v2.yaml"), truth_texts(scenario), strict=True
        ):
            write_atomic(place / name, text.encode())
        place.replace(folder)
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _finish(
    suite: Suite, wanted: Sequence[tuple[int, Scenario]], out: Path, work: Path, amount: Amount
) -> None:
    from firedrill.suites.living.writing import scenario_digest, truth_texts

    rows = [
        {
            "id_aa": scenario.metadata.name,
            "scenario_id": f"Scenario-{number}",
            "category": "sre",
            "source_split": "test",
            "scenario_root": "/home/user",
            "fault_class": scenario.metadata.fault_class,
            "complexity": scenario.metadata.complexity,
            "ground_truth_yaml": truth_texts(scenario)[0],
        }
        for number, scenario in wanted
    ]
    lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    write_atomic(out / "sre" / "data.jsonl", lines.encode())
    about = {
        "exported": {"suite": suite.name, "version": suite.version, "format": VERSION, **amount._asdict()},
        "scenarios": digest_of([scenario_digest(scenario) for _, scenario in wanted]),
    }
    fields = {"name": suite.name, "version": suite.version, "title": "Recorded incidents of living worlds"}
    write_manifest(out, validate_record(Manifest, {**fields, "provenance": about}, str(out)))
    shutil.rmtree(work)
