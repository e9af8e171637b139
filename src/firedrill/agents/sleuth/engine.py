"""From evidence to a diagnosis: read, look, suspect, weigh, choose."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache
from importlib import resources
from typing import TYPE_CHECKING, Any

from firedrill.agents.sleuth.case import Case
from firedrill.agents.sleuth.graph import Graph
from firedrill.agents.sleuth.model import Clue, Ground, Hypothesis, Signal
from firedrill.agents.sleuth.ranking import HARD, Suspect, features, rank, reach_of, suspects
from firedrill.agents.sleuth.reading import read_case
from firedrill.agents.sleuth.symptoms import failing, find_onset, find_symptoms
from firedrill.core.errors import InputError

if TYPE_CHECKING:
    from firedrill.tools.evidence import Evidence

MAX_HYPOTHESES = 2_000
MAX_CAUSES = 4


@dataclass(frozen=True)
class Diagnosis:
    """What the investigator concluded. ``causes`` are what it names, ``suspects`` all, best first."""

    case: Case
    graph: Graph
    suspects: tuple[Suspect, ...]
    causes: tuple[Suspect, ...]
    confidence: float
    """Probability that the first cause is right, as calibrated on incidents of other mechanisms."""


@lru_cache(maxsize=1)
def load_settings() -> dict[str, Any]:
    """``data/weights.yaml``: ``weights``, ``choice`` and ``calibration``."""
    import yaml

    text = resources.files("firedrill.agents.sleuth").joinpath("data", "weights.yaml").read_text("utf-8")
    found: dict[str, Any] = yaml.safe_load(text)
    return found


def settings_digest() -> str:
    """Sixteen hex digits of the settings."""
    return hashlib.sha256(json.dumps(load_settings(), sort_keys=True).encode()).hexdigest()[:16]


def look(evidence: Evidence) -> Case:
    """The case with its signals, symptoms and onset."""
    case = read_case(evidence)
    case.symptoms = tuple(find_symptoms(case))
    case.onset, case.onset_clue = find_onset(case)
    if case.onset is None:
        case.onset, case.onset_clue = _first_motion(evidence)
    if case.onset is not None:
        case.signals = _signals(evidence, case.onset)
        case.symptoms = tuple(find_symptoms(case))
    return case


def _first_motion(evidence: Evidence) -> tuple[datetime | None, Clue | None]:
    """Where telemetry begins to move, for a case without alerts and failures."""
    from firedrill.agents.sleuth.signals import estimate_onset

    try:
        found = estimate_onset(evidence)
    except (InputError, ArithmeticError, ValueError):
        # a table beyond the query's bounds, or figures that no statistic bears
        return None, None
    best = found[0] if found else None
    return (best.time, Clue(best.source, best.time, best.text)) if best else (None, None)


def _signals(evidence: Evidence, onset: datetime) -> tuple[Signal, ...]:
    """What metrics, traces and logs show."""
    from firedrill.agents.sleuth.signals import collect

    try:
        return tuple(collect(evidence, onset))
    except (InputError, ArithmeticError, ValueError):
        # a table beyond the query's bounds, or figures that no statistic bears: judged without telemetry
        return ()


def suspect(case: Case) -> list[Hypothesis]:
    """What every family yields, without repeats, in a fixed order."""
    from firedrill.agents.sleuth import signals
    from firedrill.agents.sleuth.families import FAMILIES

    found: dict[tuple[str, str, str, str], Hypothesis] = {}
    for family in (*FAMILIES, *getattr(signals, "FAMILIES", ())):
        for h in family(case):
            bounded = replace(h, strength=min(1.0, max(0.0, h.strength)))
            found.setdefault((h.entity, h.family, h.ground, h.summary), bounded)
    kept = sorted(found.items(), key=lambda item: (-item[1].strength, item[0]))[:MAX_HYPOTHESES]
    return [h for _, h in kept]


def investigate(evidence: Evidence, settings: Mapping[str, Any] | None = None) -> Diagnosis:
    """The whole investigation of one incident. Deterministic."""
    return conclude(look(evidence), settings)


def conclude(case: Case, settings: Mapping[str, Any] | None = None) -> Diagnosis:
    """From a case to its diagnosis."""
    hypotheses = suspect(case)
    rows = features(case, Graph(case), hypotheses)
    return decide(case, hypotheses, rows, load_settings() if settings is None else settings)


def decide(
    case: Case,
    hypotheses: Sequence[Hypothesis],
    rows: Sequence[Mapping[str, float]],
    settings: Mapping[str, Any],
) -> Diagnosis:
    """From hypotheses and their features to a diagnosis, by ``weights``, ``choice`` and ``calibration``."""
    graph = Graph(case)
    found = tuple(suspects(rank(case, hypotheses, rows, settings["weights"])))
    causes = choose(case, graph, found, settings.get("choice", {}))
    sure = calibrated(causes[0].probability, settings.get("calibration", {})) if causes else 0.0
    return Diagnosis(case, graph, found, causes, sure)


def choose(
    case: Case, graph: Graph, found: tuple[Suspect, ...], choice: Mapping[str, float]
) -> tuple[Suspect, ...]:
    """The likeliest suspect, and others that are beyond doubt and explain what those before leave.

    A second guess that is wrong halves the score of a first that is right, so it must earn its place.
    """
    if not found:
        return ()
    hurt, named = failing(case), [found[0]]
    explained = set(covered(case, graph, found[0]))
    for other in found[1:]:
        if len(named) == MAX_CAUSES or other.probability < choice.get("ratio", 0.3) * found[0].probability:
            break
        best = other.reasons[0]
        own = max(
            (
                hurt.get(case.top(e), 0.0)
                for e in (other.entity, *best.hypothesis.explains)
                if case.top(e) not in explained
            ),
            default=0.0,
        )
        hard = (
            best.hypothesis.ground in HARD
            and best.hypothesis.strength >= 0.9
            and not best.features["standing"]
        )
        telling = any(
            r.hypothesis.ground not in (Ground.CHANGE, Ground.ODDITY) and r.hypothesis.strength >= 0.6
            for r in other.reasons
        )
        changed = best.hypothesis.ground is Ground.CHANGE and telling
        felt = max(own, best.features["agreement"]) >= choice.get("pain", 0.6)
        # more than two at once are believed only of what was written then
        written = any(
            r.hypothesis.ground is Ground.CHANGE and r.hypothesis.strength >= 0.5 for r in other.reasons
        )
        sure = changed or (hard and (written or len(named) == 1))
        if sure and felt and other.component not in explained:
            named.append(other)
            explained |= covered(case, graph, other)
    return tuple(named)


def covered(case: Case, graph: Graph, suspected: Suspect) -> frozenset[str]:
    """Everything that would suffer if the suspect were the cause."""
    return frozenset(reach_of(case, graph, suspected.reasons[0].hypothesis))


def calibrated(probability: float, line: Mapping[str, float]) -> float:
    """The share of diagnoses of this probability that were right on unseen mechanisms (Platt scaling)."""
    p = min(1 - 1e-6, max(1e-6, probability))
    z = line.get("slope", 1.0) * math.log(p / (1 - p)) + line.get("intercept", 0.0)
    return 1.0 / (1.0 + math.exp(-max(-30.0, min(30.0, z))))
