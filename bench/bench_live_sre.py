"""What the live SRE track costs: `python bench/bench_live_sre.py [SCENARIO …]`, of `lite`.

Each agent plays a whole episode with all grades: from the call to the end of the verification, with the forks
that its diagnosis is put to. Seconds are those of one processor, those of the episode's own process and
those that the run spends on it; what else the machine does counts little. Episodes per hour are what two
processors have time for when a third each are played by `oracle`, `sleuth` and `shotgun`, the simulation
of the stage shared by as many episodes as there are.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from bench_live import private, processor, resident
from firedrill.agents import create
from firedrill.runner.checking.living import staged
from firedrill.runner.checking.playing import play
from firedrill.runner.living import LivingEpisode
from firedrill.runner.staging import Stage
from firedrill.suites import SuiteScenario, open_suite
from table import Row, show

SCENARIOS = ("lite-018", "lite-009")
AGENTS = ("null", "oracle", "sleuth", "shotgun", "exploit:restart-everything")
MIX = ("oracle", "sleuth", "shotgun")
CORES, HOUR = 2, 3600.0


@dataclass
class Costs:
    """What was measured: seconds of processor by agent, of stages, and memory."""

    episodes: dict[str, list[float]] = field(default_factory=dict)
    resolved: dict[str, list[bool]] = field(default_factory=dict)
    waited: dict[str, list[float]] = field(default_factory=dict)
    stages: list[float] = field(default_factory=list)
    opened: list[float] = field(default_factory=list)
    shared: list[float] = field(default_factory=list)
    own: list[float] = field(default_factory=list)


async def episode(stage: Stage, name: str, costs: Costs) -> None:
    """One episode of an agent."""
    there: list[float] = []

    def watch(living: LivingEpisode) -> None:
        there.append(processor(living.pid))
        costs.own.append(private(living.pid))

    begun, here = time.perf_counter(), time.process_time()
    played = await play(stage, create(name), watch=watch)
    spent = time.process_time() - here + sum(there)
    costs.episodes.setdefault(name, []).append(spent)
    costs.waited.setdefault(name, []).append(time.perf_counter() - begun)
    costs.resolved.setdefault(name, []).append(played.grade.score == 1.0)


async def scenario(source: SuiteScenario, costs: Costs) -> None:
    """All agents on one scenario, one after the other."""
    begun = time.perf_counter()
    stage = await staged(source)
    assert stage.living is not None
    costs.opened.append(time.perf_counter() - begun)
    costs.stages.append(stage.living.cpu_seconds)
    try:
        for name in AGENTS:
            await episode(stage, name, costs)
        costs.shared.append(resident(stage.living.pid))
    finally:
        await asyncio.to_thread(stage.close)


def per_hour(costs: Costs, each: int) -> float:
    """Episodes per hour of two processors, where so many share a stage."""
    mean = statistics.mean(statistics.mean(costs.episodes[name]) for name in MIX)
    return CORES * HOUR / (mean + statistics.mean(costs.stages) / each)


def rows(costs: Costs) -> list[Row]:
    """The table."""
    out: list[Row] = [
        ("a stage: healthy, fault, alert, both branches; once per scenario", "", _seconds(costs.stages)),
        ("the same, on the wall of this machine now", "", _seconds(costs.opened)),
    ]
    for name, spent in costs.episodes.items():
        target = "< 5 s" if name == "oracle" else ""
        won = f"{sum(costs.resolved[name])} of {len(spent)} resolved"
        out.append((f"an episode of {name}, all grades ({won})", target, _seconds(spent)))
    wall = [item for found in costs.waited.values() for item in found]
    out += [
        ("any of them on the wall of this machine now", "", _seconds(wall)),
        (
            f"episodes per hour, {CORES} cores, a third each {', '.join(MIX)}",
            "> 1000",
            f"{per_hour(costs, 10_000):.0f}",
        ),
        ("the same, where 15 episodes share a stage", "", f"{per_hour(costs, 15):.0f}"),
        ("the same, where 3 share one", "", f"{per_hour(costs, 3):.0f}"),
        ("memory of a stage, shared by its episodes", "< 400 MB", f"{max(costs.shared):.0f} MB"),
        ("memory that an episode has for itself", "< 400 MB", f"{max(costs.own):.0f} MB"),
        ("for one scenario at a time, ITBench asks for", "", "8 CPU, 16 GB, a deployment of many minutes"),
        ("and SREGym", "", "8 vCPU and more, a cluster, minutes per problem"),
    ]
    return out


def _seconds(found: Sequence[float]) -> str:
    if max(found) - min(found) < 0.05:
        return f"{statistics.mean(found):.1f} s"
    return f"{statistics.mean(found):.1f} s ({min(found):.1f} to {max(found):.1f})"


def main(wanted: Sequence[str]) -> None:
    """Measure these scenarios."""
    known = {item.id: item for item in open_suite("lite").scenarios}
    costs = Costs()
    for name in wanted or SCENARIOS:
        asyncio.run(scenario(known[name], costs))
    show(f"The live SRE track: {', '.join(wanted or SCENARIOS)}", rows(costs))


if __name__ == "__main__":
    main(sys.argv[1:])
