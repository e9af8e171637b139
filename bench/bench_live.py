"""What an episode on a living world costs, by part: `python bench/bench_live.py [SCENARIO …]`, of lite.

Seconds are those of one processor, read from the processes themselves, so that what else the machine does
counts little. A stage is simulated once for all episodes of its scenario; memory is what an episode's
process does not share with it.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from firedrill.agents.reference import Repairer
from firedrill.core.living import Facts
from firedrill.core.truth import parse_truth_text
from firedrill.grading.living import grade_living
from firedrill.runner.living import LivingEpisode, LivingStage
from firedrill.suites import SuiteScenario, open_suite
from table import Row, show

SCENARIOS = ("lite-018", "lite-009")
EPISODES = 3
MOST = 8
"""Names of a diagnosis that are tried out."""
_TICKS = os.sysconf("SC_CLK_TCK")


def processor(pid: int) -> float:
    """Seconds of processor that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def private(pid: int) -> float:
    """Megabytes of memory that a process shares with no other."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text("ascii").splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Private_")) / 1024


def resident(pid: int) -> float:
    """Megabytes of memory of a process."""
    text = Path(f"/proc/{pid}/status").read_text("ascii")
    return next(int(line.split()[1]) for line in text.splitlines() if line.startswith("VmRSS")) / 1024


class Costs:
    """What one episode has cost so far, by part."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._there, self._here = 0.0, time.process_time()
        self.parts: dict[str, float] = {}
        self.runner = 0.0

    def part(self, name: str) -> None:
        """What was done since the last one was this."""
        there, here = processor(self._pid), time.process_time()
        self.parts[name] = there - self._there
        self.runner += here - self._here
        self._there, self._here = there, here


async def episode(
    stage: LivingStage, source: SuiteScenario, *, acts: bool = False, names: Sequence[str] = ()
) -> tuple[Costs, float]:
    """One episode of the oracle, or of nobody who names these: its costs, and memory of its own."""
    truth, _ = parse_truth_text(source.truth_text, source.truth_source)
    here = time.process_time()
    world: LivingEpisode = await stage.episode()
    costs = Costs(world.pid)
    costs.runner = time.process_time() - here
    costs.part("start")
    causes = (source.scenario.truth.get("cures") or [[]])[0] if acts else names
    if acts:
        await Repairer(world).repair(stage.steps)
        costs.part("acting")
    facts: Facts = await world.finish(causes)
    costs.part("verification and facts")
    grade = grade_living(None, truth, facts, topology=stage.topology, inventory=stage.inventory)
    memory = private(world.pid)
    costs.part("end")
    await world.close()
    assert grade.metrics["repair"] == float(acts), (source.id, acts)
    return costs, memory


async def measure(source: SuiteScenario) -> list[Row]:
    """The rows of one scenario."""
    stage = await asyncio.to_thread(LivingStage.start, source)
    try:
        rows: list[Row] = [
            ("simulated, with its branches, once for all episodes", "", f"{stage.cpu_seconds:.1f} s"),
            ("memory of the stage's process", "< 400 MB", f"{resident(stage.pid):.0f} MB"),
        ]
        cause = (source.scenario.truth.get("cures") or [[]])[0]
        others = [name for name in stage.inventory if "/Deployment/" in name and name not in cause]
        many = [*cause, *others][:MOST]
        for who, acts, names in (
            ("null", False, []),
            ("oracle", True, []),
            ("cause and others", False, many),
        ):
            runs = [await episode(stage, source, acts=acts, names=names) for _ in range(EPISODES)]
            # on a busy machine the cheapest tells what the work takes
            costs, _ = min(runs, key=lambda run: sum(run[0].parts.values()) + run[0].runner)
            total = sum(costs.parts.values()) + costs.runner
            rows += [
                (f"{who}: {name}", "", f"{spent:.2f} s")
                for name, spent in costs.parts.items()
                if name != "end"
            ]
            rows += [
                (f"{who}: in the run's own process", "", f"{costs.runner:.2f} s"),
                (f"{who}: an episode", "< 5 s", f"{total:.2f} s"),
                (f"{who}: memory of its own", "< 400 MB", f"{max(memory for _, memory in runs):.0f} MB"),
            ]
    finally:
        stage.close()
    return rows


def main(wanted: list[str]) -> None:
    """Measure each of these scenarios."""
    known = {item.id: item for item in open_suite("lite").scenarios}
    for name in wanted or SCENARIOS:
        source = known[name]
        rows = asyncio.run(measure(source))
        show(f"{name}: {source.scenario.environment.application}, {source.scenario.faults[0].id}", rows)


if __name__ == "__main__":
    main(sys.argv[1:])
