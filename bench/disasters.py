"""Fifty scripted disasters on living incidents: each has to rank below doing nothing.

`python bench/disasters.py [--suite lite] [--scenario ID] [--only NAME …]` plays each under the authority
`autonomous`, which stands in nobody's way, and prints how it ranks: by harm class first, then by net
SLO-minutes saved. Exit code 1 where one ranks no lower than doing nothing; where there is nothing to do it to
(claims, for one), it is doing nothing.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import sys
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from fnmatch import translate
from pathlib import Path
from typing import Any

import yaml

from firedrill.agents.clients import Refused, Web
from firedrill.agents.exploits.hands import Exploit, ExploitAgent, Hands, Obj
from firedrill.agents.null import NullAgent
from firedrill.grading.living import Harm, harm, order
from firedrill.runner.checking.playing import play
from firedrill.runner.staging import Stage

DATA = Path(__file__).parent / "data" / "disasters.yaml"
AUTHORITY = "autonomous"


def disasters() -> dict[str, Sequence[dict[str, Any]]]:
    """All of them: the steps by name."""
    return {item["name"]: item["steps"] for item in yaml.safe_load(DATA.read_text("utf-8"))}


@dataclass
class Script:
    """Carries out the steps of a disaster."""

    steps: Sequence[dict[str, Any]]

    async def act(self, hands: Hands) -> None:
        """Do it all, whatever is refused."""
        for step in self.steps:
            await self._step(hands, _filled(step, hands.namespace))

    async def _step(self, hands: Hands, step: dict[str, Any]) -> None:
        if step["do"] == "silence":
            await _silence(hands, step)
            return
        where = str(step.get("in", hands.namespace))
        for resource in step["to"]:
            if step["do"] == "create":
                await hands.create(resource, step["body"], where)
                continue
            fits = _pattern(str(step.get("named", "*")))
            for obj in await hands.all(resource, "" if where == "*" else where):
                if fits.fullmatch(obj["metadata"]["name"]):
                    await _one(hands, step, resource, obj)


async def _one(hands: Hands, step: dict[str, Any], resource: str, obj: Obj) -> None:
    what = step["do"]
    if what == "delete":
        await hands.delete(resource, obj)
    elif what == "scale":
        await hands.scale(resource, obj, int(step["count"]))
    elif what == "restart":
        await hands.restart(resource, obj)
    elif what == "evict":
        meta = {key: obj["metadata"][key] for key in ("name", "namespace")}
        eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": meta}
        await hands.ask("POST", hands.place(resource, obj, "eviction"), eviction)
    else:
        await hands.patch(resource, obj, step["body"], kind=str(step.get("kind", "merge")))


async def _silence(hands: Hands, step: dict[str, Any]) -> None:
    now = datetime.fromtimestamp(await hands.living.now() / 1000, UTC)
    silence = {
        "matchers": [{"name": "alertname", "value": step["named"], "isRegex": True, "isEqual": True}],
        "startsAt": now.isoformat(),
        "endsAt": (now + timedelta(hours=step["hours"])).isoformat(),
        "createdBy": "on-call",
        "comment": "quiet",
    }
    async with Web(hands.living, "alertmanager") as web:
        try:
            await web.send("POST", "/api/v2/silences", silence)
        except Refused:
            hands.refused += 1


def _filled(value: Any, namespace: str) -> Any:
    if isinstance(value, dict):
        return {key: _filled(item, namespace) for key, item in value.items()}
    if isinstance(value, list):
        return [_filled(item, namespace) for item in value]
    return value.replace("$namespace", namespace) if isinstance(value, str) else value


def _pattern(text: str) -> re.Pattern[str]:
    """A pattern of file names, in which `(a|b)` stands for either."""
    parts = re.split(r"(\([^)]*\))", text)
    kept = (part if part.startswith("(") else translate(part)[4:-3] for part in parts)
    return re.compile("".join(kept), re.DOTALL)


def agent(name: str) -> ExploitAgent:
    """The agent that plays a disaster."""
    script = Script(disasters()[name])
    return ExploitAgent(Exploit(name, "", script.act, patient=False))


@dataclass(frozen=True)
class Ranked:
    """How a disaster came out.

    Attributes:
        name: of it.
        harm: its ledger.
        empty: there was nothing to do it to.
        below: it ranks below doing nothing.
    """

    name: str
    harm: Harm
    empty: bool
    below: bool

    @property
    def well(self) -> bool:
        """Whether it is as it has to be."""
        return self.below or self.empty

    def __str__(self) -> str:
        mark = "below" if self.below else "nothing" if self.empty else "NOT BELOW"
        why = self.harm.reasons[0] if self.harm.reasons else ""
        return (
            f"{mark:10} {self.name:32} {self.harm.cls:13} {self.harm.net_slo_minutes_saved:8.2f}  {why[:90]}"
        )


async def ranked(stage: Stage, names: Sequence[str]) -> AsyncIterator[Ranked]:
    """Play disasters on a staged incident, and hold each against doing nothing."""
    nothing = order(harm((await play(stage, NullAgent(), authority=AUTHORITY)).facts))
    for name in names:
        facts = (await play(stage, agent(name), authority=AUTHORITY)).facts
        found = harm(facts)
        done = any(line.writes and line.code < 400 for line in facts.requests)
        yield Ranked(name, found, not done, order(found) > nothing)


def main() -> int:
    """Print the ranking on one incident."""
    from firedrill.runner.checking.living import staged
    from firedrill.suites import open_suite, select

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--suite", default="lite")
    parser.add_argument("--scenario", default="lite-018")
    parser.add_argument("--only", nargs="*")
    options = parser.parse_args()
    source = select(open_suite(options.suite), [options.scenario])[0]

    async def go() -> bool:
        stage = await staged(source)
        try:
            well = True
            async for item in ranked(stage, options.only or list(disasters())):
                print(item, flush=True)
                well = well and item.well
            return well
        finally:
            await asyncio.to_thread(stage.close)

    return 0 if asyncio.run(go()) else 1


if __name__ == "__main__":
    sys.exit(main())
