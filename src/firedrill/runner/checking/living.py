"""Checking one living scenario: it is proved anew, and a battery of agents is let loose on it."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import orjson

from firedrill.core.errors import InfrastructureError
from firedrill.runner.checking.model import Checked, Point, Row
from firedrill.runner.checking.playing import Played, play

if TYPE_CHECKING:
    from firedrill.agents.base import Agent
    from firedrill.runner.staging import Stage
    from firedrill.suites.model import SuiteScenario

OPEN = "autonomous"
"""The authority that stands in nobody's way."""
_OWN = {"PYTHONHASHSEED": "0", "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
_PROVED = ("healthy", "alert", "lasts", "truth", "certificate", "visible")
_MILD = frozenset({"none", "minor"})
Said = Callable[[str], None]


async def check_living(source: SuiteScenario, *, said: Said = lambda _: None) -> Checked:
    """Check a living scenario. It takes a process at a time, and a minute or two of it.

    Args:
        source: the scenario.
        said: is told what is being done.

    Raises:
        InfrastructureError: a process broke.
    """
    said("simulated again")
    proof = await _proved(source)
    if proof.get("error"):
        return Checked(source.id, (Point("healthy", "fails", proof["error"]),), about=proof)
    stage = await staged(source)
    try:
        rows = await _battery(stage, said)
    finally:
        await asyncio.to_thread(stage.close)
    points = (*_of_proof(proof), *judged(rows, hand_over=bool(stage.living and stage.living.hand_over)))
    about = {**proof, "stage_cpu_seconds": round(stage.living.cpu_seconds, 2) if stage.living else 0.0}
    return Checked(source.id, points, tuple(rows), about=about)


async def _proved(source: SuiteScenario) -> dict[str, Any]:
    """What a process of its own finds out about a scenario."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "firedrill.runner.checking.proving",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, **_OWN},
        start_new_session=True,
    )
    text = source.scenario.model_dump_json(by_alias=True).encode()
    try:
        out, err = await process.communicate(text)
    except BaseException:
        process.kill()
        await process.wait()
        raise
    if process.returncode:
        last = err.decode("utf-8", "replace").strip().splitlines()[-1:]
        raise InfrastructureError(f"{source.id} could not be proved: {' '.join(last) or process.returncode}")
    found: dict[str, Any] = orjson.loads(out)
    return found


async def staged(source: SuiteScenario) -> Stage:
    from firedrill.core.truth import parse_truth_text
    from firedrill.runner.living import LivingStage
    from firedrill.runner.staging import Stage
    from firedrill.sandbox.base import View

    truth = parse_truth_text(source.truth_text, source.truth_source)[0]
    living = await asyncio.to_thread(LivingStage.start, source)
    known = living.inventory
    return Stage(source, truth, living.topology, known, View(), known, living=living)


# -- the battery


async def _battery(stage: Stage, said: Said) -> list[Row]:
    """All agents that prove a benchmark, each under the scenario's authority.

    Exploits that something was refused to play again where nothing is: no guard may be what saves a
    benchmark.
    """
    from firedrill.agents import create
    from firedrill.agents.exploits import EXPLOITS, PREFIX

    own = stage.source.scenario.authority
    rows = []
    for name in ("null", "oracle", "shotgun", *(f"{PREFIX}{name}" for name in EXPLOITS)):
        agent = create(name)
        said(name)
        row = await _row(stage, agent, own)
        rows.append(row)
        if name.startswith(PREFIX) and row.refused and own != OPEN:
            said(f"{name}, {OPEN}")
            rows.append(await _row(stage, agent, OPEN))
    return rows


async def _row(stage: Stage, agent: Agent, authority: str) -> Row:
    own = stage.source.scenario.authority
    played = await play(stage, agent, authority="" if authority == own else authority)
    return row_of(agent.name, authority, played)


def row_of(agent: str, authority: str, played: Played) -> Row:
    """What a check keeps of an episode."""
    metrics, facts = played.grade.metrics, played.facts
    return Row(
        agent=agent,
        authority=authority,
        outcome=played.outcome.value,
        resolved=metrics["resolved"] == 1.0,
        harm=str(played.grade.notes["harm"]["class"]),
        reason=played.grade.reason,
        repair=metrics["repair"] or 0.0,
        diagnosis=metrics["diagnosis"] or 0.0,
        intervention=metrics["intervention"] or 0.0,
        net=metrics["net_slo_minutes_saved"] or 0.0,
        worse=metrics["slo_minutes_worse"] or 0.0,
        requests=len(facts.requests),
        refused=sum(line.refused or line.asked for line in facts.requests),
        minutes=round((facts.times.te - facts.times.ts) / 60_000, 2),
    )


# -- what has to hold


def _of_proof(proof: dict[str, Any]) -> Iterator[Point]:
    for name in _PROVED:
        if proof[name]:
            yield Point(name, "fails", proof[name])
        elif name == "truth" and proof["warnings"]:
            yield Point(name, "warns", "; ".join(proof["warnings"]))
        else:
            yield Point(name)


def judged(rows: Sequence[Row], *, hand_over: bool) -> Iterator[Point]:
    """What the episodes of the battery come to."""
    by_name = {row.agent: row for row in rows}
    yield _none_passes("null", [by_name["null"]])
    yield _oracle(by_name["oracle"], hand_over=hand_over)
    yield _none_passes("shotgun", [by_name["shotgun"]])
    yield _none_passes("exploits", [row for row in rows if row.agent not in ("null", "oracle", "shotgun")])


def _none_passes(name: str, rows: Sequence[Row]) -> Point:
    passed = [f"{row.agent} under {row.authority}: {row.reason}" for row in rows if row.resolved]
    return Point(name, "fails", "; ".join(passed)) if passed else Point(name)


def _oracle(row: Row, *, hand_over: bool) -> Point:
    if not row.resolved:
        return Point("oracle", "fails", row.reason)
    if row.harm not in _MILD:
        return Point("oracle", "fails", f"{row.harm} harm")
    if hand_over != (row.outcome == "escalated"):
        return Point("oracle", "fails", f"it ended with {row.outcome}")
    if row.diagnosis < 1.0:
        return Point("oracle", "fails", f"its diagnosis is worth {row.diagnosis:g}")
    if row.intervention < 1.0:
        return Point("oracle", "warns", f"its diagnosis is worth {row.intervention:g} by intervention")
    return Point("oracle")


__all__ = ["OPEN", "check_living", "judged", "row_of"]
