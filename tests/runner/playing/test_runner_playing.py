"""A person on call: the desk that takes the answer, the files that lead to it, and giving up."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from firedrill.core.errors import InfrastructureError, InputError
from firedrill.runner.playing import Desk, Session, ask, find
from firedrill.runner.playing.attaching import Attached, PlayedTools
from firedrill.runner.playing.sessions import enter, folder
from firedrill.tools.live.desk import Desk as LiveDesk

GONE = 2**22 + 17
"""A number that no process has."""


@pytest.fixture(autouse=True)
def own_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FIREDRILL_DATA", str(tmp_path / "data"))


async def test_the_desk_takes_one_answer_and_tells_what_came_of_it(tmp_path: Path) -> None:
    async with Desk(tmp_path / "desk") as desk:
        first = asyncio.create_task(asyncio.to_thread(ask, str(desk.path), {"text": "{}", "escalate": True}))
        answer = await desk.answered
        assert answer["escalate"] is True
        second = await asyncio.to_thread(ask, str(desk.path), {"text": "{}"})
        assert "already" in second["error"]
        desk.tell({"run": "here"})
        assert await first == {"run": "here"}
        late = await asyncio.to_thread(ask, str(desk.path), {"text": "{}"})
        assert "has ended" in late["error"]


async def test_the_desk_refuses_what_is_no_answer(tmp_path: Path) -> None:
    async with Desk(tmp_path / "desk") as desk:
        for line in (b"nonsense\n", b"[1]\n", b"", b'{"text": 3}\n', b"[" * 50_000 + b"\n", b"x" * 5_000_000):
            reader, writer = await asyncio.open_unix_connection(str(desk.path))
            writer.write(line)
            writer.write_eof()
            found = json.loads(await reader.readline())
            assert found == {"error": "that is no answer"}
            writer.close()
        assert not desk.answered.done()


async def test_who_waits_at_a_desk_that_closes_is_told(tmp_path: Path) -> None:
    async with Desk(tmp_path / "desk") as desk:
        waiting = asyncio.create_task(asyncio.to_thread(ask, str(desk.path), {"text": "{}"}))
        await desk.answered
    assert "broken off" in (await waiting)["error"]
    with pytest.raises(InfrastructureError, match="cannot be reached"):
        ask(str(tmp_path / "desk"), {"text": "{}"})


async def test_a_report_of_a_tool_is_an_answer(tmp_path: Path) -> None:
    tools = LiveDesk(SimpleNamespace(alerts=()))
    session = Session(os.getpid(), str(tmp_path / "desk"), "shop")
    async with Desk(tmp_path / "desk") as desk:
        played = PlayedTools(tools, session)
        early = await played.call("mitigation_report", {"changes": [], "summary": "x"})
        assert (early.error, desk.answered.done()) == (True, False)
        done = await played.call("escalate", {"reason": "the disk is broken"})
        assert not done.error, done.text
        answer = await desk.answered
        assert (answer["escalate"], answer["reason"]) == (True, "the disk is broken")
        assert json.loads(answer["text"])["escalate_reason"] == "the disk is broken"
        assert "has ended" in (await played.call("alerts", {})).text
        played.close()
        other = await PlayedTools(LiveDesk(tools.site), session).call(
            "escalate", {"reason": "broken once more"}
        )
        assert other.error
        assert "already" in other.text


@pytest.mark.parametrize("text", ["", "users: []", "[", "users: [{user: {token: x}}]"])
def test_what_is_no_kubeconfig_is_told(tmp_path: Path, text: str) -> None:
    (tmp_path / "kubeconfig").write_text(text)
    session = Session(1, "", "shop", sockets=str(tmp_path), kubeconfig=str(tmp_path / "kubeconfig"))
    with pytest.raises(InputError, match="not the kubeconfig"):
        Attached(session)


def test_sessions_of_programs_that_are_gone_are_forgotten(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no incident is being played"):
        find(None)
    gone = enter(Session(GONE, "/nowhere", "shop"))
    (folder() / "other.json").write_text("nonsense")
    mine = Session(os.getpid(), "/here", "shop")
    enter(mine)
    assert find(None) == mine
    assert not gone.exists()
    enter(Session(os.getppid(), "/there", "shop"))
    with pytest.raises(InputError, match="several incidents"):
        find(None)
    assert find(os.getpid()) == mine
    with pytest.raises(InputError, match="no incident 7"):
        find(7)
