"""What the engine itself costs: a thousand episodes of an agent that does nothing, and grading them again."""

from __future__ import annotations

import asyncio
import resource
import shutil
import tempfile
import time
from pathlib import Path

import recorded
from firedrill.agents import AgentRequest
from firedrill.records import RunFolder, verify
from firedrill.runner import run, score
from firedrill.suites import Suite, open_suite
from table import Row, show

SCENARIOS = 20
REPEATS = 50


def episodes(suite: Suite, out: Path, agent: str, repeats: int) -> tuple[float, float]:
    """Wall and processor seconds of a run from its start to its seal."""
    wall, processor = time.perf_counter(), time.process_time()
    result = asyncio.run(run(suite, [AgentRequest(agent)], repeats=repeats, out=out))
    assert result.manifest.complete
    return time.perf_counter() - wall, time.process_time() - processor


def main() -> None:
    folder = Path(tempfile.mkdtemp(prefix="firedrill-bench-"))
    try:
        suite = open_suite(recorded.suite(folder / "suite", SCENARIOS))
        rows: list[Row] = []
        cold, _ = episodes(suite, folder / "cold", "null", 1)
        rows.append(
            (f"{SCENARIOS} episodes of null, telemetry imported for the first time", "-", f"{cold:.1f} s")
        )
        wall, processor = episodes(suite, folder / "null", "null", REPEATS)
        count = SCENARIOS * REPEATS
        rows.append((f"{count} episodes of null", "< 30 s", f"{wall:.1f} s"))
        rows.append(("processor time of one", "-", f"{1000 * processor / count:.1f} ms"))
        for agent in ("oracle", "shotgun"):
            episodes(suite, folder / agent, agent, 5)
            processor = time.process_time()
            rescored = score(folder / agent)
            count = rescored.episodes
            processor, wall = time.process_time() - processor, rescored.seconds
            figures = f"{1000 * wall / count:.1f} ms ({1000 * processor / count:.1f} ms of processor time)"
            rows.append((f"score: one episode of {agent}, {count} in all", "< 20 ms", figures))
        for name in ("null", "shotgun"):
            started = time.perf_counter()
            assert verify(folder / name).ok
            taken = time.perf_counter() - started
            number = len(RunFolder(folder / name).manifest.episodes)
            rows.append((f"verify: {number} episodes of {name}", "-", f"{taken:.2f} s"))
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        rows.append(("peak memory of all of this", "-", f"{peak:.0f} MB"))
        show("Runner", rows)
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
