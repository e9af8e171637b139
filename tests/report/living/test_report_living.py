"""The story, the drawing and the pages of episodes on living worlds, with hostile text wherever text can stand."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from firedrill.core.living import (
    AlertSpan,
    Branches,
    BranchMinute,
    Dropped,
    Facts,
    Flaw,
    HarmItem,
    Intervention,
    LivingTimes,
    PartFacts,
    Price,
    RepairFacts,
    RequestLine,
    TrialVerdict,
)
from firedrill.records.receipt import ReceiptLine
from firedrill.report.living import draw, spark, story_of, verdict_of
from firedrill.report.living.drawing import NARROW, WIDE, clock
from firedrill.report.living.story import Act
from firedrill.report.pages import write_report

HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(2)>'\"&\u202eevil\u0007\x1b[31m]]>"
MINUTE = 60_000
FAULT = 1_700_000_040_000
START = FAULT + 4 * MINUTE


def minutes(first: int, bad: list[float]) -> tuple[BranchMinute, ...]:
    return tuple(
        BranchMinute(
            at=first + n * MINUTE, bad=share, success=1 - share, offered=100, failed=round(share * 100)
        )
        for n, share in enumerate(bad)
    )


def request(minute: float, **more: Any) -> RequestLine:
    known = {
        "at_ms": START + round(minute * MINUTE),
        "resource": "pods",
        "namespace": "shop",
        "rule": HOSTILE,
    }
    return RequestLine.model_validate(known | more)


@pytest.fixture
def facts() -> Facts:
    no = TrialVerdict(entities=(), cured=False, reason=f"relapse {HOSTILE}")
    return Facts(
        times=LivingTimes(
            t0=FAULT - 30 * MINUTE,
            tb=FAULT - 15 * MINUTE,
            tf=FAULT,
            ta=START - 1000,
            ts=START,
            te=START + 5 * MINUTE,
            tv=START + 15 * MINUTE,
        ),
        alerts=(
            AlertSpan(name="Late", labels={"severity": "warning"}, fired=START + MINUTE),
            AlertSpan(
                name=f"High{HOSTILE}",
                labels={"severity": "critical", "service": HOSTILE},
                fired=START - 1000,
                ended=START + 6 * MINUTE,
                triggering=True,
            ),
        ),
        branches=Branches(
            before=minutes(FAULT - 3 * MINUTE, [0, 0, 0, 0.5, 0.5, 0.5, 0.5]),
            agent=minutes(START, [0.5, 0.9, 0, *[0.0] * 12]),
            nobody=minutes(START, [0.5] * 15),
            reference=minutes(START, [0.0] * 15),
        ),
        repair=RepairFacts(
            alerts=PartFacts(
                total=2, flaws=(Flaw(entity=f"cluster/Alert/{HOSTILE}", what="fires", detail=HOSTILE),)
            )
        ),
        intervention=Intervention(
            predicted=("shop/Deployment/a", f"shop/Service/{HOSTILE}"),
            sufficient=True,
            minimal=("shop/Deployment/a",),
            score=0.5,
            dropped=(
                Dropped(entity="shop/Deployment/a", needed=True, verdict=no),
                Dropped(entity=f"shop/Service/{HOSTILE}", needed=False, verdict=no),
            ),
        ),
        harm=(HarmItem(kind="collateral", entity=f"shop/Pod/{HOSTILE}", what=HOSTILE, requests=(2,)),),
        requests=(
            request(0.1, verb="list", path=f"/api/v1/{HOSTILE}"),
            request(0.2, verb="get", name=HOSTILE, code=404, reason=HOSTILE),
            request(
                1,
                verb="delete",
                name="a",
                asked=True,
                approver=HOSTILE,
                waited_ms=120_000,
                changed=(HOSTILE,),
            ),
            request(3, verb="delete", name="b", effect="deny", code=403, reason=HOSTILE),
            request(4, verb="patch", name="c"),
        ),
        prices=(Price(request=4, saved=-1.25, failed=30, minutes=10),),
    )


def said(number: int, minute: float, **more: Any) -> ReceiptLine:
    payload = {"role": "assistant", "content": f"I look {HOSTILE}", "at_ms": START + round(minute * MINUTE)}
    return ReceiptLine(seq=number, kind="message", payload=payload | more)


def test_requests_are_told_by_what_became_of_them(facts: Facts) -> None:
    story = story_of(facts)
    assert [item.sort for item in story.acts] == ["read", "error", "asked", "denied", "write"]
    assert [item.name for item in story.alerts][1] == "Late", "those that somebody was called for come first"
    assert [item.id for item in story.moments] == ["fault", "alert", "start", "end", "verified"]
    assert story.acts[4].price is not None


def test_queries_are_told_to_be_read_and_discovery_stands_back() -> None:
    asked = RequestLine(
        at_ms=1, api="prometheus", path="/api/v1/query?query=sum%28rate%28x%5B1m%5D%29%29+%3E+1"
    )
    assert Act(0, "read", asked).target == "/api/v1/query?query=sum(rate(x[1m])) > 1"
    found = {
        path: Act(0, "read", RequestLine(at_ms=1, path=path)).plumbing
        for path in ("/apis/apps/v1?timeout=32s", "/version", "/openapi/v3", "/metrics", "/api")
    }
    assert [path for path, hidden in found.items() if not hidden] == ["/metrics"]
    assert not Act(0, "read", asked).plumbing
    assert not Act(0, "error", RequestLine(at_ms=1, path="/version", code=401)).plumbing
    assert not Act(0, "read", RequestLine(at_ms=1, path="/api/v1/pods", resource="pods")).plumbing


def test_messages_stand_between_requests(facts: Facts) -> None:
    lines = [
        said(0, 0.5),
        said(1, 2, role="user", content="go on"),
        said(2, 9, at_ms=None),
        said(3, 9, content=" "),
    ]
    entries = story_of(facts, lines).entries
    call = {"name": "kubectl", "arguments": HOSTILE}
    assert (
        story_of(facts, [said(0, 1, content="", tool_calls=[call, 7])]).said[0].text == f"kubectl {HOSTILE}"
    )
    assert [type(item).__name__ for item in entries] == ["Act", "Act", "Said", "Act", "Said", "Act", "Act"]


@pytest.mark.parametrize("width", [WIDE, NARROW])
def test_a_drawing_is_whole_and_inside_its_box(facts: Facts, width: int) -> None:
    root = ET.fromstring(draw(story_of(facts, [said(0, 0.5)]), width))
    _, _, wide, high = map(float, root.attrib["viewBox"].split())
    assert wide == width
    tags = {item.tag.rpartition("}")[2] for item in root.iter()}
    assert tags <= {"svg", "rect", "path", "circle", "line", "polyline", "text", "a", "title"}
    for item in root.iter():
        assert not [name for name in item.attrib if name.startswith("on") or name in ("style", "src")]
        assert item.attrib.get("href", "#").startswith("#")
        if item.tag.endswith("rect"):
            x, y, w, h = (float(item.attrib[name]) for name in ("x", "y", "width", "height"))
            assert x >= -1.5 and x + w <= wide + 1.5 and y >= 0 and y + h <= high
    text = "".join(root.itertext())
    assert "\u202e" not in text
    assert "\x1b" not in text


def test_what_an_agent_won_and_what_it_cost_are_areas(facts: Facts) -> None:
    root = ET.fromstring(draw(story_of(facts)))
    classes = [item.attrib.get("class") for item in root.iter()]
    assert classes.count("cost") == 1
    assert classes.count("saved") == 13
    assert [name for name in classes if name and name.startswith("act ")] == [
        "act read",
        "act error",
        "act asked",
        "act denied",
        "act write",
    ]


def test_an_episode_in_which_nothing_happened_is_drawn(facts: Facts) -> None:
    bare = Facts(times=facts.times.model_copy(update={"ta": None, "te": facts.times.ts}))
    for svg in (draw(story_of(bare)), spark(story_of(bare))):
        ET.fromstring(svg)
        assert "nan" not in svg.lower()


@pytest.mark.parametrize(
    ("ms", "words"), [(0, "+0:00"), (61_000, "+1:01"), (-5_000, "-0:05"), (3_661_000, "+1:01:01")]
)
def test_clock(ms: int, words: str) -> None:
    assert clock(ms) == words


def test_the_verdict_says_which_named_thing_mattered(facts: Facts) -> None:
    verdict = verdict_of(facts, None)
    assert [(row.needed) for row in verdict.named] == [True, False]
    assert "1 of 2 would have done" in verdict.named_words
    assert [part.letter for part in verdict.parts if part.flaws] == ["a"]
    assert verdict.resolved is None


class Scan(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))


@pytest.fixture
def living_report(make_run: Callable[..., Path], facts: Facts, tmp_path: Path) -> Path:
    """The report of a run whose episodes have worlds; the worse agent ends in catastrophes."""
    run = make_run(agent_name=lambda folder: folder)
    for folder in run.glob("episodes/*/*/*"):
        (folder / "interventions.json").write_text(facts.model_dump_json())
        grade = json.loads((folder / "grade.json").read_text())
        good = "good" in str(folder)
        grade["metrics"] |= {
            "resolved": float(good),
            "harm": 0.0 if good else 3.0,
            "net_slo_minutes_saved": 5.1 if good else -2.5,
            "diagnosis": 0.5,
            "repair_partial": 0.8,
            "time_to_repair": 300.0 if good else None,
            "time_to_repair_restricted": 300.0 if good else 3600.0,
        }
        grade["notes"]["harm"] = {"class": "x", "reasons": [f"data: {HOSTILE} lost"], "items": []}
        (folder / "grade.json").write_text(json.dumps(grade))
    return write_report(run, tmp_path / "report").parent


def test_pages_of_living_episodes_are_safe_and_lead_somewhere(living_report: Path) -> None:
    for page in living_report.rglob("*.html"):
        text = page.read_text("utf-8")
        scan = Scan()
        scan.feed(text)
        assert [tag for tag, _ in scan.tags].count("script") == 1
        assert "img" not in {tag for tag, _ in scan.tags}
        assert not [
            name for _, found in scan.tags for name in found if name.startswith("on") or name == "style"
        ]
        assert "\u202e" not in text
        ids = {found["id"] for _, found in scan.tags if "id" in found}
        for tag, found in scan.tags:
            target = found.get("href") or ""
            if tag == "a" and target.startswith("#"):
                assert target[1:] in ids, target


def test_the_overview_of_a_living_run(living_report: Path) -> None:
    index = (living_report / "index.html").read_text("utf-8")
    words = re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", index))
    for expected in ("bad-00000002: 4 catastrophes", "4 catastrophic", "4 none", "+5.10", "\u22122.50"):
        assert expected in words, expected
    assert "300.0" not in words.split("Further scores")[0]
    assert "5 min 00 s 4 of 4" in words, "successes are told with their number"
    assert "restr. 1 h 00 min" in words
    assert index.count('class="spark"') == 8
    page = (living_report / "episodes" / "Scenario-1--bad-00000002--1.html").read_text("utf-8")
    for expected in (
        "Which named thing mattered",
        "Every request",
        "Verdict",
        "fires",
        "\u22121.25",
        "catastroph",
    ):
        assert expected in page or expected == "catastroph", expected
