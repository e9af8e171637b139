"""The investigator on incidents of living worlds: score by mechanism and family, ablations, what it missed.

`python bench/sleuth_living.py [--count 40] [--seed 1] [--package NAME] [--fault ID] [--keep FOLDER]
[--ablate] [--processes 2] [--json]`

Each mechanism is drawn in some application before any comes again, and applications take turns; where a
mechanism fits nowhere in one, the next takes its place. Each incident happens in a world with background
life and an innocent change before it, is exported as a recorded snapshot with what suites record, and the
investigator is asked. An incident that nobody notices (no alert) is counted apart: such a one would not be
offered. With --keep the snapshots stay: a run that was interrupted goes on, and the same draw is graded again
without being simulated. --ablate asks again without each modality.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import sleuth_lab as lab
from firedrill import faults
from firedrill.agents.sleuth.engine import Diagnosis, decide, load_settings
from firedrill.agents.sleuth.ranking import Suspect
from firedrill.core.truth import parse_truth
from firedrill.suites.exporting import export_incident
from firedrill.suites.exporting.suite import USUAL
from firedrill.suites.living import Case, CaseFault, Worlds, simulate
from firedrill.suites.living.truth import tell
from table import show

PACKAGES = ("astronomy-shop", "online-boutique", "hotel-reservation", "book-info")
MODALITIES = ("objects", "events", "logs", "alerts", "metrics", "traces")
INCIDENT_MS = 12 * 60_000
_NICE = 5


@dataclass(frozen=True, order=True)
class Draw:
    """One incident to be made: a mechanism in an application, for the `turn`-th time."""

    package: str
    fault: str
    seed: int
    turn: int

    @property
    def name(self) -> str:
        """Of its folder: it is in no snapshot."""
        return f"{self.seed}-{self.turn}-{self.package}-{self.fault}"


@dataclass
class Result:
    """One incident: what was broken and what was said about it. `score` is without a value where unfit."""

    name: str
    package: str
    fault: str
    family: str
    args: dict[str, Any] = field(default_factory=dict)
    roots: list[str] = field(default_factory=list)
    alerts: list[str] = field(default_factory=list)
    named: list[str] = field(default_factory=list)
    why: list[str] = field(default_factory=list)
    right: list[str] = field(default_factory=list)
    score: float | None = None
    without: dict[str, float] = field(default_factory=dict)
    confidence: float = 0.0
    seconds: float = 0.0
    problem: str = ""


def drawn(count: int, seed: int, packages: Sequence[str], wanted: Sequence[str]) -> list[Draw]:
    """Each mechanism once before any comes again; applications take turns."""
    dice = random.Random(seed)
    names = sorted(wanted or faults.library())
    found: list[Draw] = []
    while len(found) < count:
        turn = len(found) // len(names)
        dice.shuffle(names)
        found += [
            Draw(packages[(i + turn) % len(packages)], name, seed, turn) for i, name in enumerate(names)
        ]
    return found[:count]


def made(batch: Sequence[Draw], home: Path) -> list[Draw]:
    """Let the incidents of one application happen and write them down; returns those that fit nowhere."""
    _quiet()
    worlds, unfit = Worlds(1), []
    for draw in batch:
        folder = home / draw.name
        if not (folder / "case.json").is_file():
            _make(draw, folder, worlds)
        if json.loads((folder / "case.json").read_text()).get("unfit"):
            unfit.append(draw)
    return unfit


def _make(draw: Draw, folder: Path, worlds: Worlds) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    bare = Case(draw.package, (CaseFault(draw.fault, {}),), seed=draw.seed, life=1, red_herrings=1)
    twin = worlds.healthy(bare)
    found = faults.targets(faults.find(draw.fault), twin.at(twin.seen_until(0).flows[-1].at))
    about: dict[str, Any] = {"unfit": not found}
    if found:
        target = random.Random(draw.name).choice(found)
        case = Case(
            draw.package,
            (CaseFault(draw.fault, target.args),),
            seed=draw.seed,
            life=1,
            red_herrings=1,
            incident_ms=INCIDENT_MS,
        )
        about["args"] = dict(target.args)
        try:
            incident = simulate(case, worlds)
            told = tell(incident, draw.name)
            export_incident(incident, folder / "snapshot", truth=told.v1, amount=USUAL)
            about["truth"] = told.v1
            about["roots"] = [cause for one in incident.injections for cause in one.causes]
            about["alerts"] = sorted({one.name for one in incident.alerts})
        except Exception as error:  # noqa: BLE001 - one broken incident must not end a long measurement
            about["problem"] = f"{type(error).__name__}: {error}"
    staging = folder / "case.json.part"
    staging.write_text(json.dumps(about, default=str))
    staging.rename(folder / "case.json")


def judged(draw: Draw, home: Path, ablate: bool) -> Result:
    """What the investigator says of one that was made, and what that is worth."""
    _quiet()
    folder = home / draw.name
    about = json.loads((folder / "case.json").read_text())
    result = Result(draw.name, draw.package, draw.fault, faults.find(draw.fault).family)
    result.args, result.problem = about.get("args", {}), about.get("problem", "")
    result.roots, result.alerts = about.get("roots", []), about.get("alerts", [])
    if result.problem or not result.alerts:
        return result
    truth = parse_truth(about["truth"], "truth")[0]
    started = time.process_time()
    item = lab.label(folder / "snapshot", draw.name, draw.fault, draw.package, truth)
    diagnosis = decide(item.case, item.hypotheses, item.rows, load_settings())
    result.seconds = round(time.process_time() - started, 1)
    result.named = [cause.entity for cause in diagnosis.causes]
    result.confidence = round(diagnosis.confidence, 3)
    result.why = [f"{one.probability:.2f} {one.entity}: {_reason(one)}" for one in diagnosis.suspects[:3]]
    result.right = _ranked(diagnosis, item)
    result.score = item.scored(result.named)
    for modality in MODALITIES if ablate else ():
        less = lab.label(
            folder / "snapshot", draw.name, draw.fault, draw.package, truth, frozenset({modality})
        )
        answer = decide(less.case, less.hypotheses, less.rows, load_settings())
        result.without[modality] = less.scored([cause.entity for cause in answer.causes])
    return result


def _ranked(diagnosis: Diagnosis, item: lab.Labelled) -> list[str]:
    """The right suspicions with their places in the answer; 0 where one is not among them."""
    order = [suspect.entity for suspect in diagnosis.suspects]
    found = set()
    for one, good in zip(item.hypotheses, item.right, strict=True):
        if good:
            place = order.index(one.entity) + 1 if one.entity in order else 0
            found.add(f"{place} {one.entity}: {one.summary[:120]}")
    return sorted(found)[:3]


def _reason(suspect: Suspect) -> str:
    return suspect.reasons[0].hypothesis.summary[:140]


def _quiet() -> None:
    if os.nice(0) < _NICE:
        os.nice(_NICE - os.nice(0))


def measured(given: argparse.Namespace, home: Path, tell_of: Callable[[Result], None]) -> list[Result]:
    """Make what is not made yet, an application at a time in each process, and judge all."""
    packages = given.package or list(PACKAGES)
    draws = drawn(given.count, given.seed, packages, given.fault)
    found: list[Result] = []
    waiting, fits = draws, []
    with ProcessPoolExecutor(given.processes, mp_context=get_context("spawn")) as pool:
        for _ in packages:
            batches: dict[str, list[Draw]] = defaultdict(list)
            for draw in sorted(waiting):
                batches[draw.package].append(draw)
            jobs = {pool.submit(made, batch, home): batch for batch in batches.values()}
            unfit = []
            for job in as_completed(jobs):
                unfit += job.result()
                fits += [draw for draw in jobs[job] if draw not in unfit]
            waiting = [
                Draw(packages[(packages.index(d.package) + 1) % len(packages)], d.fault, d.seed, d.turn)
                for d in sorted(unfit)
            ]
            if not waiting:
                break
        for result in pool.map(judged, fits, [home] * len(fits), [given.ablate] * len(fits)):
            found.append(result)
            tell_of(result)
    for draw in waiting:
        print(f"{draw.fault} fits none of {', '.join(packages)}", file=sys.stderr)
    return sorted(found, key=lambda one: one.name)


def main() -> None:
    """Print the scores and every miss."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=40)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--package", action="append", default=[])
    parser.add_argument("--fault", action="append", default=[])
    parser.add_argument("--keep", type=Path, help="a folder in which snapshots stay for further runs")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--ablate", action="store_true", help="ask again without each modality")
    parser.add_argument("--json", action="store_true", help="one line of JSON for each incident, and no more")
    given = parser.parse_args()
    home = given.keep or Path(tempfile.mkdtemp(prefix="firedrill-living-"))
    home.mkdir(parents=True, exist_ok=True)

    def tell_of(result: Result) -> None:
        if given.json:
            print(json.dumps(asdict(result)), flush=True)

    try:
        found = measured(given, home, tell_of)
    finally:
        if given.keep is None:
            shutil.rmtree(home)
    if not given.json:
        _report(found)


def _scores(found: Sequence[Result], key: str) -> list[tuple[str, str, str]]:
    groups: dict[str, list[float]] = defaultdict(list)
    for one in found:
        groups[getattr(one, key)].append(one.score or 0.0)
    return [(name, "", f"{lab.mean(scores):.2f} of {len(scores)}") for name, scores in sorted(groups.items())]


def _report(found: Sequence[Result]) -> None:
    noticed = [one for one in found if one.score is not None]
    mean = lab.mean([one.score or 0.0 for one in noticed])
    rows = [("all that raise an alert", "> 0.6", f"{mean:.3f} of {len(noticed)}")]
    sane = lab.mean([float(bool(one.right)) for one in noticed])
    rows.append(("a right suspicion exists", "", f"{sane:.3f}"))
    rows.append(("nobody notices", "", str(sum(not one.alerts and not one.problem for one in found))))
    rows.append(("could not be made", "", str(sum(bool(one.problem) for one in found))))
    for modality in MODALITIES:
        told = [one.without[modality] for one in noticed if modality in one.without]
        if told:
            rows.append((f"without {modality}", "", f"{lab.mean(told):.3f} of {len(told)}"))
    show("The investigator on living incidents (average precision at full recall)", rows)
    show("By family of the fault", _scores(noticed, "family"))
    show("By application", _scores(noticed, "package"))
    show("By mechanism", _scores(noticed, "fault"))
    for one in found:
        if one.problem:
            print(f"\n{one.name}: {one.problem}")
        elif one.score is not None and one.score < 1:
            print(f"\n{one.name} {one.args}")
            print(f"  truth {one.roots}  alerts {one.alerts}")
            print(f"  score {one.score:.2f}")
            print("  said  " + "\n        ".join(one.why))
            print("  right " + "\n        ".join(one.right))


if __name__ == "__main__":
    main()
