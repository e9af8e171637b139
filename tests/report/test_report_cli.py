"""The verbs ``report``, ``compare``, ``view`` and ``demo`` from the outside."""

from __future__ import annotations

import http.client
import json
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from firedrill.cli import main
from firedrill.gateway.kubernetes.kubectl import find_kubectl

MakeRun = Callable[..., Path]


def plain(folder: str) -> str:
    return folder


def test_report_prints_where_it_is(make_run: MakeRun, capsys: pytest.CaptureFixture[str]) -> None:
    run = make_run()
    assert main(["report", str(run)]) == 0
    assert capsys.readouterr().out.strip() == str(run / "report" / "index.html")
    assert (run / "report" / "index.html").is_file()


@pytest.mark.parametrize("form", ["json", "csv", "markdown"])
def test_other_forms_go_to_standard_output_or_a_file(
    make_run: MakeRun, capsys: pytest.CaptureFixture[str], tmp_path: Path, form: str
) -> None:
    run = make_run(agent_name=plain)
    assert main(["report", str(run), "--format", form]) == 0
    printed = capsys.readouterr().out
    assert "good-00000001" in printed
    assert main(["report", str(run), "--format", form, "--out", str(tmp_path / "deep" / "file")]) == 0
    assert (tmp_path / "deep" / "file").read_text() == printed


def test_report_as_json_is_json_alone(make_run: MakeRun, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", str(make_run()), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert [agent["score"]["mean"] for agent in document["agents"]] == [1.0, 0.0]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["report", "nowhere"], "nowhere"),
        (["report", "{run}", "--format", "pdf"], "--format: no format 'pdf'; one of html, json"),
        (["compare", "{run}", "nowhere"], "nowhere"),
        (["compare", "{run}", "{run}", "--metric", "charm"], "--metric: no metric 'charm'; one of"),
        (
            ["compare", "{run}", "{run}", "-a", "nobody"],
            "no agent 'nobody'; it has good-00000001, bad-00000002",
        ),
        (["compare", "{run}", "{run}", "-a", "good-00000001"], "-b: it has 2 agents; name one"),
    ],
)
def test_mistakes_are_told_in_a_line(
    make_run: MakeRun, capsys: pytest.CaptureFixture[str], arguments: list[str], words: str
) -> None:
    run = str(make_run(agent_name=plain))
    assert main([argument.replace("{run}", run) for argument in arguments]) == 2
    error = capsys.readouterr().err
    assert words in error
    assert "Traceback" not in error


def test_compare_two_runs_by_name(make_run: MakeRun, capsys: pytest.CaptureFixture[str]) -> None:
    better = make_run("a", scenarios=7, scores={"x-00000001": 1.0}, agent_name=plain)
    worse = make_run("b", scenarios=7, scores={"x-00000001": 0.0}, agent_name=plain)
    assert main(["compare", str(better), str(worse), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["comparisons"]
    assert [(item["a"], item["verdict"], item["difference"]["n"]) for item in found] == [
        ("x-00000001", "a_better", 7)
    ]
    assert main(["compare", str(worse), str(better)]) == 0
    assert "B is better than A" in capsys.readouterr().out


def test_compare_within_one_run(make_run: MakeRun, capsys: pytest.CaptureFixture[str]) -> None:
    run = make_run(scenarios=3, agent_name=plain)
    assert main(["compare", str(run), str(run)]) == 0
    assert "undecided: about 3 more scenarios would tell (n = 3" in " ".join(capsys.readouterr().out.split())
    assert main(["compare", str(run), str(run), "-a", "bad-00000002", "-b", "good-00000001", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["comparisons"][0]["difference"]["mean"] == -1.0


def test_scenarios_with_another_truth_do_not_count(
    make_run: MakeRun, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = (make_run(name, scenarios=7, scores={"x-00000001": 1.0}) for name in "ab")
    manifest = json.loads((second / "run.json").read_text())
    manifest["scenarios"]["Scenario-3"]["truth_digest"] = "sha256:other"
    (second / "run.json").write_text(json.dumps(manifest))
    assert main(["compare", str(first), str(second), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["scenarios_with_another_truth"] == ["Scenario-3"]
    assert document["comparisons"][0]["difference"]["n"] == 6


def test_view_serves_this_machine_only(make_run: MakeRun) -> None:
    run = make_run()
    command = [sys.executable, "-m", "firedrill", "view", str(run), "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            address = json.loads(server.stdout.readline())["address"]
            match = re.fullmatch(r"http://127\.0\.0\.1:(\d+)/", address)
            assert match
            port = int(match[1])
            assert _get(port, "/", "127.0.0.1")[0] == 200
            assert b"Scoreboard" in _get(port, "/index.html", "localhost")[1]
            assert _get(port, "/", "evil.example")[0] == 400
            assert _get(port, "/../run.json", "127.0.0.1")[0] == 404
            assert _get(port, "/%2e%2e/run.json", "127.0.0.1")[0] == 404
        finally:
            server.send_signal(signal.SIGINT)
            server.wait(timeout=60)


def _get(port: int, path: str, host: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", path, headers={"Host": host})
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


@pytest.mark.slow
@pytest.mark.elsewhere
@pytest.mark.service
def test_the_demo_runs_from_nothing_or_in_place_of_an_earlier_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "demo"
    (out / "run").mkdir(parents=True)
    (out / "run" / "old.txt").write_text("of an earlier demo")
    (out / ".firedrill-demo").touch()
    assert main(["demo", "--out", str(out), "--count", "1", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    means = {agent["agent"].split("-")[0]: agent["score"]["mean"] for agent in document["agents"]}
    assert means["oracle"] == 1.0
    assert means["null"] == means["shotgun"] == 0.0
    assert set(means) - {"react"} == {"oracle", "null", "shotgun", "sleuth"}
    assert ("react" in means) is bool(find_kubectl())
    assert document["complete"]
    assert not (out / "run" / "old.txt").exists()
    report = Path(document["report"])
    assert 'class="spark"' in report.read_text("utf-8")
    pages = sorted((report.parent / "episodes").glob("*--oracle-*.html"))
    assert "Every request" in pages[0].read_text("utf-8")
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.txt").write_text("years of work")
    assert main(["demo", "--out", str(mine)]) == 2
    assert (mine / "thesis.txt").exists()
