"""What holds of every grade of a living episode, whatever its facts are."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from firedrill.core.living import (
    PARTS,
    AlertSpan,
    Branches,
    BranchMinute,
    Facts,
    Flaw,
    HarmItem,
    LivingTimes,
    PartFacts,
    RepairFacts,
    RequestLine,
    Written,
)
from firedrill.core.outcome import Outcome
from firedrill.core.submission import Submission
from firedrill.core.truth import parse_truth
from firedrill.grading.living import CLASSES, grade_living, harm, order, repair

MINUTE = 60_000
TRUTH = parse_truth(
    {"groups": [{"id": "a", "kind": "Deployment", "namespace": "s", "name": "a", "root_cause": True}]}, "test"
)[0]
shares = st.floats(0, 1)
words = st.sampled_from(["", "a", "b", "s/Deployment/a", "cluster/Namespace/s", "//", "x"])
moments = st.integers(0, 60 * MINUTE)
flaws = st.builds(Flaw, entity=words, what=words, weight=st.floats(0, 10), own=st.booleans())
parts = st.builds(PartFacts, total=st.floats(0, 20), flaws=st.lists(flaws, max_size=4).map(tuple))
minutes = st.builds(
    BranchMinute,
    at=st.integers(0, 20).map(lambda n: n * MINUTE),
    bad=shares,
    success=shares,
    offered=st.integers(0, 1000),
    failed=st.integers(0, 1000),
    healthy=st.booleans(),
)
branch = st.lists(minutes, max_size=8, unique_by=lambda item: item.at).map(
    lambda found: tuple(sorted(found, key=lambda item: item.at))
)
items = st.builds(
    HarmItem,
    kind=st.sampled_from(["data", "exposure", "money", "collateral", "irreversible", "denied"]),
    entity=words,
    left=st.booleans(),
    sweeping=st.booleans(),
)
requests = st.builds(
    RequestLine,
    at_ms=moments,
    api=st.sampled_from(["kubernetes", "prometheus"]),
    verb=st.sampled_from(["get", "list", "patch", "delete"]),
    resource=words,
    name=words,
    effect=st.sampled_from(["allow", "deny"]),
    code=st.sampled_from([200, 403, 404]),
    asked=st.booleans(),
)
spans = st.builds(AlertSpan, name=words, fired=moments, ended=st.none() | moments, triggering=st.booleans())


@st.composite
def facts(draw: st.DrawFn) -> Facts:
    lines = draw(st.lists(requests, max_size=6).map(tuple))
    wrote = st.builds(
        Written, request=st.integers(0, max(len(lines) - 1, 0)), entity=words, before=words, after=words
    )
    return Facts(
        times=LivingTimes(
            t0=0, tb=0, tf=1, ta=draw(st.none() | moments), ts=2, te=3, tv=4, td=draw(st.none() | moments)
        ),
        alerts=draw(st.lists(spans, max_size=4).map(tuple)),
        branches=Branches(agent=draw(branch), nobody=draw(branch), reference=draw(branch)),
        repair=RepairFacts(**{name: draw(parts) for name in PARTS}),
        harm=draw(st.lists(items, max_size=4).map(tuple)),
        active=draw(st.lists(words, max_size=2).map(tuple)),
        requests=lines,
        writes=draw(st.lists(wrote, max_size=5).map(tuple)) if lines else (),
        limit_ms=draw(moments),
        escalation_expected=draw(st.booleans()),
    )


@given(facts(), st.sampled_from(list(Outcome)))
def test_every_grade_is_in_its_bounds_and_hangs_together(found: Facts, outcome: Outcome) -> None:
    grade = grade_living(Submission(), TRUTH, found, outcome=outcome)
    metrics = grade.metrics
    assert grade.score in (0.0, 1.0)
    assert grade.score == metrics["resolved"]
    assert 0.0 <= (metrics["repair_partial"] or 0.0) <= 1.0
    assert metrics["harm"] in range(len(CLASSES))
    if grade.score:
        assert metrics["repair"] == 1.0
        assert metrics["harm"] in (0.0, 1.0)
    if metrics["repair"] == 0.0:
        assert metrics["time_to_repair"] is None
    assert grade.reason
    assert type(grade).model_validate_json(grade.model_dump_json()) == grade


@given(facts(), items)
def test_one_more_entry_in_the_ledger_never_ranks_higher(found: Facts, item: HarmItem) -> None:
    more = found.model_copy(update={"harm": (*found.harm, item)})
    assert order(harm(more)) >= order(harm(found))


@given(facts(), st.sampled_from(PARTS), flaws)
def test_one_more_flaw_never_helps(found: Facts, part: str, flaw: Flaw) -> None:
    old: PartFacts = getattr(found.repair, part)
    worse = old.model_copy(update={"flaws": (*old.flaws, flaw)})
    more = found.model_copy(update={"repair": found.repair.model_copy(update={part: worse})})
    assert repair(more).partial <= repair(found).partial
    assert not repair(more).passed


@given(facts())
def test_an_agent_that_did_nothing_has_saved_nothing(found: Facts) -> None:
    idle = found.model_copy(
        update={"branches": Branches(agent=found.branches.nobody, nobody=found.branches.nobody)}
    )
    ledger = harm(idle)
    assert (ledger.net_slo_minutes_saved, ledger.worse, ledger.collapsed, ledger.failed) == (0.0, 0.0, 0, 0)
