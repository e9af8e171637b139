"""How hypotheses are weighed against one another: a few general features, a weight for each, a softmax.

The probability that hypothesis *h* is the cause is ``exp(w·x(h)) / Σ exp(w·x)`` over all hypotheses of the
incident (a conditional logit). Weights are data; ``make fit`` fits them.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from firedrill.agents.sleuth.case import Case, mapping, parts
from firedrill.agents.sleuth.graph import Graph
from firedrill.agents.sleuth.model import Ground, Hypothesis
from firedrill.agents.sleuth.symptoms import failing, time_of

FEATURES: dict[str, int] = {
    **{ground.value: 1 for ground in Ground},
    "covers": 1,
    "hurt": 1,
    "specific": 1,
    "agreement": 1,
    "early": 1,
    "common": -1,
    "standing": -1,
    "downstream": -1,
}
"""Every feature and the sign that its weight may have: 1 speaks for, -1 against."""

HARD = frozenset({Ground.CONTRADICTION, Ground.REFUSAL, Ground.EXPERIMENT})
"""Grounds that leave little room for another explanation."""
_WINDOW = timedelta(minutes=10)
_SHARED = 0.7
"""What the trouble of another entity that belongs to a hypothesis counts for it."""


@dataclass(frozen=True)
class Ranked:
    """A hypothesis with what the ranking made of it. ``probability`` is among all of the incident."""

    hypothesis: Hypothesis
    features: Mapping[str, float]
    score: float
    probability: float
    component: str


def component(case: Case, entity: str) -> str:
    """What an entity counts as when guesses are held against each other: its outermost owner."""
    return case.top(entity)


def features(case: Case, graph: Graph, hypotheses: Sequence[Hypothesis]) -> list[dict[str, float]]:
    """The features of every hypothesis, each in 0..1."""
    hurt = failing(case)
    total = sum(hurt.values())
    tops = [component(case, h.entity) for h in hypotheses]
    kinds = Counter(
        (family, ground)
        for family, ground, _ in {(h.family, h.ground, t) for h, t in zip(hypotheses, tops, strict=True)}
    )
    reaches = [reach_of(case, graph, h) for h in hypotheses]
    pains = [
        max((hurt.get(case.top(e), 0.0) for e in (h.entity, *h.explains)), default=0.0) for h in hypotheses
    ]
    grounds: dict[str, dict[Ground, float]] = defaultdict(dict)
    upstream: dict[str, dict[str, float]] = defaultdict(dict)
    for h, top, reached, pain in zip(hypotheses, tops, reaches, pains, strict=True):
        grounds[top][h.ground] = max(grounds[top].get(h.ground, 0.0), h.strength)
        if h.ground in HARD:
            for victim in reached:
                upstream[victim][top] = max(upstream[victim].get(top, 0.0), h.strength * max(pain, 0.2))
    worst = {
        top: max(found.get(Ground.ANOMALY, 0.0), found.get(Ground.FAILURE, 0.0))
        for top, found in grounds.items()
    }
    felt: dict[str, dict[str, int]] = defaultdict(dict)
    ached: dict[str, float] = defaultdict(float)
    for h, top, reached, pain in zip(hypotheses, tops, reaches, pains, strict=True):
        if h.ground in (Ground.ANOMALY, Ground.FAILURE):
            felt[top].update(reached)
            ached[top] = max(ached[top], pain)
    rows = []
    for h, top, own, own_pain in zip(hypotheses, tops, reaches, pains, strict=True):
        row = dict.fromkeys(FEATURES, 0.0)
        reached, pain = own, own_pain
        fronts = case.service_of.get(top, ()) if h.ground is Ground.CHANGE else ()
        if h.ground is Ground.CHANGE:
            # what its telemetry does to others was done by the change
            reached, pain = {**felt[top], **own}, max(own_pain, ached[top])
            # a Service before several programs is felt as a whole, and one of them may be what ails it
            pain = max(pain, *(_SHARED * hurt.get(front, 0.0) for front in fronts), 0.0)
        above = (
            strength for other, strength in upstream[top].items() if other != top and other not in reached
        )
        # a spec is written by somebody: no failure further up explains that it was changed
        row["downstream"] = 0.0 if h.ground is Ground.CHANGE else max(above, default=0.0)
        # what a cause further up explains speaks no more for this one
        left = 1.0 - row["downstream"]
        row[h.ground.value] = h.strength * left
        others = [s for g, s in grounds[top].items() if g is not h.ground and g is not Ground.ODDITY]
        others += [_SHARED * worst.get(case.top(entity), 0.0) for entity in (*h.explains, *fronts)]
        row["agreement"] = max(others, default=0.0) * left
        if total:
            row["covers"] = (
                sum(weight * 0.8 ** max(0, reached[e] - 1) for e, weight in hurt.items() if e in reached)
                / total
            )
        row["hurt"] = pain
        row["specific"] = 1.0 if h.explains and h.ground in HARD else 0.0
        row["early"] = _early(case, h)
        row["standing"] = standing(case, h)
        if h.ground not in (Ground.CHANGE, Ground.EXPERIMENT):
            # that much else was changed is no reason to doubt a change
            row["common"] = min(1.0, (kinds[h.family, h.ground] - 1) / 4)
        for name, value in h.features.items():
            if name in FEATURES:
                row[name] = value
        rows.append(row)
    return rows


def reach_of(case: Case, graph: Graph, h: Hypothesis) -> dict[str, int]:
    """What the cause would hurt, with steps: its own reach and that of what it explains."""
    reached = dict(graph.reach(h.entity))
    for entity in h.explains:
        for victim, steps in graph.reach(entity).items():
            reached[victim] = min(reached.get(victim, 99), steps + 1)
    return reached


_MADE_TO_ACT = frozenset(
    {"NetworkPolicy", "AuthorizationPolicy", "PeerAuthentication", "ResourceQuota", "LimitRange"}
)
_LONG = timedelta(hours=6)


def standing(case: Case, h: Hypothesis) -> float:
    """1 when what the hypothesis blames was so before the incident, as far as the recording can tell."""
    if case.onset is None or h.ground not in (Ground.CONTRADICTION, Ground.ODDITY, Ground.EXPERIMENT):
        return 0.0
    concerned = [case.objects[e] for e in (h.entity, *h.explains) if e in case.objects]
    if not concerned or any(thing.fresh for thing in concerned):
        return 0.0
    if h.time is not None and case.start is not None and h.time > case.start:
        return 0.0
    if case.start is not None and case.onset > case.start:
        return 1.0
    made = time_of(mapping(concerned[0].body, "metadata").get("creationTimestamp"))
    old = made is not None and case.onset - made > _LONG
    return 0.5 if old and (concerned[0].kind in _MADE_TO_ACT or h.ground is Ground.EXPERIMENT) else 0.0


def _early(case: Case, h: Hypothesis) -> float:
    if h.time is None or case.onset is None:
        return 0.5
    late = (h.time - case.onset) / _WINDOW
    return 1.0 if late <= 0 else max(0.0, 1.0 - late)


def rank(
    case: Case,
    hypotheses: Sequence[Hypothesis],
    rows: Sequence[Mapping[str, float]],
    weights: Mapping[str, float],
) -> list[Ranked]:
    """All hypotheses with their :func:`features`, the most likely first; equal ones by their ids."""
    scores = [sum(weights.get(name, 0.0) * value for name, value in row.items()) for row in rows]
    top = max(scores, default=0.0)
    shares = [math.exp(score - top) for score in scores]
    whole = sum(shares)
    found = [
        Ranked(h, row, score, share / whole, component(case, h.entity))
        for h, row, score, share in zip(hypotheses, rows, scores, shares, strict=True)
    ]
    return sorted(
        found,
        key=lambda r: (-round(r.score, 9), r.hypothesis.entity, r.hypothesis.family, r.hypothesis.summary),
    )


@dataclass(frozen=True)
class Suspect:
    """One entity and all that speaks against it. ``probability`` adds up that of its hypotheses."""

    entity: str
    component: str
    probability: float
    reasons: tuple[Ranked, ...]


def suspects(ranked: Sequence[Ranked]) -> list[Suspect]:
    """Hypotheses gathered by the component that they name; each is named by its best one."""
    groups: dict[str, list[Ranked]] = defaultdict(list)
    for item in ranked:
        groups[item.component].append(item)
    found = [
        Suspect(items[0].hypothesis.entity, top, sum(item.probability for item in items), tuple(items))
        for top, items in groups.items()
    ]
    return sorted(found, key=lambda s: (-round(s.probability, 9), parts(s.entity)[1], s.entity))
