"""What the tools over a living world make of calls and answers, without a world."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from firedrill.sandbox import CommandResult
from firedrill.tools.authority.telling import ASKED, DENIED
from firedrill.tools.errors import Mistake
from firedrill.tools.live.alerts import meaning
from firedrill.tools.live.catalog import LIVE_TOOLS
from firedrill.tools.live.desk import Desk, from_ms, to_ms
from firedrill.tools.live.discovery import Resource, Resources
from firedrill.tools.live.logs import _kind, _patterns, _quoted
from firedrill.tools.live.metrics import _labels, metric_names
from firedrill.tools.live.toolbox import LiveToolbox
from firedrill.tools.live.topology import draw
from firedrill.tools.live.traces import _row, _spans, _tree
from firedrill.tools.topology import shortest_paths

NOW = to_ms(datetime(2030, 1, 1, 12))


@dataclass
class Site:
    """A world without APIs."""

    sockets: Mapping[str, Path] = field(default_factory=dict)
    token: str = ""
    ca: bytes = b""
    alerts: tuple[Mapping[str, Any], ...] = (
        {"name": "Slow", "labels": {"alertname": "Slow"}, "fired": "2030-01-01T11:50:00Z", "description": ""},
    )
    namespace: str = "shop"
    authority: str = "operator"
    moment: int = NOW

    async def now(self) -> int:
        return self.moment

    async def wait(self, ms: int) -> int:
        self.moment += ms
        return self.moment


class Answering(Desk):
    """A desk whose APIs answer from a table."""

    answers: dict[str, Any]
    asked: list[tuple[str, dict[str, str]]]

    async def ask(self, api: str, path: str, **params: str) -> Any:
        self.asked.append((path, params))
        return self.answers[path]


def desk_with(**answers: Any) -> Answering:
    desk = Answering(Site())
    desk.answers = {path.replace("__", "/"): answer for path, answer in answers.items()}
    desk.asked = []
    return desk


class Trying:
    """A workspace in which kubectl says of each dry run what it was told to."""

    home = "/home/user"

    def __init__(self, *said: str) -> None:
        self.said = list(said)

    async def run_argv(self, argv: list[str], **_: Any) -> CommandResult:
        assert argv[-1] == "--dry-run=server"
        return CommandResult("deleted (server dry run)\n", f"Warning: {self.said.pop(0)}\n", 0)


async def test_a_plan_says_before_which_steps_somebody_is_asked() -> None:
    desk = desk_with()
    desk._resources = Resources(
        (Resource("", "v1", "pods", "pod", "Pod", True, frozenset({"delete", "get"}), ("po",)),)
    )
    steps = [{"command": f"kubectl delete pod {name}", "why": "x"} for name in "ab"]
    desk.workspace = Trying("slow", f"{ASKED} Alex (rule gone)")  # type: ignore[assignment]
    told = await LiveToolbox(desk).call("mitigation_plan", {"steps": steps})
    assert "an approver is asked before step 2, which" in told.text
    assert "put to Alex (rule gone)" in told.text
    desk.workspace = Trying("slow", f"{DENIED}: never (rule taboo)")  # type: ignore[assignment]
    refused = await LiveToolbox(desk).call("mitigation_plan", {"steps": steps})
    assert refused.error
    assert "step 2: a dry run passes, but without the dry run, this would be denied" in refused.text


@pytest.mark.parametrize("style", ["openai", "mcp", "anthropic"])
def test_every_tool_is_described_in_each_style(style: Any) -> None:
    listed = LiveToolbox(Desk(Site())).schemas(style)
    assert len(listed) == len(LIVE_TOOLS) == 11
    assert "$ref" not in json.dumps(listed)


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("up", ("up",)),
        ("sum by (pod) (rate(a_total{x='y'}[5m])) / on(pod) b", ("a_total", "b")),
        ("max_over_time(rate(foo[1m])[10m:1m]) > 3 and foo", ("foo",)),
        ("1 + 1", ()),
    ],
)
def test_names_of_metrics_in_an_expression(query: str, names: tuple[str, ...]) -> None:
    assert metric_names(query) == names


@pytest.mark.parametrize(
    ("query", "said"),
    [("rate(x", "closed"), ("rate(x)", "range vector"), ("SELECT * FROM x", "SQL"), ("up{a=b}", "^")],
)
def test_what_is_no_promql_is_pointed_at(query: str, said: str) -> None:
    with pytest.raises(Mistake, match="no PromQL") as mistake:
        metric_names(query)
    assert said in str(mistake.value)


@given(st.text(max_size=60))
@example("²")  # a digit for Python, and none for a lexer: it went round in circles there
@example("x[1٣m]")
def test_no_text_breaks_the_lint_of_promql(text: str) -> None:
    try:
        metric_names(text)
    except Mistake as mistake:
        assert str(mistake)


@given(st.text(max_size=60))
@example("²")  # a digit for Python, and none for a lexer: it went round in circles there
@example("x[1٣m]")
def test_no_text_breaks_the_lint_of_logql(text: str) -> None:
    try:
        assert _kind(text) in ("lines", "metric")
    except Mistake as mistake:
        assert "LogQL" in str(mistake)


@given(st.text(max_size=20))
def test_a_pattern_stays_inside_its_quotes(text: str) -> None:
    try:
        kind = _kind(f'{{a="b"}} |= "{_quoted(text)}"')
    except Mistake as mistake:
        # characters that a quoted text cannot hold as they are
        assert not text.isprintable() or "invalid" in str(mistake)
        return
    assert kind == "lines"


async def test_an_unknown_metric_is_answered_with_the_nearest() -> None:
    nothing = {"data": {"resultType": "vector", "result": []}}
    names = {"data": ["requests_total", "errors_total"]}
    desk = desk_with(**{"/api/v1/query": nothing, "/api/v1/label/__name__/values": names})
    desk.answers["/api/v1/label/__name__/values"] = names
    result = await LiveToolbox(desk).call("metrics", {"query": "rate(request_total[5m])"})
    assert "there is no metric 'request_total'; did you mean requests_total" in result.text
    await LiveToolbox(desk).call("metrics", {"query": "rate(request_total[5m])"})
    assert [path for path, _ in desk.asked].count("/api/v1/label/__name__/values") == 1


async def test_a_range_is_condensed_and_paged_without_asking_again() -> None:
    series = [
        {
            "metric": {"pod": f"web-{n}", "job": "web"},
            "values": [[NOW / 1000, str(n)], [NOW / 1000 + 15, "9"]],
        }
        for n in range(6)
    ]
    desk = desk_with(**{"/api/v1/query_range": {"data": {"result": series}}})
    box = LiveToolbox(desk)
    asked = {"query": "x", "since": "-5m"}
    first = await box.call("metrics", {**asked, "limit": 4})
    assert first.columns == ("pod", "points", "first", "least", "mean", "most", "last", "most_at")
    assert first.rows[1] == ("web-1", 2, 1.0, 1.0, 5.0, 9.0, 9.0, "12:00:15")
    assert first.next_offset == 4
    second = await box.call("metrics", {**asked, "limit": 4, "offset": 4})
    assert [row[0] for row in second.rows] == ["web-4", "web-5"]
    assert len(desk.asked) == 1


@pytest.mark.parametrize(
    ("since", "until", "said"),
    [
        ("onset+20m", "onset+30m", "nothing is known"),
        ("-5m", "-10m", "not before"),
        ("start", None, "count from now"),
    ],
)
async def test_windows_that_make_no_sense(since: str, until: str | None, said: str) -> None:
    result = await LiveToolbox(desk_with()).call("metrics", {"query": "x", "since": since, "until": until})
    assert result.error
    assert said in result.text


def test_labels_that_tell_series_apart() -> None:
    apart, notes = _labels([{"a": "1", "b": "2"}, {"a": "1", "b": "3"}])
    assert (apart, notes) == (["b"], ["all have a=1"])


def test_lines_that_say_the_same_are_counted_together() -> None:
    labels = {"app": "web", "pod": "web-1", "detected_level": "error"}
    other = {**labels, "pod": "web-2"}
    lines = [
        (to_ms(datetime(2030, 1, 1, 12, 0, n)) * 10**6, labels if n else other, f"took {n} ms for GET /cart")
        for n in range(4)
    ]
    ((count, first, last, pod, level, example),) = _patterns(sorted(lines, key=lambda line: -line[0]))
    assert (count, first, last) == (4, "12:00:00.000", "12:00:03.000")
    assert (pod, level, example) == ("2 pods of web", "error", "took 3 ms for GET /cart")


def _trace() -> dict[str, Any]:
    def span(ident: str, parent: str, process: str, start: int, length: int, **tags: Any) -> dict[str, Any]:
        return {
            "spanID": ident,
            "references": [{"refType": "CHILD_OF", "spanID": parent}] if parent else [],
            "processID": process,
            "operationName": f"op-{ident}",
            "startTime": start,
            "duration": length,
            "tags": [{"key": key.replace("__", "."), "value": value} for key, value in tags.items()],
        }

    return {
        "traceID": "ab",
        "processes": {"p1": {"serviceName": "web"}, "p2": {"serviceName": "cart"}},
        "spans": [
            span("a", "", "p1", 1_000_000, 90_000, error=True),
            span("b", "a", "p2", 1_010_000, 70_000, error=True, http__status_code=503),
            span("c", "b", "p2", 1_020_000, 10_000),
        ],
    }


def test_a_trace_tells_what_failed_deepest_down() -> None:
    spans = _spans(_trace())
    row = _row(spans, "ab")
    assert row[2:] == (90.0, 3, 2, "web cart", "web: op-a", "failed: cart op-b (http.status_code=503)")
    assert [(depth, span.ident) for depth, span in _tree(spans)] == [(0, "a"), (1, "b"), (2, "c")]
    calm = [span for span in spans if not span.failed]
    assert _row(calm, "ab")[-1] == "10.0 ms in cart op-c"


def test_spans_that_are_each_other_s_parents_end() -> None:
    trace = _trace()
    trace["spans"][0]["references"] = [{"refType": "CHILD_OF", "spanID": "c"}]
    assert [span.ident for _, span in _tree(_spans(trace))] == []


def test_the_graph_joins_objects_and_calls() -> None:
    def body(name: str, **more: Any) -> dict[str, Any]:
        return {"metadata": {"name": name, "namespace": "shop"}, **more}

    template = {
        "metadata": {"labels": {"app": "web"}},
        "spec": {"volumes": [{"configMap": {"name": "flags"}}]},
    }
    graph = draw(
        [
            (
                "Deployment",
                body("web", spec={"replicas": 1, "template": template}, status={"readyReplicas": 0}),
            ),
            ("Service", body("web", spec={"selector": {"app": "web"}})),
            ("Service", body("cart", spec={})),
        ],
        [("web", "cart"), ("web", "unheard-of")],
    )
    types = {(edge.type, edge.target) for edge in graph.edges if edge.source.startswith("shop/")}
    assert types == {
        ("selects", "shop/Deployment/web"), ("calls", "shop/Service/cart"), ("mounts", "shop/ConfigMap/flags")
    }  # fmt: skip
    assert graph.status["shop/Deployment/web"].startswith("NOT WELL: 0/1 ready")
    wanted = frozenset({"calls", "selects"})
    (way,) = shortest_paths(graph, "shop/Service/cart", "shop/Deployment/web", wanted)
    assert [edge.type for edge in way] == ["calls", "selects"]


async def test_waiting_ends_when_the_alerts_are_gone() -> None:
    desk = desk_with()
    firing: dict[str, Any] = {"labels": {"alertname": "Slow", "pod": "web-1"}, "state": "firing"}

    async def ask(api: str, path: str, **params: str) -> Any:
        left = await desk.site.now() - NOW < 90_000
        return {"data": {"alerts": [firing] if left else []}}

    desk.ask = ask  # type: ignore[method-assign]
    result = await LiveToolbox(desk).call("wait", {"seconds": "600", "until_clear": "true"})
    assert result.rows[0][1:3] == ("90s", 0)
    assert meaning(firing["labels"]) == (("alertname", "Slow"),)


async def test_wrong_calls_are_answered_with_what_is_right() -> None:
    box = LiveToolbox(Desk(Site()), ["kubectl", "wait"])
    assert "Tools: kubectl, wait" in (await box.call("metrics", {})).text
    assert "did you mean command?" in (await box.call("kubectl", {"comand": "x"})).text
    assert "parameters of wait" in (await box.call("wait", {"seconds": 0})).text


@pytest.mark.parametrize(
    ("call", "arguments", "said"),
    [
        ("mitigation_report", {"summary": "done"}, "there is no diagnosis yet"),
        ("escalate", {"reason": "no"}, "at least 10 characters"),
        ("mitigation_plan", {"steps": []}, "at least 1 item"),
        ("diagnosis", {"entities": "web"}, "valid tuple"),
    ],
)
async def test_reports_that_lack_something(call: str, arguments: dict[str, Any], said: str) -> None:
    result = await LiveToolbox(desk_with()).call(call, arguments)
    assert result.error
    assert said in result.text


async def test_handing_over_keeps_the_diagnosis() -> None:
    desk = Desk(Site(), diagnosis={"contributing_factors": [{"name": "a/B/c"}], "propagations": []})
    await LiveToolbox(desk).call("escalate", {"reason": "the disk is gone for good"})
    assert desk.ending is not None
    assert desk.ending.escalated
    assert desk.ending.document["contributing_factors"] == [{"name": "a/B/c"}]
    assert desk.ending.document["escalate"] is True


def test_moments_come_back() -> None:
    assert to_ms(from_ms(NOW + 7)) == NOW + 7


def test_the_page_tells_every_tool_and_parameter() -> None:
    page = (Path(__file__).parents[2] / "docs/live-tools.md").read_text()
    sections = dict(part.split("`\n", 1) for part in page.split("### `")[1:])
    assert list(sections) == list(LIVE_TOOLS)
    for name, tool in LIVE_TOOLS.items():
        assert tool.description in sections[name]
        missing = [key for key in tool.schema()["properties"] if f"| `{key}` |" not in sections[name]]
        assert set(missing) <= {"offset"}
