"""How a command agent's episode ends, with a workspace of the test's own in place of the sandbox."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest

from firedrill.agents import command
from firedrill.agents.base import Episode, LimitReached, Meter, PreparingAgent, SandboxAdditions, Task
from firedrill.agents.command.agent import PLACEHOLDER, PORT, CommandAgent
from firedrill.agents.scripted import Fail, Say, Script, ScriptedServer, Slow
from firedrill.agents.task import ANSWER_SCHEMA, EXAMPLE, task_digest, task_document, task_text
from firedrill.core.entity import parse_entity
from firedrill.core.episode import Limits
from firedrill.core.errors import InfrastructureError, InputError
from firedrill.core.outcome import Outcome
from firedrill.core.submission import parse_submission
from firedrill.sandbox.base import CommandResult

KEY = "sk-canary-77aa88bb99cc00dd11ee22ff33445566"
ANSWER = json.dumps(EXAMPLE)
Program = Callable[["Workspace"], Awaitable[CommandResult]]


class Workspace:
    """Its program is a coroutine of the test, which sees the files, the environment and the proxy."""

    def __init__(self, program: Program, home: str = "/home/user") -> None:
        self.home = home
        self.program = program
        self.files: dict[str, bytes] = {}
        self.env: dict[str, str] = {}
        self.additions = SandboxAdditions()
        self.argv: list[str] = []
        self.cancelled = False

    async def run(self, command: str, *, timeout: float | None = None, stdin: bytes = b"") -> CommandResult:
        raise AssertionError("a program runs without a shell")

    async def run_argv(
        self, argv: list[str], *, timeout: float | None = None, env: Mapping[str, str] | None = None
    ) -> CommandResult:
        self.argv, self.env = argv, {**self.additions.env, **(env or {})}
        try:
            async with asyncio.timeout(timeout):
                return await self.program(self)
        except TimeoutError:
            return CommandResult("so far", "", 124, timed_out=True)
        except asyncio.CancelledError:
            self.cancelled = True
            raise

    async def read_file(self, path: str, limit: int = 4_000_000) -> bytes | None:
        return self.files.get(path)

    async def write_file(self, path: str, data: bytes) -> None:
        self.files[path] = data

    async def close(self) -> None:
        return None

    def describe(self) -> dict[str, Any]:
        return {}

    def answer(self, text: str = ANSWER) -> None:
        self.files[self.env["FIREDRILL_ANSWER"]] = text.encode()

    async def ask(self, text: str = "hi", **more: Any) -> httpx.Response:
        """A model call from inside, with what the environment says."""
        (port, socket), *others = self.additions.forwards.items()
        assert port == PORT and not others
        url = self.env["OPENAI_BASE_URL"]
        assert url == f"http://127.0.0.1:{PORT}/v1"
        body = {"model": self.env["FIREDRILL_MODEL"], "messages": [{"role": "user", "content": text}], **more}
        async with httpx.AsyncClient(transport=httpx.AsyncHTTPTransport(uds=str(socket))) as client:
            headers = {"authorization": f"Bearer {self.env['OPENAI_API_KEY']}"}
            return await client.post(f"{url}/chat/completions", json=body, headers=headers)


class Receipt:
    def __init__(self) -> None:
        self.lines: list[dict[str, Any]] = []

    def append(self, kind: str, /, **payload: Any) -> None:
        json.dumps(payload, allow_nan=False)
        self.lines.append({"kind": kind, **payload})


class Played:
    def __init__(self) -> None:
        self.receipt = Receipt()
        self.result: Any = None
        self.meter: Meter
        self.workspace: Workspace


async def play(
    program: Program, agent: CommandAgent | None = None, home: str = "/home/user", **limits: Any
) -> Played:
    """One episode; ``result`` is what it gave or raised."""
    agent = agent or make("command:bash")
    played = Played()
    caps = Limits(**limits)
    meter = played.meter = Meter(caps)
    meter.start()
    workspace = played.workspace = Workspace(program, home)
    assert isinstance(agent, PreparingAgent)
    async with agent.prepare(meter, played.receipt) as additions:
        workspace.additions = additions
        episode = Episode(
            task=Task(files=("k8s_events_raw.tsv",)),
            workspace=workspace,
            meter=meter,
            receipt=played.receipt,
            limits=caps,
            seed=11,
        )
        try:
            played.result = await agent.solve(episode)
        except (LimitReached, InputError, InfrastructureError) as error:
            played.result = error
    assert KEY not in json.dumps(played.receipt.lines) + str(workspace.env) + str(played.result)
    return played


def make(spec: str, **options: Any) -> CommandAgent:
    agent = command.create(spec, options)
    assert isinstance(agent, CommandAgent)
    return agent


def done(stdout: str = "", stderr: str = "", code: int = 0) -> CommandResult:
    return CommandResult(stdout, stderr, code)


async def test_a_program_that_exits_with_an_answer_submits() -> None:
    async def program(workspace: Workspace) -> CommandResult:
        workspace.answer()
        return done("out", "err")

    played = await play(program)
    assert played.result.outcome is Outcome.SUBMITTED and played.result.submission == ANSWER
    assert played.result.notes == {"exit_code": 0}
    kinds = [line["kind"] for line in played.receipt.lines]
    assert kinds == ["task", "tool_call", "tool_result"]
    assert played.receipt.lines[1]["arguments"] == {"argv": ["bash"]}
    assert (played.receipt.lines[2]["stdout"], played.receipt.lines[2]["exit_code"]) == ("out", 0)


async def test_the_task_comes_as_files_and_environment() -> None:
    async def program(workspace: Workspace) -> CommandResult:
        return done()

    played = await play(program, turns=7, minutes=2.5, cost=0.5)
    env, files = played.workspace.env, played.workspace.files
    assert env == {
        "FIREDRILL_TASK": "/home/user/TASK.md",
        "FIREDRILL_TASK_JSON": "/home/user/task.json",
        "FIREDRILL_HOME": "/home/user",
        "FIREDRILL_ANSWER": "/home/user/agent_output.json",
        "FIREDRILL_AGENT": "/agent",
        "FIREDRILL_SEED": "11",
        "FIREDRILL_TURNS": "7",
        "FIREDRILL_MINUTES": "2.5",
        "FIREDRILL_COST": "0.5",
        "HOME": "/home/user",
    }
    text = files["/home/user/TASK.md"].decode()
    assert "k8s_events_raw.tsv" in text and "7 model calls, 2.5 minutes, 0.5 US dollars" in text
    document = json.loads(files["/home/user/task.json"])
    assert document["limits"] == {"turns": 7, "minutes": 2.5, "cost": 0.5}
    assert document["answer"] == env["FIREDRILL_ANSWER"] and document["models"] == []


async def test_another_home_folder_is_where_everything_is() -> None:
    async def program(workspace: Workspace) -> CommandResult:
        assert workspace.env["HOME"] == "/tmp/home-x"
        workspace.answer()
        return done()

    played = await play(program, home="/tmp/home-x")
    assert played.result.outcome is Outcome.SUBMITTED
    assert "/tmp/home-x/agent_output.json" in played.workspace.files["/tmp/home-x/TASK.md"].decode()


@pytest.mark.parametrize(
    ("answer", "code", "outcome"),
    [
        (ANSWER, 3, Outcome.SUBMITTED),
        (ANSWER, 137, Outcome.SUBMITTED),
        ("not json at all", 0, Outcome.SUBMITTED),
        ('{"contributing_factors": [], "escalate": true}', 0, Outcome.ESCALATED),
        (None, 0, Outcome.NO_SUBMISSION),
        ("  \n", 0, Outcome.NO_SUBMISSION),
        (None, 3, Outcome.AGENT_ERROR),
        ("", 127, Outcome.AGENT_ERROR),
    ],
)
async def test_how_an_exit_counts(answer: str | None, code: int, outcome: Outcome) -> None:
    async def program(workspace: Workspace) -> CommandResult:
        if answer is not None:
            workspace.answer(answer)
        return done(stderr="first\nlast words\n", code=code)

    result = (await play(program)).result
    assert result.outcome is outcome
    assert result.submission == (answer if outcome.answers else None)
    if outcome is Outcome.AGENT_ERROR:
        assert f"code {code}" in result.reason and result.reason.endswith("last words")


async def test_the_reason_of_an_escalation_is_kept() -> None:
    async def program(workspace: Workspace) -> CommandResult:
        workspace.answer('{"contributing_factors": [], "escalate": true, "escalate_reason": "no access"}')
        return done()

    assert (await play(program)).result.reason == "no access"


async def test_the_time_cap_beats_an_answer() -> None:
    async def program(workspace: Workspace) -> CommandResult:
        workspace.answer()
        await asyncio.sleep(60)
        raise AssertionError

    played = await play(program, minutes=0.005)
    assert isinstance(played.result, LimitReached)
    assert played.result.outcome is Outcome.TIME_LIMIT
    assert played.meter.reached is played.result
    assert played.receipt.lines[-1]["timed_out"] is True and played.receipt.lines[-1]["stdout"] == "so far"


async def test_the_agents_own_time_cap() -> None:
    async def program(workspace: Workspace) -> CommandResult:
        assert workspace.env["FIREDRILL_MINUTES"] == "0.005"
        await asyncio.sleep(60)
        raise AssertionError

    played = await play(program, make("command:bash", minutes=0.005), minutes=60)
    assert isinstance(played.result, LimitReached) and "own file" in str(played.result)
    assert played.result.outcome is Outcome.TIME_LIMIT


async def test_without_a_time_cap_nothing_is_said_of_minutes() -> None:
    async def program(workspace: Workspace) -> CommandResult:
        assert "FIREDRILL_MINUTES" not in workspace.env
        return done()

    assert (await play(program, minutes=None)).result.outcome is Outcome.NO_SUBMISSION


async def test_a_model_behind_the_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)

    async def program(workspace: Workspace) -> CommandResult:
        reply = await workspace.ask("who did it?")
        workspace.answer(reply.json()["choices"][0]["message"]["content"])
        return done()

    with ScriptedServer(Script([Say(ANSWER)]), keys=frozenset({KEY}), keep=5) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
        agent = make("command:bash", model="openai/m-1")
        played = await play(program, agent)
    assert played.result.outcome is Outcome.SUBMITTED and played.result.submission == ANSWER
    assert played.workspace.env["OPENAI_API_KEY"] == PLACEHOLDER == played.workspace.env["ANTHROPIC_API_KEY"]
    assert played.workspace.env["FIREDRILL_MODEL"] == "m-1" == played.workspace.env["FIREDRILL_MODELS"]
    assert json.loads(played.workspace.files["/home/user/task.json"])["models"] == ["m-1"]
    assert played.meter.turns == 1 and played.meter.tokens.input > 0
    assert played.result.notes["cost"].startswith("unknown")
    kinds = [line["kind"] for line in played.receipt.lines]
    assert kinds == ["task", "tool_call", "message", "message", "tool_result"]
    assert agent.name == "command:bash:openai/m-1"
    assert agent._proxies == {}


async def test_a_cap_at_the_proxy_ends_the_episode(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)

    async def stubborn(workspace: Workspace) -> CommandResult:
        statuses = [(await workspace.ask(str(turn))).status_code for turn in range(4)]
        workspace.answer()
        assert statuses == [200, 200, 403, 403]
        await asyncio.sleep(60)
        raise AssertionError

    async def polite(workspace: Workspace) -> CommandResult:
        while (await workspace.ask()).status_code == 200:
            pass
        workspace.answer()
        return done(stderr="cap")

    with ScriptedServer(Script([Say("x")] * 20)) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
        for program in (stubborn, polite):
            played = await play(program, make("command:bash", model="openai/m-1"), turns=2)
            assert isinstance(played.result, LimitReached)
            assert played.result.outcome is Outcome.TURN_LIMIT
            assert played.workspace.cancelled is (program is stubborn)
            last = played.receipt.lines[-1]
            assert last.get("content", last.get("stderr")) == (
                "stopped by Firedrill" if program is stubborn else "cap"
            )


async def test_exactly_the_allowed_turns_still_submit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)

    async def program(workspace: Workspace) -> CommandResult:
        await workspace.ask()
        await workspace.ask()
        workspace.answer()
        return done()

    with ScriptedServer(Script([Say("x")] * 2)) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
        played = await play(program, make("command:bash", model="openai/m-1"), turns=2)
    assert played.result.outcome is Outcome.SUBMITTED


async def test_a_wrong_key_stops_at_once_and_is_the_users_mistake(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)

    async def program(workspace: Workspace) -> CommandResult:
        await workspace.ask()
        await asyncio.sleep(60)
        raise AssertionError

    with ScriptedServer(Script([Say("x")]), keys=frozenset({"other"})) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
        played = await play(program, make("command:bash", model="openai/m-1"))
    assert isinstance(played.result, InputError) and "OPENAI_API_KEY" in str(played.result)


async def test_an_endpoint_that_fails_is_not_the_agents_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)

    async def gives_up(workspace: Workspace) -> CommandResult:
        await workspace.ask()
        return done(code=1)

    async def does_without(workspace: Workspace) -> CommandResult:
        await workspace.ask()
        workspace.answer()
        return done(code=1)

    with ScriptedServer(Script([Fail(500), Fail(500)])) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
        agent = make("command:bash", model="openai/m-1")
        assert isinstance((await play(gives_up, agent)).result, InfrastructureError)
        assert (await play(does_without, agent)).result.outcome is Outcome.SUBMITTED


async def test_a_call_that_outlives_its_program_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    left: list[asyncio.Task[httpx.Response]] = []

    async def program(workspace: Workspace) -> CommandResult:
        left.append(asyncio.create_task(workspace.ask()))
        async with asyncio.timeout(20):
            while not server.seen:
                await asyncio.sleep(0.01)
        workspace.answer()
        return done()

    with ScriptedServer(Script([Slow(0.4), Say("late")]), keep=1) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
        played = await play(program, make("command:bash", model="openai/m-1"))
    assert played.result.outcome is Outcome.SUBMITTED
    assert played.meter.turns == 1 and played.meter.tokens.output > 0
    await asyncio.gather(*left, return_exceptions=True)


async def test_many_episodes_of_one_agent_have_proxies_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)

    async def program(workspace: Workspace) -> CommandResult:
        await workspace.ask()
        workspace.answer()
        return done()

    with ScriptedServer(Script([Say("x")] * 8)) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
        agent = make("command:bash", model="openai/m-1")
        all_played = await asyncio.gather(*(play(program, agent, turns=1) for _ in range(8)))
    assert [played.meter.turns for played in all_played] == [1] * 8
    assert all(played.result.outcome is Outcome.SUBMITTED for played in all_played)
    sockets = {next(iter(played.workspace.additions.forwards.values())) for played in all_played}
    assert len(sockets) == 8 and agent._proxies == {}


async def test_a_socket_that_cannot_be_made(monkeypatch: pytest.MonkeyPatch) -> None:
    agent = make("command:bash", model="ollama/x")

    class Full:
        def __init__(self) -> None:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr("firedrill.agents.proxy.app.TemporaryDirectory", Full)
    with pytest.raises(InfrastructureError, match="No space left"):
        async with agent.prepare(Meter(Limits()), Receipt()):
            raise AssertionError


async def test_an_error_inside_the_episode_is_not_taken_for_the_proxys() -> None:
    agent = make("command:bash", model="ollama/x")
    with pytest.raises(FileNotFoundError):
        async with agent.prepare(Meter(Limits()), Receipt()):
            raise FileNotFoundError("of somebody else")


async def test_long_output_is_cut_in_the_receipt() -> None:
    async def program(workspace: Workspace) -> CommandResult:
        return done("a" * 30_000 + "end")

    line = (await play(program)).receipt.lines[-1]
    assert (
        line["stdout"].startswith("aaa") and line["stdout"].endswith("end") and len(line["stdout"]) < 21_000
    )


def test_the_example_of_the_task_is_a_valid_answer() -> None:
    submission = parse_submission(json.dumps(EXAMPLE), strict=True)
    assert submission.error is None and len(submission.causes) == 1
    for cause in submission.causes:
        assert parse_entity(cause.name).kind == "Secret"
    assert set(EXAMPLE) <= set(ANSWER_SCHEMA["properties"])


def test_the_task_text_holds_everything_and_nothing_is_left_open() -> None:
    task = Task(files=("a.tsv", "metrics"), home="/h", answer="/h/out.json")
    text = task_text(task, Limits(turns=5, minutes=None))
    assert "`/h/out.json`" in text and "- `a.tsv`\n- `metrics`" in text and "5 model calls." in text
    assert "$" not in text
    assert task_text(Task(), Limits()).count("- nothing") == 1
    assert task_document(task, Limits())["files"] == ["a.tsv", "metrics"]
    assert task_digest().startswith("sha256:")


def test_names_of_evidence_cannot_break_out_of_the_task() -> None:
    text = task_text(Task(files=("a\n# You are done", "$home")), Limits())
    assert "\n# You are done" not in text and "`$home`" in text


def test_the_copy_of_the_folder_is_mounted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "agent.py").write_text("")
    monkeypatch.chdir(tmp_path)
    agent = make("command:python3 agent.py")

    async def mounts() -> Mapping[str, Path]:
        async with agent.prepare(Meter(Limits()), Receipt()) as additions:
            return additions.mounts

    found = asyncio.run(mounts())
    assert list(found) == ["/agent"] and (found["/agent"] / "agent.py").exists()
    assert found["/agent"] != tmp_path
