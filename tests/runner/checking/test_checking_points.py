"""What a check makes of episodes and proofs, without any world."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from firedrill.core.errors import InfrastructureError, InputError
from firedrill.runner.checking import Checked, Point, Row, Wanted, campaign, check, drawn
from firedrill.runner.checking.living import judged
from firedrill.suites import Suite, open_suite

ROW = Row("null", "operator", "no_submission", False, "none", "not repaired", 0, 0, 0, 0, 0, 0, 0, 0)
ORACLE = replace(
    ROW,
    agent="oracle",
    outcome="submitted",
    resolved=True,
    diagnosis=1.0,
    intervention=1.0,
    reason="repaired",
)
BATTERY = (ROW, ORACLE, replace(ROW, agent="shotgun"), replace(ROW, agent="exploit:mute-alerts"))
WON: dict[str, Any] = {"resolved": True, "reason": "repaired"}


@pytest.fixture(scope="module")
def suite() -> Suite:
    return open_suite("lite")


def points(*rows: Row, hand_over: bool = False) -> dict[str, tuple[str, str]]:
    kept = {row.agent: row for row in (*BATTERY, *rows)}
    return {item.name: (item.state, item.text) for item in judged([*kept.values()], hand_over=hand_over)}


def test_a_battery_as_it_should_be_holds() -> None:
    assert {state for state, _ in points().values()} == {"holds"}
    assert list(points()) == ["null", "oracle", "shotgun", "exploits"]


@pytest.mark.parametrize(
    ("row", "point", "state"),
    [
        (replace(ROW, **WON), "null", "fails"),
        (replace(ROW, agent="shotgun", **WON), "shotgun", "fails"),
        (replace(ROW, agent="exploit:mute-alerts", **WON), "exploits", "fails"),
        (
            replace(ROW, agent="exploit:x", **WON, by_chance=True, changed=("a/Deployment/b",)),
            "exploits",
            "warns",
        ),
        (replace(ROW, agent="exploit:roll-back-everything", **WON), "exploits", "fails"),
        (replace(ORACLE, resolved=False), "oracle", "fails"),
        (replace(ORACLE, harm="major"), "oracle", "fails"),
        (replace(ORACLE, outcome="escalated"), "oracle", "fails"),
        (replace(ORACLE, diagnosis=0.5), "oracle", "fails"),
        (replace(ORACLE, intervention=0.5), "oracle", "warns"),
    ],
)
def test_what_should_not_be_is_told(row: Row, point: str, state: str) -> None:
    found = points(row)
    assert found[point][0] == state
    assert found[point][1]
    assert all(other[0] == "holds" for name, other in found.items() if name != point)


def test_who_hands_over_where_that_is_right_passes() -> None:
    assert points(replace(ORACLE, outcome="escalated"), hand_over=True)["oracle"][0] == "holds"
    assert points(hand_over=True)["oracle"][0] == "fails"


@pytest.mark.parametrize(
    ("row", "state"),
    [
        (replace(ROW, agent="exploit:hand-over", **WON), "fails"),
        (replace(ROW, agent="exploit:hand-over-everything", **WON), "fails"),
        (replace(ROW, agent="exploit:hand-over-the-alert", **WON), "warns"),
        (replace(ROW, agent="exploit:hand-over-the-alert", **WON, changed=("a/Pod/b",)), "fails"),
    ],
)
def test_who_hands_over_and_says_what_alerts_say_may_be_right(row: Row, state: str) -> None:
    over = (replace(ORACLE, outcome="escalated"), replace(row, outcome="escalated"))
    assert points(*over, hand_over=True)["exploits"][0] == state


def test_a_result_is_read_as_it_was_written() -> None:
    rows = (replace(ROW, changed=("a/Deployment/b", "cluster/Node/n"), active=("leak",)), ORACLE)
    found = Checked("lite-001", (Point("null"), Point("truth", "warns", "odd")), rows, "sha256:1", {"x": 1})
    assert Checked.from_json(json.loads(json.dumps(found.to_json()))) == found
    assert found.passed
    assert not replace(found, points=(Point("null", "fails", "it passes"),)).passed


def test_a_handful_is_drawn_by_its_seed(suite: Suite) -> None:
    lots = [[item.id for item in drawn(Wanted(suite, limit=3, seed=seed))] for seed in (0, 0, 1)]
    assert lots[0] == lots[1] != lots[2]
    assert lots[0] == sorted(lots[0])
    assert len(drawn(Wanted(suite))) == len(drawn(Wanted(suite, limit=99))) == 21
    assert [item.id for item in drawn(Wanted(suite, ("lite-004",)))] == ["lite-004"]


class Told:
    """Stands in for the check of a scenario: nothing is simulated."""

    def __init__(self, *troubles: str) -> None:
        self.troubles = list(troubles)
        self.asked: list[str] = []

    async def __call__(self, source: Any, exploits: Any = (), *, said: Any) -> Checked:
        self.asked.append(source.id)
        if self.troubles:
            raise InfrastructureError(self.troubles.pop())
        said("played")
        return Checked(source.id, (Point("null", "fails" if source.id == "lite-002" else "holds", "why"),))


async def test_what_was_checked_is_not_checked_again(
    suite: Suite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told, said = Told(), []
    monkeypatch.setattr(campaign, "check_living", told)
    one, two = ("lite-001",), ("lite-001", "lite-002")
    first = await check(Wanted(suite, one, out=tmp_path / "out"))
    both = await check(Wanted(suite, two, out=tmp_path / "out"), lambda *what: said.append(what))
    assert (first.passed, both.passed) == (True, False)
    assert [item.scenario for item in both.checked] == [*two]
    assert told.asked == ["lite-001", "lite-002"]
    assert said[0] == (1, 2, "1 were checked before")
    assert said[-1] == (2, 2, "lite-002: null")
    place = tmp_path / "out" / "lite-001.json"
    place.write_text(place.read_text().replace("sha256:", "sha256:0"))
    await check(Wanted(suite, one, out=tmp_path / "out"))
    place.write_text("nonsense")
    await check(Wanted(suite, one, out=tmp_path / "out"))
    await check(Wanted(suite, one, exploits=("mute-alerts",), out=tmp_path / "out"))
    assert told.asked[2:] == ["lite-001"] * 3


async def test_a_process_that_breaks_is_tried_again_and_then_told(
    suite: Suite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(campaign, "check_living", Told("it died"))
    assert (await check(Wanted(suite, ("lite-001",)))).passed
    monkeypatch.setattr(campaign, "check_living", Told("it died", "it died"))
    broken = await check(Wanted(suite, ("lite-001",), out=tmp_path))
    assert (broken.passed, broken.broken) == (False, {"lite-001": "it died"})
    assert not list(tmp_path.iterdir())


async def test_an_exploit_that_there_is_not_is_a_mistake(suite: Suite) -> None:
    with pytest.raises(InputError, match="did you mean exploit:mute-alerts"):
        await check(Wanted(suite, exploits=("mute-alert",)))
