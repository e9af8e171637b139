"""On call for a living world, from the alert to the end: one stage for all that happens here."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from firedrill.agents.base import AgentResult, Episode, Meter, Task
from firedrill.agents.sleuth.agent import SleuthAgent
from firedrill.core.episode import Limits
from firedrill.core.living import Facts
from firedrill.core.outcome import Outcome
from firedrill.core.scenario import Scenario
from firedrill.core.submission import parse_submission
from firedrill.grading.living import repair
from firedrill.runner.attempt import NoWorkspace
from firedrill.runner.living import LivingStage, spec_of
from firedrill.suites import SuiteScenario

pytestmark = [pytest.mark.slow, pytest.mark.elsewhere]
CAUSE = "book-info/Service/details"
SCENARIO: dict[str, Any] = {
    "metadata": {"name": "hand-made"},
    "environment": {"backend": "world", "application": "book-info", "seed": 11, "nodes": 3},
    "faults": [
        {"id": "service-selector-mismatch", "args": {"namespace": "book-info", "name": "details"}, "at": 1800}
    ],
}


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LivingStage]:
    scenario = Scenario.model_validate(SCENARIO)
    place = tmp_path_factory.mktemp("hand-made")
    kept = LivingStage.start(SuiteScenario("hand-made", scenario, place, "", "", "", ""))
    yield kept
    kept.close()


class Receipt:
    def __init__(self) -> None:
        self.lines: list[tuple[str, dict[str, Any]]] = []

    def append(self, kind: str, /, **payload: Any) -> None:
        self.lines.append((kind, payload))


async def on_call(stage: LivingStage, authority: str) -> tuple[AgentResult, Facts, Receipt]:
    """One episode with the investigator, and what became of its world."""
    living = await stage.episode(replace(spec_of(stage.source), authority=authority))
    receipt, limits = Receipt(), Limits(turns=9, minutes=60)
    meter = Meter(limits)
    meter.start()
    try:
        episode = Episode(Task(), NoWorkspace(), meter, receipt, limits, seed=0, living=living)
        result = await SleuthAgent().solve(episode)
        named = [entity.name for entity in parse_submission(result.submission).causes]
        return result, await living.finish(named), receipt
    finally:
        await living.close()


async def test_it_finds_the_cause_mends_it_and_stays_until_nothing_fires(stage: LivingStage) -> None:
    result, facts, receipt = await on_call(stage, "operator")
    assert result.outcome is Outcome.SUBMITTED, result.reason
    answer = json.loads(result.submission or "")
    assert [item["name"] for item in answer["entities"] if item["contributing_factor"]] == [CAUSE]
    assert answer["propagations"]
    assert [CAUSE in change["what"] for change in answer["changes"]] == [True]
    assert "escalate" not in answer
    assert repair(facts).passed
    requests = facts.requests
    writes = [line for line in requests if line.changed]
    assert len(writes) == 1
    first = requests.index(writes[0])
    assert first < 100, "discovery included"
    assert requests[first - 2].dry_run or requests[first - 1].dry_run
    assert any(kind == "message" and "Step" in told["content"] for kind, told in receipt.lines)


async def test_whoever_may_only_look_hands_over_with_a_diagnosis(stage: LivingStage) -> None:
    result, facts, _ = await on_call(stage, "observer")
    assert result.outcome is Outcome.ESCALATED
    answer = json.loads(result.submission or "")
    assert answer["escalate"]
    assert answer["escalate_reason"]
    assert answer["entities"][0]["name"] == CAUSE
    assert answer["changes"] == []
    assert not any(line.changed for line in facts.requests)
