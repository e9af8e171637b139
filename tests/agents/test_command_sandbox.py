"""Programs in the real sandbox: what they can do, and what they cannot."""

import asyncio
import json
import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from firedrill.agents import command
from firedrill.agents.base import AgentResult, Episode, LimitReached, Meter, Task
from firedrill.agents.command.agent import CommandAgent
from firedrill.agents.scripted import Say, Script, ScriptedServer, Turn
from firedrill.core.episode import Limits
from firedrill.core.errors import FiredrillError
from firedrill.core.outcome import Outcome
from firedrill.sandbox import SandboxSpec, View, open_workspace, toolroot

pytestmark = pytest.mark.service

EXAMPLES = Path(__file__).resolve().parents[2] / "docs" / "examples"
KEY = "sk-canary-13579bdf02468ace13579bdf02468ace"
EVENT = {
    "object": {
        "kind": "Event",
        "type": "Warning",
        "reason": "BackOff",
        "message": "Back-off restarting failed container",
        "involvedObject": {
            "kind": "Pod",
            "namespace": "greenhouse",
            "name": "irrigation-planner-6c9f7d5b8-x2x9k",
        },
    },
    "type": "ADDED",
}


class Receipt:
    def __init__(self) -> None:
        self.lines: list[dict[str, Any]] = []

    def append(self, kind: str, /, **payload: Any) -> None:
        self.lines.append({"kind": kind, **payload})

    def program(self) -> dict[str, Any]:
        return next(line for line in self.lines if line["kind"] == "tool_result" and line["id"] == "program")


@pytest.fixture(autouse=True)
def _sandbox() -> None:
    if shutil.which("bwrap") is None or toolroot.locate() is None:
        reason = "no bubblewrap or no tool root here: run `make install`"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)


@pytest.fixture
def agent_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "mine"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def keyed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("CANARY_VARIABLE", KEY)
    yield


def script(folder: Path, text: str, name: str = "agent.sh") -> str:
    path = folder / name
    path.write_text(text)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return f"command:./{name}"


def events_table() -> str:
    cell = json.dumps(EVENT).replace('"', '""').replace(": ", ":")
    return "Timestamp\tBody\n" + f'2030-01-01 00:00:00\t"{cell}"\n' * 3


async def play(agent: Any, **limits: Any) -> tuple[Any, Receipt, Meter]:
    assert isinstance(agent, CommandAgent)
    meter, receipt = Meter(Limits(**limits)), Receipt()
    meter.start()
    view = View(texts={"k8s_events_raw.tsv": events_table()})
    async with agent.prepare(meter, receipt) as additions:
        spec = SandboxSpec(mounts=additions.mounts, env=additions.env, forwards=additions.forwards)
        async with open_workspace(view, spec) as workspace:
            task = Task(files=("k8s_events_raw.tsv",))
            episode = Episode(task, workspace, meter, receipt, meter.limits, seed=1)
            meter.start()
            try:
                result: AgentResult | Exception = await agent.solve(episode)
            except (LimitReached, FiredrillError) as error:
                result = error
    assert KEY not in json.dumps(receipt.lines) + str(result)
    return result, receipt, meter


async def test_the_shell_example_finds_what_the_events_say() -> None:
    agent = command.create(f"command:{EXAMPLES}/shell-agent/agent.sh", {})
    result, receipt, _ = await play(agent)
    assert result.outcome is Outcome.SUBMITTED, receipt.program()
    (factor,) = json.loads(result.submission)["contributing_factors"]
    assert factor["name"] == "greenhouse/Deployment/irrigation-planner"


async def test_the_python_example_asks_its_model_through_the_proxy(
    keyed: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = """```bash
echo '{"contributing_factors": [{"name": "greenhouse/ConfigMap/zones"}]}' > "$FIREDRILL_ANSWER"; env | sort
```"""
    steps = [
        Say("```bash\nhead -2 k8s_events_raw.tsv | cut -c1-60\n```"),
        Say("let me think"),
        Say(write),
        Say("DONE"),
    ]

    class Policy:
        def __init__(self) -> None:
            self.asked: list[Turn] = []

        def reply(self, turn: Turn) -> Say:
            self.asked.append(turn)
            return steps[len(self.asked) - 1]

    policy = Policy()
    with ScriptedServer(policy, keys=frozenset({KEY}), keep=9) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
        agent = command.create(str(EXAMPLES / "python-agent" / "agent.yaml"), {"model": "openai/m-1"})
        result, receipt, meter = await play(agent, turns=10)
        bodies = [seen.body.decode() for seen in server.seen]
    assert result.outcome is Outcome.SUBMITTED, receipt.program()
    assert "greenhouse/ConfigMap/zones" in result.submission
    assert meter.turns == 4 == meter.model_calls and meter.tokens.output > 0
    # What the program saw of its environment came back in the last request: no key, and nothing of the host.
    assert "OPENAI_API_KEY=firedrill" in bodies[3] and KEY not in "".join(bodies)
    assert "CANARY_VARIABLE" not in bodies[3]
    assert [json.loads(body)["model"] for body in bodies] == ["m-1"] * 4
    roles = [line.get("role") for line in receipt.lines if line["kind"] == "message"]
    assert roles == ["system", "user"] + ["assistant", "user"] * 3 + ["assistant"]


async def test_a_program_that_runs_for_ever_hits_the_time_cap(agent_folder: Path) -> None:
    spec = script(agent_folder, '#!/bin/bash\necho working\necho "{}" > "$FIREDRILL_ANSWER"\nsleep 1000\n')
    result, receipt, _ = await play(command.create(spec, {}), minutes=0.02)
    assert isinstance(result, LimitReached) and result.outcome is Outcome.TIME_LIMIT
    assert receipt.program()["stdout"] == "working\n"


async def test_a_program_that_asks_too_often_is_ended(
    agent_folder: Path, keyed: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = script(
        agent_folder,
        """#!/usr/bin/env python3
import json, os, time, urllib.error, urllib.request
open(os.environ["FIREDRILL_ANSWER"], "w").write("{}")
while True:
    body = json.dumps({"model": "x", "messages": [{"role": "user", "content": str(time.time())}]}).encode()
    request = urllib.request.Request(os.environ["OPENAI_BASE_URL"] + "/chat/completions", body, {"content-type": "application/json"})
    try:
        urllib.request.urlopen(request).read()
    except urllib.error.HTTPError:
        time.sleep(0.05)
""",
        "agent.py",
    )
    with ScriptedServer(Script([Say("x")])) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
        result, receipt, meter = await play(command.create(spec, {"model": "openai/m"}), turns=3, minutes=1)
    assert isinstance(result, LimitReached) and result.outcome is Outcome.TURN_LIMIT
    assert meter.turns == 3
    assert receipt.program()["content"] == "stopped by Firedrill"


async def test_a_stream_comes_through_the_sandbox_live(
    agent_folder: Path, keyed: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = script(
        agent_folder,
        """#!/usr/bin/env python3
import json, os, urllib.request
body = json.dumps({"model": "x", "stream": True, "max_tokens": 5, "messages": [{"role": "user", "content": "hi"}]}).encode()
request = urllib.request.Request(os.environ["ANTHROPIC_BASE_URL"] + "/v1/messages", body,
    {"content-type": "application/json", "x-api-key": os.environ["ANTHROPIC_API_KEY"]})
text = ""
for line in urllib.request.urlopen(request):
    if line.startswith(b"data: "):
        text += json.loads(line[6:]).get("delta", {}).get("text", "")
open(os.environ["FIREDRILL_ANSWER"], "w").write(json.dumps({"contributing_factors": [{"name": text}]}))
""",
        "agent.py",
    )
    with ScriptedServer(Script([Say("ns/Pod/streamed")]), keys=frozenset({KEY})) as server:
        monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
        monkeypatch.setenv("ANTHROPIC_BASE_URL", server.base_url)
        result, receipt, meter = await play(command.create(spec, {"model": "anthropic/m"}))
    assert isinstance(result, AgentResult) and "ns/Pod/streamed" in str(result.submission), receipt.lines
    assert meter.turns == 1 and meter.tokens.output > 0


async def test_there_is_no_other_way_out(
    agent_folder: Path, keyed: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = script(
        agent_folder,
        """#!/usr/bin/env python3
import json, os, socket, sys
found = {}
def attempt(name, act):
    try:
        found[name] = str(act())[:200]
    except OSError as error:
        found[name] = None
host = sys.argv[1]
attempt("endpoint", lambda: socket.create_connection(("127.0.0.1", int(host)), 2))
attempt("address", lambda: socket.create_connection(("192.0.2.1", 80), 2))
attempt("name", lambda: socket.getaddrinfo("example.org", 80))
attempt("raw", lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, 1))
attempt("paths", lambda: open(os.environ.get("SOCKET", "/tmp/socket")))
def through(request):
    with socket.create_connection(("127.0.0.1", 8642), 5) as s:
        s.sendall(request)
        return s.recv(4096).split(b"\\r\\n")[0].decode()
attempt("connect", lambda: through(b"CONNECT example.org:443 HTTP/1.1\\r\\nhost: example.org\\r\\n\\r\\n"))
attempt("absolute", lambda: through(b"GET http://example.org/ HTTP/1.1\\r\\nhost: example.org\\r\\n\\r\\n"))
attempt("traversal", lambda: through(b"GET /v1/../../etc/passwd HTTP/1.1\\r\\nhost: a\\r\\n\\r\\n"))
json.dump(found, open(os.environ["FIREDRILL_ANSWER"], "w"))
""",
        "agent.py",
    )
    with ScriptedServer(Script([Say("x")]), keep=3) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
        port = server.base_url.rpartition(":")[2].partition("/")[0]
        result, receipt, _ = await play(command.create(f"{spec} {port}", {"model": "openai/m"}))
        assert not server.seen
    assert isinstance(result, AgentResult) and result.submission, receipt.lines
    found = json.loads(result.submission)
    assert {name for name, value in found.items() if value} == {"connect", "absolute", "traversal"}
    assert all("404" in found[name] for name in ("connect", "absolute", "traversal"))


async def test_the_agents_folder_is_read_only_and_alone(agent_folder: Path) -> None:
    (agent_folder.parent / "secret.txt").write_text("x")
    (agent_folder / "notes.txt").write_text("mine")
    spec = script(
        agent_folder,
        """#!/bin/bash
touch /agent/new 2>/dev/null && echo wrote
cat /agent/notes.txt; ls /agent /agent/..
cat /agent/../secret.txt "$1" 2>/dev/null && echo read
exit 0
""",
    )
    result, receipt, _ = await play(command.create(f"{spec} {agent_folder.parent}/secret.txt", {}))
    assert isinstance(result, AgentResult) and result.outcome is Outcome.NO_SUBMISSION
    out = receipt.program()["stdout"]
    assert out.startswith("mine") and "wrote" not in out and "read" not in out and "secret" not in out


async def test_an_answer_that_is_a_link_is_no_answer(agent_folder: Path) -> None:
    spec = script(agent_folder, '#!/bin/bash\nln -s /proc/self/environ "$FIREDRILL_ANSWER"\n')
    result, _, _ = await play(command.create(spec, {}))
    assert isinstance(result, AgentResult) and result.outcome is Outcome.NO_SUBMISSION


async def test_a_program_that_is_not_there_or_dies(agent_folder: Path) -> None:
    result, _, _ = await play(command.create("command:no-such-program", {}))
    assert isinstance(result, AgentResult) and result.outcome is Outcome.AGENT_ERROR
    spec = script(agent_folder, "#!/bin/bash\necho ouch >&2\nkill -9 $$\n")
    result, _, _ = await play(command.create(spec, {}))
    assert result.outcome is Outcome.AGENT_ERROR and "137" in result.reason


async def test_what_a_program_leaves_running_ends_with_it(
    agent_folder: Path, keyed: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = script(
        agent_folder,
        """#!/usr/bin/env python3
import json, os, subprocess, sys, time, urllib.request
if sys.argv[1:] == ["child"]:
    time.sleep(2)
    body = json.dumps({"model": "x", "messages": []}).encode()
    urllib.request.urlopen(urllib.request.Request(os.environ["OPENAI_BASE_URL"] + "/chat/completions", body)).read()
else:
    subprocess.Popen([sys.executable, __file__, "child"], start_new_session=True,
                     stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    open(os.environ["FIREDRILL_ANSWER"], "w").write('{"contributing_factors": []}')
""",
        "agent.py",
    )
    with ScriptedServer(Script([Say("x")]), keep=3) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
        result, _, meter = await play(command.create(spec, {"model": "openai/m"}))
        await asyncio.sleep(2.2)
        assert not server.seen
    assert isinstance(result, AgentResult) and result.outcome is Outcome.SUBMITTED and meter.turns == 0
