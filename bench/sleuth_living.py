"""The investigator on fresh incidents of living worlds: score by mechanism, ablations, and what it missed.

`python bench/sleuth_living.py [--count 40] [--seed 1] [--half dev|held] [--package NAME] [--fault ID]
[--keep FOLDER] [--make | --judge] [--ablate] [--json]`

Incidents are drawn as `firedrill suite generate` draws them; see `sleuth_incidents.py`. One process, at low
priority. With --keep the snapshots stay: a run that was interrupted goes on, a longer draw goes on from a
shorter one, and the same incidents are judged again without being simulated. --make only makes, --judge only
judges what is there. --ablate asks again without each kind of evidence; "history" is what objects were like
before the last look at them.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import shutil
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import firedrill.agents.sleuth
import sleuth_lab as lab
from firedrill import faults
from firedrill.agents.sleuth.engine import Diagnosis, decide, load_settings, look, suspect
from firedrill.agents.sleuth.graph import Graph
from firedrill.agents.sleuth.ranking import Suspect, features
from firedrill.core.truth import Truth, parse_truth
from firedrill.grading.statistics import estimate
from firedrill.snapshot import Table, open_incident
from firedrill.tools import RecordedEvidence
from sleuth_incidents import HALVES, Draw, Made, chosen, half, made
from table import Row, show

if TYPE_CHECKING:
    from firedrill.core.topology import Topology
    from firedrill.snapshot import Incident

MODALITIES = ("objects", "events", "logs", "alerts", "metrics", "traces")
HISTORY = "history"
_LAST_LOOK = "(SELECT * FROM objects WHERE time >= (SELECT max(time) FROM objects) - INTERVAL 60 SECOND)"
_TABLES = re.compile(r"\b(?:FROM|JOIN)\s+(\w+)", re.IGNORECASE)
_NICE = 5


@dataclass
class Result:
    """One incident: what was broken and what was said about it.

    `whole` is the score with all evidence, `score` with what the draw leaves the agent, `without` by what was
    withheld, from the whole.
    """

    name: str
    package: str
    mechanism: str
    family: str
    half: str
    difficulty: str
    args: list[dict[str, Any]]
    roots: list[str]
    alerts: list[str]
    withheld: list[str] = field(default_factory=list)
    named: list[str] = field(default_factory=list)
    why: list[str] = field(default_factory=list)
    right: list[str] = field(default_factory=list)
    score: float = 0.0
    whole: float = 0.0
    without: dict[str, float] = field(default_factory=dict)
    confidence: float = 0.0
    seconds: float = 0.0


class Remembered:
    """Evidence of one incident, some of it withheld. Answers from the same tables are remembered."""

    def __init__(self, incident: Incident, memory: dict[str, Table], without: frozenset[str]) -> None:
        self._recorded = RecordedEvidence(incident, without - {HISTORY})
        self._without = without
        self._memory = memory

    @property
    def modalities(self) -> frozenset[str]:
        """The modalities that are there and not withheld."""
        return self._recorded.modalities

    def query(
        self,
        sql: str,
        params: Sequence[object] | Mapping[str, object] = (),
        limit: int = 10_000,
        *,
        seconds: float = 30.0,
    ) -> Table:
        """Answer one SELECT, from memory where nothing that it reads is withheld."""
        tables = {name.lower() for name in _TABLES.findall(sql)}
        blind = self._without & tables or (HISTORY in self._without and "objects" in tables)
        key = f"{sql}|{params!r}|{limit}"
        if not blind and key in self._memory:
            return self._memory[key]
        if HISTORY in self._without:
            sql = re.sub(r"\bFROM objects\b", f"FROM {_LAST_LOOK}", sql)
        table = self._recorded.query(sql, params, limit, seconds=seconds)
        if not blind:
            self._memory[key] = table
        return table

    def inventory(self) -> tuple[str, ...]:
        """Ids of every object that the evidence shows."""
        return self._recorded.inventory()

    def topology(self) -> Topology:
        """The typed graph that can be drawn from the evidence."""
        return self._recorded.topology()


@lru_cache(maxsize=1)
def version() -> str:
    """Of the investigator: another one is asked anew."""
    root = Path(firedrill.agents.sleuth.__file__).parent
    files = sorted(path for path in root.rglob("*") if path.suffix in (".py", ".yaml", ".txt"))
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()[:16]


def judged(one: Made, home: Path, ablate: bool) -> Result:
    """What the investigator says of one incident; the same version of it is asked once only."""
    kept = one.folder / f"judged-{version()}.json"
    if kept.is_file():
        result = Result(**json.loads(kept.read_text()))
        if result.without or not ablate:
            return result
    result = _judged(one, home, ablate)
    staging = kept.with_suffix(".part")
    staging.write_text(json.dumps(asdict(result)))
    staging.replace(kept)
    return result


def _judged(one: Made, home: Path, ablate: bool) -> Result:
    result = Result(
        one.name,
        one.package,
        one.mechanism,
        faults.find(one.mechanism).family,
        half(one.mechanism),
        one.difficulty,
        list(one.args),
        list(one.roots),
        list(one.alerts),
    )
    truth = parse_truth(one.truth, "truth")[0]
    memory: dict[str, Table] = {}
    with open_incident(one.folder / "snapshot", cache_dir=home / "cache") as incident:
        seen = frozenset(incident.modalities)
        withheld = frozenset(MODALITIES) - one.modalities
        result.withheld = sorted(withheld)
        started = time.process_time()
        result.whole, diagnosis = _asked(incident, memory, frozenset(), truth)
        result.seconds = round(time.process_time() - started, 1)
        result.score = result.whole
        if withheld & seen:
            result.score, diagnosis = _asked(incident, memory, withheld, truth)
        result.named = [cause.entity for cause in diagnosis.causes]
        result.confidence = round(diagnosis.confidence, 3)
        result.why = [f"{one.probability:.2f} {one.entity}: {_reason(one)}" for one in diagnosis.suspects[:4]]
        result.right = _right(diagnosis, truth)
        for kind in (*MODALITIES, HISTORY) if ablate else ():
            result.without[kind] = _asked(incident, memory, frozenset({kind}), truth)[0]
    return result


def _asked(
    incident: Incident, memory: dict[str, Table], without: frozenset[str], truth: Truth
) -> tuple[float, Diagnosis]:
    case = look(Remembered(incident, memory, without))
    found = suspect(case)
    diagnosis = decide(case, found, features(case, Graph(case), found), load_settings())
    return lab.score(truth, [cause.entity for cause in diagnosis.causes]), diagnosis


def _right(diagnosis: Diagnosis, truth: Truth) -> list[str]:
    """The right suspicions with their places in the answer."""
    found = [
        f"{place} {one.entity}: {_reason(one)}"
        for place, one in enumerate(diagnosis.suspects, 1)
        if any(lab.right_ones(truth, [item.hypothesis for item in one.reasons[:1]]))
    ]
    return found[:3]


def _reason(one: Suspect) -> str:
    best = one.reasons[0].hypothesis
    return f"[{best.family}] {best.summary[:150]}"


def main() -> None:
    """Print the scores and every miss."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=40)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--package", action="append", default=[])
    parser.add_argument("--fault", action="append", default=[])
    parser.add_argument("--half", choices=HALVES, help="mechanisms of one half only, by a hash of their ids")
    parser.add_argument("--keep", type=Path, help="a folder in which incidents stay for further runs")
    parser.add_argument("--make", action="store_true", help="make incidents, and do not judge them")
    parser.add_argument("--judge", action="store_true", help="judge what is there, and make none")
    parser.add_argument("--ablate", action="store_true", help="ask again without each kind of evidence")
    parser.add_argument("--json", action="store_true", help="one line of JSON for each incident, and no more")
    given = parser.parse_args()
    os.nice(max(0, _NICE - os.nice(0)))
    home = given.keep or Path(tempfile.mkdtemp(prefix="firedrill-living-"))
    home.mkdir(parents=True, exist_ok=True)
    try:
        found, refused = _measured(given, home)
    finally:
        if given.keep is None:
            shutil.rmtree(home)
    if not given.json and not given.make:
        _report(found, refused)


def _measured(given: argparse.Namespace, home: Path) -> tuple[list[Result], Counter[str]]:
    draw = Draw(given.count, given.seed, tuple(given.package), chosen(given.fault, given.half or ""))
    found: list[Result] = []
    refused: Counter[str] = Counter()
    for one in made(draw, home, only=given.judge):
        if one.refused:
            refused[one.refused] += 1
        elif not given.make:
            found.append(judged(one, home, given.ablate))
            if given.json:
                print(json.dumps(asdict(found[-1])), flush=True)
    return sorted(found, key=lambda item: item.name), refused


def _shown(scores: Sequence[float]) -> str:
    told = estimate({str(number): [score] for number, score in enumerate(scores)})
    if told.mean is None:
        return "none"
    interval = f" [{told.low:.2f}, {told.high:.2f}]" if told.low is not None and told.n > 1 else ""
    return f"{told.mean:.3f}{interval} of {told.n}"


def _groups(found: Sequence[Result], key: str) -> Iterator[Row]:
    groups: dict[str, list[float]] = defaultdict(list)
    for one in found:
        groups[getattr(one, key)].append(one.score)
    for name, scores in sorted(groups.items()):
        yield name, "", _shown(scores) if len(scores) > 9 else f"{lab.mean(scores):.2f} of {len(scores)}"


def _report(found: Sequence[Result], refused: Counter[str]) -> None:
    rows: list[Row] = [("as drawn, some without a modality", "> 0.6", _shown([one.score for one in found]))]
    rows.append(("with all evidence", "", _shown([one.whole for one in found])))
    rows.append(
        ("a right suspicion exists", "", f"{lab.mean([float(bool(one.right)) for one in found]):.3f}")
    )
    first = [float(any(text.startswith("1 ") for text in one.right)) for one in found]
    rows.append(("the first suspicion is right", "", f"{lab.mean(first):.3f}"))
    for kind in (*MODALITIES, HISTORY):
        told = [one for one in found if kind in one.without]
        if told:
            loss = lab.mean([one.without[kind] - one.whole for one in told])
            rows.append(
                (f"without {kind}", "", f"{_shown([one.without[kind] for one in told])} ({loss:+.3f})")
            )
    show("The investigator on living incidents (average precision at full recall)", rows)
    for title, key in (
        ("half", "half"),
        ("drawn difficulty", "difficulty"),
        ("application", "package"),
        ("family of the mechanism", "family"),
        ("mechanism", "mechanism"),
    ):
        show(f"By {title}", list(_groups(found, key)))
    if refused:
        show("Not kept by the generator", [(why[:100], "", str(n)) for why, n in refused.most_common()])
    for one in found:
        if one.score < 1:
            print(f"\n{one.name} ({one.half}, {one.difficulty}) {one.args} without {one.withheld}")
            print(f"  truth {one.roots}  alerts {one.alerts}")
            print(f"  score {one.score:.2f}, with all evidence {one.whole:.2f}; named {one.named}")
            print("  said  " + "\n        ".join(one.why))
            print("  right " + "\n        ".join(one.right))


if __name__ == "__main__":
    main()
