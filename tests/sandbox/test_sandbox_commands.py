"""What a command does in any workspace, in a sandbox or not."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from firedrill.core.errors import InfrastructureError, InputError
from firedrill.sandbox import SandboxSpec, View
from firedrill.sandbox.opening import open_workspace
from firedrill.sandbox.workspace import STARTS, SupervisedWorkspace

Opener = Callable[..., SupervisedWorkspace]


@pytest.fixture(params=["bare", pytest.param("box", marks=pytest.mark.service)])
def opener(request: pytest.FixtureRequest) -> Opener:
    found: Opener = request.getfixturevalue(request.param)
    return found


async def test_output_exit_code_and_working_folder(opener: Opener) -> None:
    async with opener() as workspace:
        result = await workspace.run("pwd; echo problem >&2; exit 7")
        assert (result.stdout, result.stderr, result.exit_code) == (f"{workspace.home}\n", "problem\n", 7)
        assert not result.timed_out
        assert not result.truncated
        assert result.seconds > 0
        assert (await workspace.run("kill -9 $$")).exit_code == 137


async def test_the_evidence_and_the_generated_texts_are_there(opener: Opener) -> None:
    async with opener() as workspace:
        result = await workspace.run("cat otel_logs_raw.tsv metrics/cpu.tsv topology.json")
        assert result.stdout == 'Timestamp\tBody\n1\tit broke\nvalue\n0.5\n{"nodes": []}'


async def test_nothing_starts_before_the_first_command(opener: Opener) -> None:
    workspace = opener()
    assert workspace._process is None
    assert workspace.describe()["kind"] == workspace.spec.kind
    await workspace.close()
    await workspace.close()
    with pytest.raises(InfrastructureError, match="closed"):
        await workspace.run("true")


async def test_the_environment_is_ours_and_the_commands(
    opener: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_OF_THE_HOST", "x")
    async with opener() as workspace:
        assert "SECRET_OF_THE_HOST" not in (await workspace.run("env")).stdout
        result = await workspace.run_argv(["printenv", "A", "HOME"], env={"A": "b=c"})
        assert result.stdout == f"b=c\n{workspace.home}\n"
        assert (await workspace.run("printenv A")).exit_code == 1


async def test_a_program_that_is_not_there(opener: Opener) -> None:
    async with opener() as workspace:
        missing = await workspace.run_argv(["no-such-program"])
        assert missing.exit_code == 127
        assert "no-such-program" in missing.stderr
        assert (await workspace.run_argv(["/etc"])).exit_code == 126
        assert (await workspace.run_argv([])).exit_code == 126
        assert (await workspace.run("echo a\0b")).exit_code == 126
        assert (await workspace.run("true", stdin=b"x" * 5_000_000)).exit_code == 126
        assert (await workspace.run("true")).exit_code == 0


async def test_standard_input_is_given_or_empty(opener: Opener) -> None:
    text = b"line\n" * 300_000
    async with opener() as workspace:
        assert (await workspace.run("cat | wc -c")).stdout.strip() == "0"
        assert (await workspace.run("wc -c", stdin=text)).stdout.strip() == str(len(text))
        # a command that does not read all of it is no error
        assert (await workspace.run("head -n1", stdin=text)).stdout == "line\n"


async def test_commands_longer_than_an_argument_may_be(opener: Opener) -> None:
    filler = "x" * 200_000
    async with opener() as workspace:
        result = await workspace.run(f"cat > long <<'END'\n{filler}\nEND\nwc -c < long")
        assert result.stdout.strip() == str(len(filler) + 1)


async def test_long_output_keeps_its_head_and_its_tail(opener: Opener) -> None:
    async with opener(output_chars=1000) as workspace:
        result = await workspace.run("seq 1 100000; echo short >&2")
        assert result.truncated
        assert len(result.stdout) <= 1000
        assert result.stdout.startswith("1\n2\n3\n")
        assert result.stdout.endswith("\n99999\n100000\n")
        assert "characters cut ...]" in result.stdout
        assert result.stderr == "short\n"


async def test_endless_output_is_bounded_in_memory(opener: Opener) -> None:
    async with opener() as workspace:
        result = await workspace.run("yes | head -c 300000000")
        assert result.truncated
        assert len(result.stdout) <= 20_000
        assert "[... 2999" in result.stdout


async def test_binary_output_is_text_with_replacements(opener: Opener) -> None:
    async with opener() as workspace:
        result = await workspace.run(r"printf 'a\xff\xfe\x00b'; head -c 100000 /dev/urandom >&2")
        assert result.stdout == "a\ufffd\ufffd\0b"
        assert len(result.stderr) <= 20_000


async def test_commands_run_at_the_same_time(opener: Opener) -> None:
    async with opener() as workspace:
        meet = "touch {0}; while [ ! -e {1} ]; do sleep 0.01; done; echo met"
        results = await asyncio.gather(
            *(workspace.run(meet.format(*pair), timeout=30) for pair in (("a", "b"), ("b", "a")))
        )
        assert [result.stdout for result in results] == ["met\n", "met\n"]


async def test_a_command_out_of_time_says_so_and_keeps_what_it_printed(opener: Opener) -> None:
    async with opener() as workspace:
        result = await workspace.run("echo before; sleep 600", timeout=2)
        assert (result.stdout, result.exit_code, result.timed_out) == ("before\n", 124, True)
        assert (await workspace.run("echo after")).stdout == "after\n"


DAEMON = """python3 -c '
import os, time, sys
if os.fork(): sys.exit()
os.setsid()
if os.fork(): os._exit(0)
for end in (0, 1, 2): os.close(end)
os.environ.clear()
open("daemon", "w").write("1")
while True:
    time.sleep(0.01); open("alive", "w").write(str(time.monotonic()))
' ; while [ ! -s alive ]; do sleep 0.01; done; {after}"""


async def test_a_timeout_ends_daemons_too(opener: Opener) -> None:
    async with opener() as workspace:
        # long enough for an interpreter to start on a busy machine
        result = await workspace.run(DAEMON.format(after="sleep 600"), timeout=4)
        assert result.timed_out
        assert await workspace.read_file("daemon") == b"1"
        before = await workspace.read_file("alive")
        await asyncio.sleep(0.2)
        assert await workspace.read_file("alive") == before


async def test_a_timeout_leaves_other_commands_alone(opener: Opener) -> None:
    async with opener() as workspace:
        other = asyncio.create_task(workspace.run("while [ ! -e go ]; do sleep 0.01; done; echo fine"))
        assert (await workspace.run("sleep 600", timeout=0.3)).timed_out
        await workspace.write_file("go", b"")
        assert (await asyncio.wait_for(other, 30)).stdout == "fine\n"


async def test_a_process_left_running_does_not_hold_the_call_and_goes_on(opener: Opener) -> None:
    async with opener() as workspace:
        result = await asyncio.wait_for(
            workspace.run("(while [ ! -e go ]; do sleep 0.01; done; touch done) & echo hi"), 30
        )
        assert (result.stdout, result.exit_code) == ("hi\n", 0)
        await workspace.write_file("go", b"")
        assert (await workspace.run("while [ ! -e done ]; do sleep 0.01; done", timeout=30)).exit_code == 0


async def test_a_cancelled_call_ends_its_command(opener: Opener) -> None:
    async with opener() as workspace:
        call = asyncio.create_task(
            workspace.run("touch started; while true; do date +%N > alive; sleep 0.01; done")
        )
        while await workspace.read_file("alive") is None:
            await asyncio.sleep(0.01)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        await workspace.run("sleep 0.2")
        before = await workspace.read_file("alive")
        await workspace.run("sleep 0.1")
        assert await workspace.read_file("alive") == before


async def test_files_of_the_home_folder_are_read_and_written(opener: Opener) -> None:
    data = os.urandom(3_500_000)
    async with opener() as workspace:
        await workspace.write_file("deep/er/file", data)
        assert await workspace.read_file("deep/er/file") == data
        assert await workspace.read_file(f"{workspace.home}/deep/er/file", limit=10) == data[:10]
        await workspace.write_file(f"{workspace.home}/empty", b"")
        assert await workspace.read_file("empty") == b""
        assert await workspace.read_file("none") is None
        for path in ("/etc/passwd", "../x", "a\0b", f"{workspace.home}/../x"):
            assert await workspace.read_file(path) is None
            with pytest.raises(InputError):
                await workspace.write_file(path, b"")
        await workspace.run("mkdir folder")
        with pytest.raises(InputError, match="cannot be written"):
            await workspace.write_file("folder", b"")


async def test_an_agent_whose_sandbox_dies_is_told_and_gets_a_new_one_but_not_for_ever(
    opener: Opener,
) -> None:
    async with opener() as workspace:
        for number in range(STARTS):
            assert (await workspace.run("echo fresh; test ! -e mark && touch mark")).stdout == "fresh\n"
            assert workspace._process is not None
            call = asyncio.create_task(workspace.run("touch busy; sleep 600"))
            while await workspace.read_file("busy") is None:
                await asyncio.sleep(0.01)
            workspace._process.send_signal(signal.SIGKILL)
            result = await asyncio.wait_for(call, 30)
            assert result.exit_code == 137
            assert ("not started again" in result.stderr) == (number == STARTS - 1)
        assert (await workspace.run("echo again")).exit_code == 137
        assert await workspace.read_file("mark") is None
        with pytest.raises(InfrastructureError):
            await workspace.write_file("mark", b"")


async def test_a_death_between_commands_is_told_to_the_next_one(opener: Opener) -> None:
    async with opener() as workspace:
        await workspace.run("true")
        assert workspace._process is not None and workspace._link is not None
        workspace._process.send_signal(signal.SIGKILL)
        while workspace._link.alive:
            await asyncio.sleep(0.01)
        assert "starts anew" in (await workspace.run("echo hi")).stderr
        assert (await workspace.run("echo hi")).stdout == "hi\n"


async def test_a_supervisor_that_does_not_answer_is_given_up(
    opener: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opener() as workspace:
        await workspace.start()
        monkeypatch.setattr("firedrill.sandbox.workspace.PATIENCE", 0.2)
        assert workspace._link is not None
        monkeypatch.setattr(workspace._link, "tell", lambda *_: None)
        assert "no longer answered" in (await workspace.run("true", timeout=0.1)).stderr


async def test_several_forwards_and_large_bodies(opener: Opener, tmp_path: Path, view: View) -> None:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        data = await reader.read()
        writer.write(data[::-1])
        writer.close()

    async def greet(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"hello\n")
        writer.close()

    unused = opener()
    kind = unused.spec.kind
    await unused.close()
    first, second, absent = (20_000 + (os.getpid() * 3 + n) % 40_000 for n in range(3))
    places = {first: tmp_path / "echo", second: tmp_path / "greet", absent: tmp_path / "absent"}
    spec = SandboxSpec(kind=kind, forwards=places)
    client = (
        "python3 -c 'import socket, sys\n"
        's = socket.create_connection(("127.0.0.1", int(sys.argv[1])))\n'
        "body = bytes(range(256)) * int(sys.argv[2])\n"
        "s.sendall(body); s.shutdown(socket.SHUT_WR)\n"
        'got = b"".join(iter(lambda: s.recv(65536), b""))\n'
        "print(got == body[::-1], len(got), got[:5])' "
    )
    async with (
        await asyncio.start_unix_server(echo, places[first]),
        await asyncio.start_unix_server(greet, places[second]),
        open_workspace(view, spec) as workspace,
    ):
        assert workspace.describe()["ports"] == sorted(places)
        results = await asyncio.gather(
            *(workspace.run(f"{client} {first} 8000", timeout=60) for _ in range(3))
        )
        assert {result.stdout.split()[0] for result in results} == {"True"}, results
        greeted = await workspace.run(f"{client} {second} 0", timeout=30)
        assert "b'hello'" in greeted.stdout, greeted
        crowd = await workspace.run(
            "python3 -c 'import socket, sys\n"
            'all = [socket.create_connection(("127.0.0.1", int(sys.argv[1]))) for _ in range(400)]\n'
            "print(len(all))' " + str(first),
            timeout=60,
        )
        assert crowd.stdout == "400\n"
        again = await workspace.run(f"{client} {first} 10", timeout=60)
        assert "True" in again.stdout, again
        refused = await workspace.run(f"{client} {absent} 0", timeout=30)
        assert "True 0" in refused.stdout, refused


async def test_unknown_kinds_and_impossible_views_are_refused(view: View, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="docker"):
        open_workspace(view, SandboxSpec(kind="docker"))
    with pytest.raises(InputError, match="mounts"):
        open_workspace(view, SandboxSpec(kind="none", mounts={"/opt/x": tmp_path}))


async def test_without_a_sandbox_the_folder_is_gone_afterwards(bare: Opener) -> None:
    async with bare() as workspace:
        await workspace.run("(sleep 600 &) ; touch file")
        assert Path(workspace.home, "file").exists()
        assert workspace.describe()["tool_root"]["kind"] == "host"
    assert not Path(workspace.home).exists()


async def test_workspaces_on_one_machine_leave_each_other_alone(bare: Opener) -> None:
    """Without a sandbox all processes see each other: a supervisor that cleared up ended its neighbours' too."""
    async with bare() as first, bare() as second, bare() as third:
        opened = [first, second, third]
        for workspace in opened:
            await workspace.run("true")
        waiting = [asyncio.create_task(workspace.run("sleep 1.5; echo done")) for workspace in opened]
        await asyncio.sleep(0.3)
        late = [workspace.run("sleep 60 & sleep 60", timeout=0.4) for workspace in opened]
        assert [result.exit_code for result in await asyncio.gather(*late)] == [124] * 3
        assert [result.stdout for result in await asyncio.gather(*waiting)] == ["done\n"] * 3
