"""Fresh incidents of living worlds for the investigator's benchmark: drawn, let happen, and kept.

The draw is that of `firedrill suite generate`: mechanism, application, target, moment, load, noise and the
modalities that are withheld. What is kept is healthy before, is alerted in time, lasts, and goes on (the
cheap points of a certificate); causes are not put to the test by healing, which takes several times as long.
"""

from __future__ import annotations

import hashlib
import json
import random
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from firedrill import faults
from firedrill.core.errors import InfrastructureError, InputError
from firedrill.suites.exporting import export_incident
from firedrill.suites.exporting.suite import USUAL
from firedrill.suites.living.checking import check
from firedrill.suites.living.drafting import Choice, Slot, settle, slots
from firedrill.suites.living.simulating import simulate
from firedrill.suites.living.truth import tell
from firedrill.suites.living.worlds import Worlds

if TYPE_CHECKING:
    from firedrill.suites.living.case import Case

INCIDENT_MS = 12 * 60_000
"""How long an incident is recorded after its first alert."""
HALVES = ("dev", "held")
_ATTEMPTS = 2
"""Targets that are tried before a slot of the draw is given up."""
_WINDOW = 300
"""Slots in which every mechanism comes twice; of them worlds are drawn in a random order."""


def half(mechanism: str) -> str:
    """`dev` for mechanisms whose misses may be looked at, `held` for those that only count."""
    return HALVES[hashlib.sha256(mechanism.encode()).digest()[0] % 2]


@dataclass(frozen=True)
class Draw:
    """What incidents are drawn from: `count` slots of the generator's draw with this seed."""

    count: int
    seed: int
    packages: tuple[str, ...] = ()
    mechanisms: tuple[str, ...] = ()

    @property
    def choice(self) -> Choice:
        """The same for the generator."""
        return Choice(self.seed, applications=self.packages, mechanisms=self.mechanisms)

    def to_json(self) -> dict[str, Any]:
        """What has to be the same for a folder to be gone on with; a longer draw begins with a shorter."""
        return {"seed": self.seed, "packages": list(self.packages), "mechanisms": list(self.mechanisms)}


@dataclass(frozen=True)
class Made:
    """One slot of the draw that was worked off; `refused` says why it gave no incident, else it is empty."""

    folder: Path
    package: str
    mechanism: str
    difficulty: str
    refused: str
    args: tuple[dict[str, Any], ...]
    roots: tuple[str, ...]
    alerts: tuple[str, ...]
    modalities: frozenset[str]
    truth: dict[str, Any]

    @property
    def name(self) -> str:
        """Of the incident, for tables; it is in no snapshot."""
        return f"{self.folder.name} {self.package} {self.mechanism}"


def made(draw: Draw, home: Path, *, only: bool = False) -> Iterator[Made]:
    """Every slot of a draw, in the order in which they are worked off; those that are done are read.

    Args:
        draw: what to make.
        home: where incidents stay; a folder in which the same draw was begun is gone on with.
        only: nothing new is made.

    Raises:
        InputError: the folder holds another draw.
    """
    plan = home / "plan.json"
    if not plan.is_file():
        plan.write_text(json.dumps(draw.to_json()))
    elif json.loads(plan.read_text()) != draw.to_json():
        raise InputError("another draw was begun in this folder", source=str(home), mend="name another one")
    places = [home / f"{number:04d}" for number in range(draw.count)]
    missing = {place for place in places if not (place / "case.json").is_file()}
    for place in places:
        if place not in missing:
            yield _read(place)
    if missing and not only:
        worlds = Worlds(1)
        for slot, place in zip(_order(draw), places, strict=False):
            if place in missing:
                _make(draw, slot, place, worlds)
                yield _read(place)


def _order(draw: Draw) -> Iterator[Slot]:
    """The slots of a draw, those of one world behind one another, and worlds in a random order."""
    row = slots(draw.choice)
    dice = random.Random(draw.seed)
    while True:
        groups: dict[tuple[Any, ...], list[Slot]] = {}
        for slot in islice(row, _WINDOW):
            groups.setdefault(slot.bare.world_key, []).append(slot)
        for key in dice.sample(list(groups), len(groups)):
            yield from groups[key]


def _make(draw: Draw, slot: Slot, folder: Path, worlds: Worlds) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    about: dict[str, Any] = {"package": slot.application, "mechanism": slot.mechanism}
    about["difficulty"] = slot.drawn
    refused = []
    for attempt in range(_ATTEMPTS):
        try:
            case = settle(draw.choice, slot, attempt, worlds)
            if case is None:
                refused.append("it does not fit this world")
                break
            why = _happen(replace(case, incident_ms=INCIDENT_MS), folder, worlds, about)
        except (ImportError, OSError, InfrastructureError):
            raise  # that says nothing of the incident
        except Exception as error:  # noqa: BLE001 - one broken incident must not end a long measurement
            why = f"{type(error).__name__}: {error}"
        if not why:
            refused = []
            break
        refused.append(why)
    about["refused"] = refused[-1] if refused else ""
    staging = folder / "case.json.part"
    staging.write_text(json.dumps(about, default=str))
    staging.replace(folder / "case.json")


def _happen(case: Case, folder: Path, worlds: Worlds, about: dict[str, Any]) -> str:
    """Let it happen and write it down; returns why it is not kept."""
    incident = simulate(case, worlds)
    told = tell(incident, folder.name)
    found = check(incident, told)
    if found.refused:
        return found.refused
    # everything is recorded, so that what is withheld can be varied when it is judged
    export_incident(incident, folder / "snapshot", truth=told.v1, amount=USUAL)
    about["args"] = [{"mechanism": item.id, **item.args} for item in case.faults]
    about["roots"] = [cause for one in incident.injections for cause in one.causes]
    about["alerts"] = sorted({one.name for one in incident.alerts})
    about["modalities"] = sorted(case.modalities)
    about["truth"] = told.v1
    return ""


def _read(folder: Path) -> Made:
    about = json.loads((folder / "case.json").read_text())
    return Made(
        folder,
        about["package"],
        about["mechanism"],
        about["difficulty"],
        about["refused"],
        tuple(about.get("args", ())),
        tuple(about.get("roots", ())),
        tuple(about.get("alerts", ())),
        frozenset(about.get("modalities", ())),
        about.get("truth", {}),
    )


def chosen(wanted: Sequence[str], part: str) -> tuple[str, ...]:
    """The mechanisms to draw from: those that are named, or those of a half; none for all."""
    if wanted or part not in HALVES:
        return tuple(wanted)
    return tuple(name for name in sorted(faults.library()) if half(name) == part)
