"""Scoreboards and pages of compliance, with hostile text wherever text can stand."""

from __future__ import annotations

import io
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pytest
from rich.console import Console

from firedrill.core.compliance import ComplianceFacts, Control, Judged, ObjectVerdict, Stage
from firedrill.core.grade import Grade
from firedrill.core.living import HarmItem
from firedrill.core.outcome import Outcome
from firedrill.core.truth import Truth
from firedrill.grading.compliance import grade_compliance
from firedrill.records import RunFolder
from firedrill.report.compliance import assessment_of, compliance_rows
from firedrill.report.pages import write_report
from firedrill.report.terminal import compliance_scoreboard
from firedrill.runner import scoreboard

HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(2)>'\"&\u202eevil\u0007\x1b[31m]]>"


def variant(name: str, compliant: bool, got: str, trap: str = "") -> Judged:
    expected = "pass" if compliant else "fail"
    thing = ObjectVerdict(object=f"shop/Pod/{HOSTILE}", expected=expected, got=got, detail=HOSTILE)
    return Judged(name=name, trap=trap, compliant=compliant, got=got, objects=(thing,), reason=HOSTILE)


def facts(*, blind: bool) -> ComplianceFacts:
    """Artefacts that are right, or that call everything compliant."""
    said = "pass" if blind else "fail"
    return ComplianceFacts(
        scenario_class="kyverno",
        control=Control(framework=HOSTILE, version="1.10", id="5.2.5"),
        submitted=(HOSTILE,),
        collector=Stage(ok=True, reason=HOSTILE),
        engine=Stage(ok=True),
        evidence=Stage(ok=True),
        language="ClusterPolicy",
        judged=(
            variant("V0", False, said),
            variant("C0", True, "pass"),
            variant("1", True, "pass", "absent"),
            variant("2", False, said, "tmpl"),
            variant("3", False, said, HOSTILE),
        ),
        again=variant("V0", False, said),
        original=not blind,
        harm=(HarmItem(kind="collateral", entity=HOSTILE, what="changed", detail=HOSTILE),) if blind else (),
        conduct=(HOSTILE,) if blind else (),
        seconds=65.0,
    )


def graded(found: ComplianceFacts) -> Grade:
    return grade_compliance(
        found, Truth(version="v2", form="v2", groups=(), digest="sha256:" + "0" * 64), Outcome.SUBMITTED
    )


@pytest.fixture
def run(make_run: Callable[..., Path]) -> Path:
    """One agent is right everywhere, one calls everything compliant."""
    path = make_run(agent_name=lambda folder: folder, repeats=1)
    for folder in path.glob("episodes/*/*/*"):
        found = facts(blind="bad" in str(folder))
        (folder / "interventions.json").write_text(found.model_dump_json())
        (folder / "grade.json").write_text(graded(found).model_dump_json())
    return path


def test_rows_tell_shares_stages_and_the_traps_that_caught_an_agent(run: Path) -> None:
    folder = RunFolder(run)
    good, bad = compliance_rows(scoreboard(folder).agents, folder.results())
    assert good.score.score.mean == 1
    assert good.balanced.mean == 1
    assert good.passed == good.episodes == 2
    assert good.processed == 65
    assert not good.traps
    assert [part.name for part in good.classes] == ["kyverno"]
    assert good.classes[0].score.mean == 1
    assert bad.score.score.mean == bad.balanced.mean == bad.original.mean == 0
    assert bad.processed is None
    assert bad.harmed == 2
    assert [stage.mean for stage in bad.stages.values()] == [1, 1, 1, 0]
    assert {(item.trap, item.kind, item.times) for item in bad.traps} == {
        ("V0", "missed", 2),
        ("tmpl", "missed", 2),
        (HOSTILE, "missed", 2),
    }


def test_agents_on_incidents_have_no_row(make_run: Callable[..., Path]) -> None:
    folder = RunFolder(make_run())
    assert compliance_rows(scoreboard(folder).agents, folder.results()) == []


def test_an_assessment_says_what_was_judged_wrongly() -> None:
    told = assessment_of(facts(blind=True), graded(facts(blind=True)))
    assert told.passed is False
    assert told.right == 2
    assert [row.right for row in told.variants] == [False, True, True, False, False]
    assert told.variants[0].words == "the one that the agent saw"
    assert told.variants[3].wrong[0].startswith("shop/Pod/")
    assert "pass instead of fail" in told.variants[3].wrong[0]
    assert [(row.letters, row.ok) for row in told.stages] == [
        ("IEC", True),
        ("IPA", True),
        ("CE", True),
        ("SAP", False),
    ]
    ungraded = assessment_of(facts(blind=False), None)
    assert ungraded.passed is None
    assert ungraded.right == 5


class Scan(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))


def test_pages_of_assessments_are_safe_and_tell_each_variant(run: Path, tmp_path: Path) -> None:
    report = write_report(run, tmp_path / "report").parent
    pages = [report / "index.html", *sorted((report / "episodes").iterdir())]
    assert len(pages) == 5
    for page in pages:
        text = page.read_text(encoding="utf-8")
        scan = Scan()
        scan.feed(text)
        assert [tag for tag, _ in scan.tags].count("script") == 1
        assert not [tag for tag, _ in scan.tags if tag in ("img", "iframe", "object")]
        assert not [name for _, attrs in scan.tags for name in attrs if name.startswith("on")]
        assert "\u202e" not in text
        assert "\x1b" not in text
    overview = pages[0].read_text(encoding="utf-8")
    assert "decision procedure" in overview
    assert "DM-1" not in overview
    assert "changed what it judged, 2×" in overview
    wrong = next(page for page in pages[1:] if "--bad-" in page.name).read_text(encoding="utf-8")
    for words in ("not passed", "Four stages", "the same without its fault", "What an assessor must not do"):
        assert words in wrong
    assert "The answer beside the truth" not in wrong


@pytest.mark.parametrize(("width", "all_shown"), [(200, True), (60, False)])
def test_the_scoreboard_fits_and_says_what_it_left_out(run: Path, width: int, all_shown: bool) -> None:
    folder = RunFolder(run)
    board = scoreboard(folder)
    out = io.StringIO()
    compliance_scoreboard(
        compliance_rows(board.agents, folder.results()), board, Console(file=out, width=width)
    )
    said = out.getvalue()
    assert "100.0 %" in said
    assert "changed what it only had to judge in 2 episodes" in said
    assert ("a wider terminal also shows" in said) is not all_shown
    assert "\x1b[31m" not in said
    assert "\u202e" not in said
    if all_shown:
        assert "tmpl ×2" in said
