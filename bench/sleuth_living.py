"""The investigator on incidents of living worlds: score by mechanism, and what it missed.

`python bench/sleuth_living.py [--count 40] [--seed 1] [--package NAME] [--fault ID] [--keep FOLDER] [--json]`

Draws mechanisms and targets over all applications, lets each incident happen, exports it as a recorded
snapshot, and asks the investigator. An incident that nobody notices (no alert) is counted apart: such a one
would not be offered.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import sleuth_lab as lab
from firedrill import faults
from firedrill.agents.sleuth.engine import Diagnosis, decide, load_settings
from firedrill.agents.sleuth.ranking import Suspect
from firedrill.core.truth import parse_truth
from firedrill.faults import Target
from firedrill.suites.exporting import Amount, export_incident
from firedrill.suites.living import Case, CaseFault, Worlds, simulate
from firedrill.suites.living.truth import tell
from table import show

PACKAGES = ("astronomy-shop", "online-boutique", "hotel-reservation", "book-info")
AMOUNT = Amount(traces=0.05, metrics_ms=60_000, logs=0.05)


@dataclass
class Result:
    """One incident: what was broken and what was said about it."""

    number: int
    package: str
    fault: str
    args: dict[str, Any]
    roots: list[str]
    alerts: list[str]
    named: list[str]
    why: list[str]
    right: list[str]
    score: float
    seconds: list[float]


def drawn(count: int, seed: int, packages: list[str], wanted: list[str], worlds: Worlds) -> Iterator[Case]:
    """Cases: each mechanism once in some application before any comes again."""
    dice = random.Random(seed)
    made = 0
    names = sorted(wanted or faults.library())
    while made < count:
        dice.shuffle(names)
        plan = [(packages[index % len(packages)], name) for index, name in enumerate(names)][: count - made]
        # by package, so that healthy worlds are shared
        for package, name in sorted(plan):
            target = _target(package, name, seed, dice, worlds)
            if target is not None:
                yield Case(package, (CaseFault(name, target.args),), seed=seed, incident_ms=12 * 60_000)
        made += len(plan)


def _target(package: str, name: str, seed: int, dice: random.Random, worlds: Worlds) -> Target | None:
    twin = worlds.healthy(Case(package, (CaseFault(name, {}),), seed=seed))
    found = faults.targets(faults.find(name), twin.at(twin.seen_until(0).flows[-1].at))
    return dice.choice(found) if found else None


def examined(number: int, case: Case, worlds: Worlds, home: Path) -> Result:
    """Let it happen, write it down, ask the investigator, and grade what it says."""
    begin = time.process_time()
    incident = simulate(case, worlds)
    told = tell(incident, f"scenario-{number}")
    simulated = time.process_time()
    folder = home / f"Scenario-{number}"
    export_incident(incident, folder, truth=told.v1, amount=AMOUNT)
    exported = time.process_time()
    truth = parse_truth(told.v1, "truth")[0]
    fault = case.faults[0]
    item = lab.label(folder, folder.name, fault.id, case.package, truth)
    diagnosis = decide(item.case, item.hypotheses, item.rows, load_settings())
    named = [cause.entity for cause in diagnosis.causes]
    return Result(
        number=number,
        package=case.package,
        fault=fault.id,
        args=dict(fault.args),
        roots=[cause for one in incident.injections for cause in one.causes],
        alerts=sorted({one.name for one in incident.alerts}),
        named=named,
        why=[f"{one.probability:.2f} {one.entity}: {_reason(one)}" for one in diagnosis.suspects[:3]],
        right=_ranked(diagnosis, item),
        score=item.scored(named),
        seconds=[round(simulated - begin, 1), round(exported - simulated, 1), round(item.seconds, 1)],
    )


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


def main() -> None:
    """Print the scores by mechanism and every miss."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=40)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--package", action="append", default=[])
    parser.add_argument("--fault", action="append", default=[])
    parser.add_argument("--keep", type=Path, help="a new folder for the snapshots")
    parser.add_argument("--json", action="store_true", help="one line of JSON for each incident")
    given = parser.parse_args()
    home = given.keep or Path(tempfile.mkdtemp(prefix="firedrill-living-"))
    home.mkdir(parents=True, exist_ok=True)
    worlds = Worlds(2)
    found: list[Result] = []
    packages = given.package or list(PACKAGES)
    try:
        for number, case in enumerate(drawn(given.count, given.seed, packages, given.fault, worlds), 1):
            try:
                result = examined(number, case, worlds, home)
            except Exception as error:  # noqa: BLE001 - one broken incident must not end a long measurement
                print(
                    f"{number} {case.package} {case.faults[0].id}: {type(error).__name__}: {error}",
                    flush=True,
                )
                continue
            found.append(result)
            if given.json:
                print(json.dumps(asdict(result)), flush=True)
    finally:
        if given.keep is None:
            shutil.rmtree(home)
    _report(found)


def _report(found: list[Result]) -> None:
    noticed = [one for one in found if one.alerts]
    groups: dict[str, list[float]] = defaultdict(list)
    for one in noticed:
        groups[one.fault].append(one.score)
    rows = [
        (
            "all that raise an alert",
            "> 0.6",
            f"{lab.mean([one.score for one in noticed]):.3f} of {len(noticed)}",
        )
    ]
    rows += [
        (name, "", f"{lab.mean(scores):.2f} of {len(scores)}") for name, scores in sorted(groups.items())
    ]
    rows.append(("nobody notices", "", str(len(found) - len(noticed))))
    show("The investigator on living incidents (average precision at full recall)", rows)
    for one in noticed:
        if one.score < 1:
            print(f"\n{one.number} {one.package} {one.fault} {one.args}")
            print(f"  truth {one.roots}  alerts {one.alerts}")
            print("  said  " + "\n        ".join(one.why))
            print("  right " + "\n        ".join(one.right))


if __name__ == "__main__":
    main()
