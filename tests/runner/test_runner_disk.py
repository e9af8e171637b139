"""A run on a disk that fills, a real one: what has ended is kept, and the run is taken up again."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.service
SCRIPT = """
import asyncio, errno, json, os, random, sys
from pathlib import Path

sys.path.insert(0, sys.argv[1])
from conftest import Kit, Shop
from firedrill.agents.base import AgentResult
from firedrill.core.outcome import Outcome
from firedrill.records import RunFolder, verify
from firedrill.runner import Settings, resume, run

disk = Path(sys.argv[2])

async def talk(episode):
    # no disk can make this smaller
    episode.receipt.append("notice", text=random.Random(episode.seed).randbytes(60_000).hex())
    return AgentResult(Outcome.SUBMITTED, Kit.answer)

async def main():
    suite, agent, more = Kit.suite(disk / "suite", 6), Kit.script(talk), {"workshop": Shop().workshop}
    settings = Settings(retries=1, retry_seconds=0)
    ballast = os.open(disk / "ballast", os.O_CREAT | os.O_WRONLY)
    try:
        while True:
            os.write(ballast, bytes(1 << 16))
    except OSError as error:
        assert error.errno == errno.ENOSPC
    os.ftruncate(ballast, os.lseek(ballast, 0, os.SEEK_END) - 500_000)
    try:
        await run(suite, [agent], out=disk / "run", concurrency=1, settings=settings, **more)
    except OSError as error:
        problem = error.errno
    kept = [record.outcome.value for record in RunFolder(disk / "run").episodes()]
    os.unlink(disk / "ballast")
    os.close(ballast)
    taken_up = await resume(disk / "run", suite=suite, agents=[agent], settings=settings, **more)
    whole = await run(suite, [agent], out=disk / "whole", **more)
    print(json.dumps({
        "problem": errno.errorcode[problem],
        "kept": kept,
        "complete": taken_up.manifest.complete,
        "same": taken_up.manifest.digests.run == whole.manifest.digests.run,
        "sound": verify(taken_up.path).ok,
    }))

asyncio.run(main())
"""


def test_a_disk_that_fills_ends_the_run_which_can_be_taken_up(tmp_path: Path) -> None:
    if shutil.which("bwrap") is None:
        pytest.skip("no bubblewrap here")
    disk = tmp_path / "disk"
    disk.mkdir()
    box = ["bwrap", "--dev-bind", "/", "/", "--size", "3000000", "--tmpfs", str(disk), "--"]
    if subprocess.run([*box, "true"], capture_output=True, check=False).returncode:
        pytest.skip("bubblewrap cannot make a small disk here")
    argv = [*box, sys.executable, "-c", SCRIPT, str(Path(__file__).parent), str(disk)]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    kept = found.pop("kept")
    assert found == {"problem": "ENOSPC", "complete": True, "same": True, "sound": True}
    assert 1 <= len(kept) < 6
    assert set(kept) == {"submitted"}
