"""Checking one living scenario: it is proved anew, and a battery of agents is let loose on it."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import replace
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
_PASSING = frozenset({"Pod", "ReplicaSet", "ControllerRevision"})
_MILD = frozenset({"none", "minor"})
_ENDED = frozenset({"submitted", "escalated"})
Said = Callable[[str], None]


def _quiet(_: str) -> None:
    """Say nothing."""


async def check_living(
    source: SuiteScenario, exploits: Collection[str] = (), *, said: Said = _quiet
) -> Checked:
    """Check a living scenario. It takes a process at a time, and a minute or two of it.

    Args:
        source: the scenario.
        exploits: only these, by their names; all where none is named.
        said: is told what is being done.

    Raises:
        InfrastructureError: a process broke.
    """
    said("simulated again")
    proof = await proved(source)
    if proof.get("error"):
        return Checked(source.id, (Point("healthy", "fails", proof["error"]),), about=proof)
    stage = await staged(source)
    try:
        rows = await battery(stage, exploits, said)
    finally:
        await asyncio.to_thread(stage.close)
    points = (*_of_proof(proof), *judged(rows, hand_over=bool(stage.living and stage.living.hand_over)))
    about = {**proof, "stage_cpu_seconds": round(stage.living.cpu_seconds, 2) if stage.living else 0.0}
    return Checked(source.id, points, tuple(rows), about=about)


async def proved(source: SuiteScenario) -> dict[str, Any]:
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
    """A living scenario, simulated in a process of its own and ready for episodes; to be closed."""
    from firedrill.core.truth import parse_truth_text
    from firedrill.runner.living import LivingStage
    from firedrill.runner.staging import Stage
    from firedrill.sandbox.base import View

    truth = parse_truth_text(source.truth_text, source.truth_source)[0]
    living = LivingStage.spawn(source)
    try:
        await asyncio.to_thread(living.simulate, frozenset())
    except BaseException:  # an interrupt, too: the thread waits for its process
        living.close()
        raise
    known = living.inventory
    return Stage(source, truth, living.topology, known, View(), known, living=living)


# -- the battery


async def battery(stage: Stage, exploits: Collection[str] = (), said: Said = _quiet) -> list[Row]:
    """Let all agents play that prove a benchmark, each under the scenario's authority.

    Exploits that were refused something (or did not come to an end) play again where nothing is refused: no
    guard may be what saves a benchmark. Nor may the patience of approvers, who answer them at once. They
    do not wait for what comes of their acts: what they leave is looked at for as long as its verdict needs.

    Args:
        stage: of a living scenario.
        exploits: only these, by their names; all where none is named.
        said: is told what is being done.
    """
    from firedrill.agents import create
    from firedrill.agents.exploits import EXPLOITS, ExploitAgent

    own = stage.source.scenario.authority
    hand_over = stage.living is not None and stage.living.hand_over
    rows = []
    for name in ("null", "oracle", "shotgun"):
        said(name)
        rows.append(await _row(stage, create(name), own))
    for short, exploit in EXPLOITS.items():
        if (exploits and short not in exploits) or (exploit.hands_over and not hand_over):
            continue
        agent = ExploitAgent(replace(exploit, patient=False))
        said(agent.name)
        rows.append(await _row(stage, agent, own, brief=True))
        if exploit.writes and own != OPEN and (rows[-1].refused or rows[-1].outcome not in _ENDED):
            said(f"{agent.name}, {OPEN}")
            rows.append(await _row(stage, agent, OPEN, brief=True))
    return rows


async def _row(stage: Stage, agent: Agent, authority: str, *, brief: bool = False) -> Row:
    own = stage.source.scenario.authority
    played = await play(stage, agent, authority="" if authority == own else authority, brief=brief)
    causes = frozenset(entity for cure in stage.source.scenario.truth.get("cures", ()) for entity in cure)
    return row_of(agent.name, authority, played, causes)


def row_of(agent: str, authority: str, played: Played, causes: Collection[str] = ()) -> Row:
    """What a check keeps of an episode.

    Args:
        agent, authority: who played, under which policy.
        played: the episode.
        causes: the entities of all minimal cures.
    """
    metrics, facts = played.grade.metrics, played.facts
    changed = tuple(
        item.entity
        for item in facts.diffs
        if item.change != "restored" and item.entity.split("/")[1] not in _PASSING
    )
    harmless = played.grade.notes["harm"]["class"] == "none" and not facts.active
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
        refused=sum(line.refused for line in facts.requests),
        minutes=round((facts.times.te - facts.times.ts) / 60_000, 2),
        changed=changed,
        active=facts.active,
        by_chance=metrics["resolved"] == 1.0 and harmless and bool(changed) and {*changed} <= {*causes},
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
    """What the episodes of the battery come to.

    Who mends an incident by changing the cause and nothing else has made the repair, whatever he thought:
    that is worth a warning: rolling everything back does, where nothing else was rolled out. So is whoever
    hands over where that is right, and says what alerts say, where alerts name the cause.
    """
    by_name = {row.agent: row for row in rows}
    yield _none_passes("null", [by_name["null"]])
    yield _oracle(by_name["oracle"], hand_over=hand_over)
    yield _none_passes("shotgun", [by_name["shotgun"]])
    yield _none_passes("exploits", [row for row in rows if row.agent not in ("null", "oracle", "shotgun")])


def _none_passes(name: str, rows: Sequence[Row]) -> Point:
    won = [row for row in rows if row.resolved]
    passed = [f"{row.agent} under {row.authority}: {row.reason}" for row in won if not _a_repair(row)]
    if passed:
        return Point(name, "fails", "; ".join(passed))
    lucky = [_luck(row) for row in won]
    return Point(name, "warns", "; ".join(dict.fromkeys(lucky))) if lucky else Point(name)


def _luck(row: Row) -> str:
    if row.outcome == "escalated":
        return f"{row.agent} handed over and named what is wrong: alerts name it"
    return f"{row.agent} mended it and left changed: {', '.join(row.changed)}"


def _a_repair(row: Row) -> bool:
    """Whether what an exploit did was a repair, whatever it thought."""
    from firedrill.agents.exploits import ALERTED, EXPLOITS, PREFIX

    exploit = EXPLOITS.get(row.agent.removeprefix(PREFIX))
    if row.outcome == "escalated":
        return exploit is not None and exploit.name == ALERTED and not row.changed
    return row.by_chance


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


__all__ = ["OPEN", "battery", "check_living", "judged", "proved", "row_of", "staged"]
