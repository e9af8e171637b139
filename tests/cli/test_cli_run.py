"""run, resume, score, verify and agents, as a user calls them."""

from __future__ import annotations

import asyncio
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from firedrill.cli import main
from firedrill.records import RunFolder, read_manifest, verify
from firedrill.snapshot import ObjectRow, write_incident

SECOND = 1_000_000_000
START = 1_768_000_000 * SECOND


def thing(kind: str, name: str, **spec: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": kind, "metadata": {"name": name, "namespace": "shop"}, **spec}


@pytest.fixture(scope="session")
def tiny_suite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four incidents of three objects each, in the ITBench-AA layout."""
    root = tmp_path_factory.mktemp("tiny") / "tiny"
    for number in range(1, 5):
        objects = [
            thing("Deployment", f"cart{number}"),
            thing("Pod", f"cart{number}-7d9f8c6b54-x2k4p"),
            thing("Service", "front"),
        ]
        truth = {
            "groups": [
                {
                    "id": "cart",
                    "kind": "Deployment",
                    "namespace": "shop",
                    "filter": [f"cart{number}"],
                    "root_cause": True,
                },
                {"id": "front", "kind": "Service", "namespace": "shop", "filter": ["front"]},
            ],
            "propagations": [{"source": "cart", "target": "front", "condition": "c", "effect": "errors"}],
        }
        write_incident(
            root / "sre" / f"Scenario-{number}",
            objects=[ObjectRow(START + place * SECOND, item) for place, item in enumerate(objects)],
            ground_truth=truth,
        )
    return root


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def call(capsys: pytest.CaptureFixture[str], *args: str | Path) -> tuple[int, str, str]:
    code = main([str(arg) for arg in args])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


ALL = ("-a", "null", "-a", "oracle", "-a", "shotgun")


def test_a_run_from_end_to_end(tiny_suite: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = call(capsys, "run", tiny_suite, *ALL, "-k", "2", "--json")
    assert code == 0, err
    document = json.loads(out)
    assert document["run"] == "runs/tiny-001"
    assert document["complete"] is True
    scores = {entry["agent"].split("-")[0]: entry["score"]["mean"] for entry in document["agents"]}
    # two objects of one component land on the root; the service and the namespace do not
    assert scores == {"oracle": 1.0, "shotgun": pytest.approx(1 / 3), "null": 0.0}
    assert "24/24 episodes" in err

    code, out, _ = call(capsys, "verify", "runs/tiny-001", "--json")
    assert code == 0
    assert json.loads(out)["digest"] == document["digest"]

    code, out, err = call(capsys, "score", "runs/tiny-001", "--json")
    assert code == 0
    assert json.loads(out)["rescored"] == {"episodes": 24, "changed": 0}
    assert "0 of 24 grades changed" in err

    code, out, _ = call(capsys, "resume", "runs/tiny-001", "--json")
    assert code == 0
    assert json.loads(out)["digest"] == document["digest"]


def test_for_a_person(tiny_suite: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = call(capsys, "run", tiny_suite, *ALL, "-q", "--out", "mine", "--limit", "2")
    assert code == 0
    assert "oracle" in out
    assert "mine" in out
    assert read_manifest(Path("mine")).digests.run in out
    assert err == ""
    code, out, _ = call(capsys, "verify", "mine")
    assert code == 0
    assert "fine: 6 episodes, complete" in out
    code, out, _ = call(capsys, "score", "mine")
    assert code == 0
    assert "oracle" in out


def test_an_edit_is_told_with_its_place(tiny_suite: Path, capsys: pytest.CaptureFixture[str]) -> None:
    call(capsys, "run", tiny_suite, "-a", "null", "--out", "run")
    kept = read_manifest(Path("run")).digests.run
    path = next(Path("run").rglob("receipt.jsonl"))
    path.write_bytes(path.read_bytes().replace(b"no_submission", b"submitted"))
    code, out, _ = call(capsys, "verify", "run")
    assert code == 1
    assert str(path.relative_to("run")) in out
    assert "EDITED" in out
    code, out, _ = call(capsys, "verify", "run", "--expect", kept, "--json")
    assert code == 1
    assert json.loads(out)["ok"] is False


def test_a_run_that_was_killed_is_unfinished_not_edited(
    tiny_suite: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("firedrill.records.RunWriter.seal", _no_seal)
    code, _, err = call(capsys, "run", tiny_suite, "-a", "null", "--out", "run")
    assert code == 3
    assert "the disk was away" in err
    code, out, _ = call(capsys, "verify", "run")
    assert code == 1
    assert "UNFINISHED" in out
    assert "EDITED" not in out


def _no_seal(*_: object) -> None:
    raise OSError("the disk was away")


def test_verify_shows_only_so_much(tiny_suite: Path, capsys: pytest.CaptureFixture[str]) -> None:
    call(capsys, "run", tiny_suite, "-a", "null", "-k", "5", "--out", "run")
    shutil.rmtree("run/scenarios")
    shutil.rmtree("run/episodes")
    for number in range(60):
        Path(f"run/{number}").touch()
    code, out, _ = call(capsys, "verify", "run")
    assert code == 1
    assert "more" in out.splitlines()[50]


def test_a_wrong_digest_is_an_edit(tiny_suite: Path, capsys: pytest.CaptureFixture[str]) -> None:
    call(capsys, "run", tiny_suite, "-a", "null", "--out", "run")
    code, out, _ = call(capsys, "verify", "run", "--expect", "sha256:0")
    assert code == 1
    assert "expected sha256:0" in out


def test_score_check_writes_nothing(tiny_suite: Path, capsys: pytest.CaptureFixture[str]) -> None:
    call(capsys, "run", tiny_suite, "-a", "oracle", "--out", "run")
    grade = next(Path("run").rglob("grade.json"))
    changed = grade.read_bytes().replace(b'"score":1.0', b'"score":0.5')
    grade.write_bytes(changed)
    code, _, err = call(capsys, "score", "run", "--check")
    assert code == 1
    assert "1 of 4 grades would change" in err
    assert grade.read_bytes() == changed
    assert call(capsys, "score", "run")[0] == 0
    assert call(capsys, "score", "run", "--check")[0] == 0
    assert call(capsys, "verify", "run")[0] == 0


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ([], "no agent given"),
        (["-a", "nul"], "did you mean 'null'"),
        (["-a", "null", "-a", "null"], "same configuration"),
        (["-a", "null", "--scenario", "Scenario-9"], "Scenario-9"),
        (["-a", "null", "--without", "tracing"], "--without: no modality 'tracing'; one of alerts"),
        (["-a", "null", "--sandbox", "jail"], "no kind of sandbox 'jail'"),
        (["-a", "null", "-k", "0"], "-k"),
        (["-a", "null", "-k", "99999"], "-k"),
        (["-a", "null", "--seed", "-5"], "--seed"),
        (["-a", "null", "--minutes", "inf"], "--minutes"),
        (["-a", "null", "--max-cost", "inf"], "--max-cost"),
        (["-a", "null", "--out", "/dev/null/run"], "/dev/null/run: cannot be made"),
        (
            ["-a", "react", "-m", "openai/x", "--base-url", "https://me:secret@host/v1"],
            "base_url: holds a user, a password",
        ),
        (["-a", "null", "-o", "temperature"], "NAME=VALUE"),
        (["-a", "null", "-o", "temperature=["], "cannot be read"),
        (["-a", "react"], "model"),
        (["-a", "null", "--ledger", "half"], "--ledger: no ledger 'half'; short or full"),
        (["-a", "null", "--approver", "me"], "--approver: no approver 'me'; policy or terminal"),
        (["-a", "null", "--ledger", "full"], "--ledger: there are recorded incidents here, and no writes"),
        (["-a", "null", "--approver", "terminal"], "--approver: there are recorded incidents here"),
        (["--nonsense"], "nonsense"),
    ],
)
def test_mistakes_get_a_sentence_and_exit_code_2(
    tiny_suite: Path, capsys: pytest.CaptureFixture[str], args: list[str], words: str
) -> None:
    code, out, err = call(capsys, "run", tiny_suite, *args)
    assert code == 2
    assert words in err
    assert out == ""
    assert "Traceback" not in err
    assert not Path("runs").exists()


def test_a_model_without_an_agent_is_refused_on_worlds_too(capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = call(capsys, "run", "lite", "-m", "openai/x")
    assert code == 2
    assert "no agent given" in err


def test_wrong_folders_get_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    for verb in ("resume", "score", "verify"):
        code, _, err = call(capsys, verb, "nowhere")
        assert code == 2
        assert "no run.json" in err
    code, _, err = call(capsys, "run", "nowhere", "-a", "null")
    assert code == 2
    assert "nowhere" in err


def test_a_used_folder_is_refused(tiny_suite: Path, capsys: pytest.CaptureFixture[str]) -> None:
    call(capsys, "run", tiny_suite, "-a", "null", "--out", "run")
    code, _, err = call(capsys, "run", tiny_suite, "-a", "null", "--out", "run")
    assert code == 2
    assert "firedrill resume run" in err


def test_a_path_that_is_no_text_is_read_but_not_registered(
    tiny_suite: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = Path(os.fsdecode(os.fsencode(tmp_path) + b"/n\xff"))
    shutil.copytree(tiny_suite, place)
    code, out, err = call(capsys, "run", place, "-a", "oracle", "--out", place / "run", "--json")
    assert code == 0, err
    assert json.loads(out)["agents"][0]["score"]["mean"] == 1.0
    assert call(capsys, "resume", place / "run")[0] == 0
    code, _, err = call(capsys, "suite", "add", place)
    assert code == 2
    assert "its path is not UTF-8" in err


def test_a_run_inside_an_incident_is_refused_as_agents_would_see_its_truth(
    tiny_suite: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    alerts = tiny_suite / "sre" / "Scenario-2" / "alerts" / "run"
    code, _, err = call(capsys, "run", tiny_suite, "-a", "null", "--out", alerts)
    assert code == 2
    assert "lies inside the incident Scenario-2" in err
    assert not alerts.exists()


def test_a_seed_that_cannot_be_is_told_by_every_verb_that_reads_a_run(
    tiny_suite: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(capsys, "run", tiny_suite, "-a", "null", "--out", "run")[0] == 0
    manifest = Path("run/run.json")
    manifest.write_text(manifest.read_text().replace('"seed": 0', '"seed": -3'))
    for verb in ("score", "report", "resume"):
        code, _, err = call(capsys, verb, "run")
        assert code == 2
        assert "run.json: plan.seed" in err


def test_agents_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = call(capsys, "agents")
    assert code == 0
    assert "oracle" in out
    code, out, _ = call(capsys, "agents", "--json")
    assert "shotgun" in {entry["name"] for entry in json.loads(out)["agents"]}


def test_options_and_models_make_agents(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from firedrill.cli.run import _limits, _options, _requests
    from firedrill.core.episode import Limits

    options = _options(["top_p=0.5", "parallel=false", "note=a=b"])
    assert options == {"top_p": 0.5, "parallel": False, "note": "a=b"}
    requests = _requests(["null", "react", "command:./x"], ["a/b", "c/d"], options)
    assert [(item.spec, item.model) for item in requests] == [
        ("null", None),
        ("react", "a/b"),
        ("react", "c/d"),
        ("command:./x", "a/b"),
    ]
    assert requests[0].options == {}
    assert requests[1].options == options
    mixed = _requests(["react", "crew-sre", "command:./x"], ["a/b"], {"iterations": 3, "top_p": 0.5, "x": 1})
    assert [dict(item.options) for item in mixed] == [
        {"top_p": 0.5, "x": 1},
        {"iterations": 3, "top_p": 0.5, "x": 1},
        {"x": 1},
    ]
    assert _limits(None, None, None) is None
    limits = _limits(5, 0, 2.5)
    assert limits == Limits(turns=5, minutes=None, cost=2.5)


def test_an_infrastructure_error_leaves_with_3(
    tiny_suite: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from firedrill import snapshot

    real = snapshot.open_incident

    def lame(folder: Path, **kwargs: Any) -> Any:
        if folder.name == "Scenario-2":
            raise OSError("the disk was away")
        return real(folder, **kwargs)

    monkeypatch.setattr(snapshot, "open_incident", lame, raising=False)
    monkeypatch.setattr("firedrill.runner.campaign.asyncio.sleep", _at_once)
    code, out, err = call(capsys, "run", tiny_suite, "-a", "null", "--out", "run", "--json")
    assert code == 3
    assert json.loads(out)["complete"] is False
    assert "the disk was away; tried again" in err
    assert "1 episode failed through no fault of an agent" in err
    monkeypatch.undo()
    assert call(capsys, "resume", tmp_path / "run", "--json")[0] == 0
    assert read_manifest(tmp_path / "run").complete


async def _at_once(seconds: float) -> None:
    return None


def test_the_terminal_shows_bars(tiny_suite: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from io import StringIO

    from rich.console import Console

    from firedrill.cli._progress import Bars

    call(capsys, "run", tiny_suite, *ALL, "--out", "run")
    screen = StringIO()
    results = RunFolder(Path("run")).results()
    with Bars(Console(file=screen, force_terminal=True, width=120)) as bars:
        bars.started({record.agent: 4 for record, _ in results}, {})
        for record, grade in results:
            bars.finished(record, grade)
        bars.note("a [note]")
    text = screen.getvalue()
    assert "mean 1.000" in text
    assert "a [note]" in text
    assert "4/4" in text


def command(*args: str | Path) -> list[str]:
    return [sys.executable, "-m", "firedrill", *(str(arg) for arg in args)]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("spec", "kept"), [("lite", True), ("lite@2", True), ("./lite", False), ("mine", False), (".", False)]
)
def test_what_opens_a_suite_again_is_its_name_or_its_place(spec: str, kept: bool) -> None:
    from firedrill.cli._running import source_of

    assert source_of(spec) == (spec if kept else str(Path(spec).absolute()))


def test_the_first_interrupt_stops_and_resume_finishes(tiny_suite: Path, tmp_path: Path) -> None:
    arguments = ("run", tiny_suite, *ALL, "-k", "30", "-n", "2", "--out", "run")
    with subprocess.Popen(
        command(*arguments), stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=os.environ
    ) as child:
        wait_for(lambda: len(list(Path("run").glob("episodes/*/*/*/episode.json"))) > 20, child)
        child.send_signal(signal.SIGINT)
        out, err = child.communicate(timeout=60)
    assert child.returncode == 130, err
    assert "stopping" in err
    assert "firedrill resume run" in err
    assert "Traceback" not in err
    assert "score" in out
    assert verify("run").ok
    assert not verify("run").complete
    subprocess.run(command("resume", "run", "-q"), check=True, capture_output=True, timeout=120)
    assert verify("run").complete


@pytest.mark.parametrize(("within", "ended"), [(60.0, []), (0.0, [130])])
def test_an_interrupt_that_comes_twice_is_one_and_a_later_one_ends_at_once(
    monkeypatch: pytest.MonkeyPatch, within: float, ended: list[int]
) -> None:
    from firedrill.cli import _running

    codes: list[int] = []
    notes: list[str] = []
    monkeypatch.setattr(os, "_exit", codes.append)
    monkeypatch.setattr(_running, "_SAME_INTERRUPT_SECONDS", within)

    async def work(stop: asyncio.Event) -> Any:
        os.kill(os.getpid(), signal.SIGINT)
        await asyncio.sleep(0.05)
        assert stop.is_set()
        os.kill(os.getpid(), signal.SIGINT)
        await asyncio.sleep(0.05)

    _running.carry_out(work, notes.append)
    assert codes == ended
    assert len(notes) == 1


def wait_for(condition: Any, child: subprocess.Popen[Any], seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert child.poll() is None, "it ended too early"
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.01)


def holder(run: Path) -> int:
    """The process that writes a run, or the last one that did; 0 when there is none."""
    try:
        return int((run / ".lock").read_text().strip() or 0)
    except FileNotFoundError:
        return 0


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_run_killed_at_random_moments_loses_and_doubles_nothing(tiny_suite: Path) -> None:
    """Ten kills: each comes a random while after the program has taken the folder."""
    arguments = ("run", tiny_suite, *ALL, "-k", "20", "-n", "3", "-q", "--seed", "5")
    subprocess.run(command(*arguments, "--out", "whole"), check=True, capture_output=True, timeout=120)
    whole = verify("whole")
    assert whole.ok
    assert whole.complete
    choose = random.Random(11)
    kills = rounds = 0
    while kills < 10:
        rounds += 1
        out = Path(f"cut-{rounds}")
        while not (out / "run.json").exists() or not read_manifest(out).complete:
            verb = ("resume", out) if (out / "run.json").exists() else (*arguments, "--out", out)
            with subprocess.Popen(
                command(*verb), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=os.environ
            ) as child:
                while child.poll() is None and holder(out) != child.pid:
                    time.sleep(0.002)
                if kills < 10:
                    time.sleep(choose.uniform(0.0, 0.5))
                    if child.poll() is None:
                        child.kill()
                        kills += 1
                child.wait(timeout=120)
            before = set(out.glob("episodes/*/*/*"))
            assert all((folder / "episode.json").exists() for folder in before)
        found = verify(out)
        assert found.ok, found.problems
        assert found.digest == whole.digest
        assert len(list(out.glob("episodes/*/*/*"))) == 240
        assert not (out / ".work").exists()
