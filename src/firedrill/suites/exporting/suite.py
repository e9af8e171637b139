"""Suites of living worlds as folders of recorded snapshots, for any runner of the published layout."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any

from firedrill.core.digest import digest_of
from firedrill.core.errors import InputError
from firedrill.core.scenario import Scenario
from firedrill.suites import registry
from firedrill.suites._files import write_atomic
from firedrill.suites.exporting.incident import RECORDED, Amount, export_incident
from firedrill.suites.manifest import Manifest, load_yaml, read_manifest, validate_record, write_manifest

if TYPE_CHECKING:
    from firedrill.suites.living import Worlds

VERSION = "1"
"""Rises whenever the same scenario gives other bytes."""
USUAL = Amount(traces=0.1, metrics_ms=60_000, logs=0.1)
"""What is recorded of each incident of a suite unless more is asked for."""
Progress = Callable[[int, int, str], None]
"""Told (scenarios written, scenarios wanted, the last one's name)."""
_UNDER_WAY = ".under-way"
_LIMIT = 4 * 1024 * 1024
_MOST = 20_000


@dataclass(frozen=True, slots=True)
class Source:
    """Scenarios of living worlds, and what their suite is called."""

    name: str
    version: str
    scenarios: tuple[Scenario, ...]


def find_scenarios(spec: str | Path) -> Source:
    """The scenarios that a suite's name, its folder or a scenario file stand for, in order of their files.

    Raises:
        InputError: there is no such thing, or it holds no scenario of a living world.
    """
    path = Path(spec).expanduser()
    if isinstance(spec, str) and "/" not in spec and not path.exists():
        entry = registry.find(spec)
        if entry is None:
            mend = "`firedrill suite list` names those that were added; or name a folder or a scenario file"
            raise InputError(f"no suite {spec!r}", field="suite", mend=mend)
        path = Path(entry.path)
    if path.is_file():
        files, manifest = [path], Manifest()
    elif path.is_dir():
        inner = path / "scenarios"
        files = sorted((inner if inner.is_dir() else path).glob("*.y*ml"))[:_MOST]
        manifest = read_manifest(path)
    else:
        raise InputError("no such file or folder", source=str(path))
    found = [scenario for file in files if (scenario := _read(file)) is not None]
    if not found:
        mend = "`firedrill suite generate` makes some; recorded incidents are in this layout already"
        raise InputError("holds no scenario of a living world", source=str(path), mend=mend)
    stem = path.resolve().stem if path.is_file() else path.resolve().name
    return Source(manifest.name or stem, manifest.version or VERSION, tuple(found))


def _read(path: Path) -> Scenario | None:
    data = load_yaml(path, _LIMIT)
    if not isinstance(data, dict) or data.get("kind") != "Scenario":
        return None
    if data.get("apiVersion") != "firedrill/v1":
        return None
    scenario = validate_record(Scenario, data, str(path))
    return scenario if scenario.environment.backend == "world" else None


def chosen(source: Source, names: Sequence[str], count: int | None) -> list[tuple[int, Scenario]]:
    """Some scenarios with their numbers in the suite, from 1: those of these names, and no more than `count`.

    Raises:
        InputError: one is not there.
    """
    known = {scenario.metadata.name for scenario in source.scenarios}
    for name in names:
        if name not in known:
            raise InputError(f"the suite {source.name} has no scenario {name!r}", field="--scenario")
    numbered = list(enumerate(source.scenarios, 1))
    if names:
        numbered = [pair for pair in numbered if pair[1].metadata.name in names]
    return numbered[:count]


def export_suite(
    source: Source,
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
        source: the scenarios.
        out: a new or empty folder, or one in which the same was begun.
        names: only these scenarios; all where there are none.
        count: at most so many.
        amount: how much of traces and metrics.
        processes: how many work at once, each with about 500 MB.
        progress: told of every scenario.

    Raises:
        InputError: the folder holds something else, or a scenario cannot be simulated.
    """
    wanted = chosen(source, names, count)
    work = _begin(source, wanted, out, amount)
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
    _finish(source, wanted, out, work, amount)
    return out


def _begin(source: Source, wanted: Sequence[tuple[int, Scenario]], out: Path, amount: Amount) -> Path:
    from firedrill.suites.living.writing import scenario_digest

    work = out / _UNDER_WAY
    digests = [[number, scenario_digest(scenario)] for number, scenario in wanted]
    plan = {"format": VERSION, "suite": source.name, "amount": list(amount), "scenarios": digest_of(digests)}
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
    source: Source, wanted: Sequence[tuple[int, Scenario]], out: Path, work: Path, amount: Amount
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
        "exported": {"suite": source.name, "version": source.version, "format": VERSION, **amount._asdict()},
        "scenarios": digest_of([scenario_digest(scenario) for _, scenario in wanted]),
    }
    fields = {"name": source.name, "version": source.version, "title": "Recorded incidents of living worlds"}
    write_manifest(out, validate_record(Manifest, {**fields, "provenance": about}, str(out)))
    shutil.rmtree(work)
