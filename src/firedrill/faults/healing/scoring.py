"""What a diagnosis is worth by what it would have cured, and the smallest sets of causes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

from firedrill.faults.healing.places import Place, lifted, place_of
from firedrill.faults.healing.trials import Verdict

if TYPE_CHECKING:
    from firedrill.faults.healing.trials import Trials

_MOST_TRIALS = 64
"""Sets that are tried when minimal cures are looked for: each takes a second or two."""


@dataclass(frozen=True, slots=True)
class Score:
    """What a prediction is worth.

    Attributes:
        score: the size of the minimal cure by that of the prediction; 0 where it does not cure.
        sufficient: healing all of it cures.
        minimal: the entities that were needed, in the order given.
        predicted: the entities of the prediction, each once.
        verdict: on all of it.
        exact: nothing of it was too much.
        strict: the score without lifting pods to their owners; None where it was not asked for.
    """

    score: float
    sufficient: bool
    minimal: tuple[str, ...]
    predicted: tuple[str, ...]
    verdict: Verdict
    strict: float | None = None

    @property
    def exact(self) -> bool:
        """Whether the score is 1."""
        return self.sufficient and len(self.minimal) == len(self.predicted)


def interventional(trials: Trials, prediction: Iterable[str], *, strict: bool = True) -> Score:
    """The score of a prediction by intervention: which of its entities have to be healed to end the incident.

    All are healed at once; where that cures, each is left out in turn, in the order given, for good where
    the rest still cures. Beyond the first eight, entities count as not needed.

    Args:
        trials: of the incident.
        prediction: entities as `namespace/Kind/name`; duplicates, and pods of one owner, count once.
        strict: give the score without lifting beside it.
    """
    given = tuple(prediction)
    score = _score(trials, _folded(trials, given, lift=True), lift=True)
    if not strict:
        return score
    exactly = _score(trials, _folded(trials, given, lift=False), lift=False)
    return Score(score.score, score.sufficient, score.minimal, score.predicted, score.verdict, exactly.score)


def _score(trials: Trials, entities: tuple[str, ...], *, lift: bool) -> Score:
    kept = list(entities[: trials.limits.most])
    verdict = trials.cures(kept, lift=lift)
    if not verdict.cured:
        return Score(0.0, False, (), entities, verdict)
    for entity in tuple(kept):
        rest = [item for item in kept if item != entity]
        if trials.cures(rest, lift=lift).cured:
            kept = rest
    return Score(len(kept) / len(entities) if entities else 1.0, True, tuple(kept), entities, verdict)


def _folded(trials: Trials, entities: Sequence[str], *, lift: bool) -> tuple[str, ...]:
    """Each entity once, as it was first written; with lifting, pods of one owner are one entity."""
    out: dict[Place | str, str] = {}
    for text in entities:
        place = place_of(trials.world, trials.before, text)
        if place is not None and lift:
            place = lifted(trials.world, trials.before, place)
        out.setdefault(place if place is not None else text.strip().lower(), text)
    return tuple(out.values())


def minimal_causes(trials: Trials, candidates: Iterable[str]) -> tuple[tuple[str, ...], ...]:
    """All minimal cures among candidates, the smallest first: no part of one of them cures.

    A set that leaves a mechanism active is no cure, so only those are tried whose members end them all, at
    most 64 and none with more than one member beyond the number of injections.

    Args:
        trials: of the incident.
        candidates: entities as `namespace/Kind/name`.
    """
    ends = {
        entity: trials.ends([entity])
        for entity in _folded(trials, tuple(candidates), lift=True)
        if trials.plan([entity])
    }
    everything = frozenset(range(len(trials.injections)))
    found: list[tuple[str, ...]] = []
    left = _MOST_TRIALS
    for size in range(len(trials.injections) + 2):
        for group in combinations(ends, size):
            over = frozenset[int]().union(*(ends[entity] for entity in group))
            larger = any(set(smaller) <= set(group) for smaller in found)
            if over != everything or larger or not left:
                continue
            left -= 1
            if trials.cures(group).cured:
                found.append(group)
    return tuple(found)
