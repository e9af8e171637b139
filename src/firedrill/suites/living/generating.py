"""Making suites: a draw is worked off by several processes, and what is done is never done twice.

Every slot leaves a file behind. A suite that was interrupted goes on with the slots that have none; what
comes out is the same, whoever did what.
"""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import asdict, dataclass
from itertools import islice
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from firedrill.core.digest import digest_of
from firedrill.core.errors import InputError
from firedrill.suites._files import write_atomic
from firedrill.suites.living.drafting import Choice, Slot, slots
from firedrill.suites.living.making import ATTEMPTS, Made, make
from firedrill.suites.living.worlds import Worlds
from firedrill.suites.living.writing import text_of
from firedrill.suites.manifest import Manifest, validate_record, write_manifest

VERSION = "3"
"""Of the generator: what is drawn and simulated under one version stays the same."""
FOLDER, ACCEPTANCE = "scenarios", "acceptance.json"
_UNDER_WAY = ".under-way"
_MOST_TRIES = 6
"""Slots that are tried for each scenario that is wanted, before the draw is given up."""
Progress = Callable[[int, int, str], None]
"""Called with the scenarios that are done, those that are wanted, and what was done last."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be generated.

    Attributes:
        choice: what the draw is made from.
        count: how many scenarios.
        name: of the suite.
        full: whether causes are put to the test by healing too.
    """

    choice: Choice
    count: int
    name: str = "generated"
    full: bool = False

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        choice = {key: item for key, item in asdict(self.choice).items() if item not in ("", (), None)}
        about = {"name": "firedrill", "version": VERSION}
        return {"generator": about, "count": self.count, "certificate": self.full, **choice}


@dataclass(frozen=True, slots=True)
class Generated:
    """What came of it.

    Attributes:
        folder: of the suite.
        scenarios: how many there are.
        tried, kept: cases by mechanism.
        reasons: why cases were not kept: mechanism, then reason, then how many.
    """

    folder: Path
    scenarios: int
    tried: Mapping[str, int]
    kept: Mapping[str, int]
    reasons: Mapping[str, Mapping[str, int]]

    def to_json(self) -> dict[str, Any]:
        """As `acceptance.json` has it: rates by mechanism, and why the rest was not kept."""
        rows = {
            name: {
                "tried": count,
                "kept": self.kept.get(name, 0),
                "rate": round(self.kept.get(name, 0) / count, 3),
                "refused": dict(self.reasons.get(name, {})),
            }
            for name, count in self.tried.items()
        }
        tried, kept = sum(self.tried.values()), sum(self.kept.values())
        return {"tried": tried, "kept": kept, "rate": round(kept / max(tried, 1), 3), "mechanisms": rows}


def generate(wanted: Wanted, out: Path, *, processes: int = 2, progress: Progress | None = None) -> Generated:
    """Write a suite of new scenarios into a folder, or go on with one that was interrupted.

    Args:
        wanted: what to generate.
        out: a new or empty folder, or one in which the same was begun.
        processes: how many work at once, each with about 400 MB.
        progress: told of every slot.

    Raises:
        InputError: the folder holds something else, nothing can be drawn, or too little is kept.
    """
    next(slots(wanted.choice))  # what cannot be drawn leaves no folder behind
    work = _begin(wanted, out)
    done = _read(work)
    _work(wanted, work, done, processes, progress)
    made = _first(wanted, done)
    if sum(item.scenario is not None for item in made) < wanted.count:
        kept = sum(item.scenario is not None for item in made)
        reasons = Counter(reason for item in made for reason in item.refused).most_common(3)
        raise InputError(
            f"only {kept} of {wanted.count} scenarios could be made: "
            + ", ".join(f"{reason} ({count})" for reason, count in reasons),
            source=str(out),
            mend="ask for fewer, or for other mechanisms, applications or difficulties",
        )
    return _finish(wanted, out, work, made)


def _begin(wanted: Wanted, out: Path) -> Path:
    work = out / _UNDER_WAY
    plan = {**wanted.to_json(), "name": wanted.name}
    path = work / "plan.json"
    if path.is_file():
        if json.loads(path.read_bytes()) != json.loads(json.dumps(plan)):
            problem = "something else was begun in this folder"
            raise InputError(problem, source=str(out), mend="name another folder, or remove this one")
        return work
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError("is there already and not empty", source=str(out), mend="name another folder")
    work.mkdir(parents=True, exist_ok=True)
    write_atomic(path, json.dumps(plan).encode())
    return work


def _read(work: Path) -> dict[int, Made]:
    out = {}
    for path in sorted(work.glob("slot-*.json")):
        made = Made.from_json(json.loads(path.read_bytes()))
        out[made.number] = made
    return out


def scenario_name(wanted: Wanted, number: int) -> str:
    """What the scenario of a slot is called: it tells nothing of what broke."""
    mark = digest_of([wanted.choice.seed, number]).removeprefix("sha256:")[:6]
    return f"{wanted.name}-{number:04d}-{mark}"


def _batches(wanted: Wanted, done: Mapping[int, Made]) -> Iterator[list[Slot]]:
    """The slots that are to be done, those of one world together, in the order of their first."""
    spare = max(2, wanted.count // 16)
    draw = slots(wanted.choice)
    for turn in range(_MOST_TRIES):
        groups: dict[tuple[Any, ...], list[Slot]] = {}
        for slot in islice(draw, spare << turn if turn else wanted.count + spare):
            if slot.number not in done:
                groups.setdefault(slot.bare.world_key, []).append(slot)
        yield from groups.values()
        yield []


def _work(
    wanted: Wanted, work: Path, done: dict[int, Made], processes: int, progress: Progress | None
) -> None:
    """Do batches until the first slots hold enough; an empty batch marks where one may stop."""

    def note(made: Made) -> None:
        done[made.number] = made
        if progress is not None:
            kept = sum(item.scenario is not None for item in done.values())
            what = "kept" if made.scenario is not None else made.refused[-1] if made.refused else ""
            progress(kept, wanted.count, f"{made.mechanism} in {made.application}: {what}")

    if processes <= 1:
        for batch in _batches(wanted, done):
            if not batch and _enough(wanted, done):
                return
            for made in _made(wanted, batch, work):
                note(made)
        return
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        running: set[Future[list[Made]]] = set()
        try:
            for batch in _batches(wanted, done):
                if batch:
                    running.add(pool.submit(_make_all, wanted, batch, work))
                while running and (not batch or len(running) > 2 * processes):
                    ended, running = wait(running, return_when=FIRST_COMPLETED)
                    for future in ended:
                        for made in future.result():
                            note(made)
                if not batch and _enough(wanted, done):
                    return
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _make_all(wanted: Wanted, batch: Sequence[Slot], work: Path) -> list[Made]:
    """What one process does at a time: all slots of one world."""
    return list(_made(wanted, batch, work))


def _made(wanted: Wanted, batch: Sequence[Slot], work: Path) -> Iterator[Made]:
    """The slots of one world, each kept in the folder as soon as it is done."""
    worlds = Worlds(1)
    for slot in batch:
        name = scenario_name(wanted, slot.number)
        made = make(wanted.choice, slot, name, worlds, full=wanted.full)
        write_atomic(work / f"slot-{made.number:05d}.json", json.dumps(made.to_json()).encode())
        yield made


def _first(wanted: Wanted, done: Mapping[int, Made]) -> list[Made]:
    """The slots up to the one that completes the suite, without gaps."""
    out: list[Made] = []
    kept = number = 0
    while number in done and kept < wanted.count:
        out.append(done[number])
        kept += done[number].scenario is not None
        number += 1
    return out


def _enough(wanted: Wanted, done: Mapping[int, Made]) -> bool:
    return sum(item.scenario is not None for item in _first(wanted, done)) >= wanted.count


def _finish(wanted: Wanted, out: Path, work: Path, made: Sequence[Made]) -> Generated:
    from firedrill.core.scenario import Scenario

    for item in made:
        if item.scenario is not None:
            scenario = validate_record(Scenario, item.scenario, "what was generated")
            write_atomic(out / FOLDER / f"{scenario.metadata.name}.yaml", text_of(scenario).encode())
    report = acceptance(out, made)
    text = json.dumps(report.to_json(), indent=2, sort_keys=True) + "\n"
    write_atomic(out / ACCEPTANCE, text.encode())
    fields = {"name": wanted.name, "version": f"{VERSION}.{wanted.choice.seed}"}
    fields["title"] = "Incidents on living worlds"
    write_manifest(out, validate_record(Manifest, {**fields, "provenance": wanted.to_json()}, str(out)))
    shutil.rmtree(work)
    return report


def acceptance(folder: Path, made: Sequence[Made]) -> Generated:
    """How many cases were kept, by mechanism, and why the others were not."""
    tried: Counter[str] = Counter()
    kept: Counter[str] = Counter()
    reasons: dict[str, Counter[str]] = {}
    for item in made:
        tried[item.mechanism] += len(item.refused) + (item.scenario is not None)
        kept[item.mechanism] += item.scenario is not None
        reasons.setdefault(item.mechanism, Counter()).update(item.refused)
    order = sorted(tried)
    return Generated(
        folder,
        sum(kept.values()),
        {name: tried[name] for name in order},
        {name: kept[name] for name in order},
        {name: dict(sorted(reasons[name].items())) for name in order},
    )


__all__ = [
    "ACCEPTANCE",
    "ATTEMPTS",
    "FOLDER",
    "Generated",
    "Progress",
    "Wanted",
    "acceptance",
    "generate",
    "scenario_name",
]
