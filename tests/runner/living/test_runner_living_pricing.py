"""Which requests get a price: writes that were carried out and changed something, each by its own forks."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

from firedrill.core.living import BranchMinute, RequestLine
from firedrill.gateway.kubernetes.guarding import Decision
from firedrill.runner.living import pricing


@dataclass
class FakeWorld:
    now: int = 0
    writes: int = 0
    forks: list[FakeWorld] = field(default_factory=list)

    def fork(self) -> FakeWorld:
        self.forks.append(FakeWorld(self.now, self.writes))
        return self.forks[-1]


class Guard:
    async def decide(self, asked: Any) -> Decision:
        await asyncio.sleep(0)
        return Decision("deny" if asked.name == "forbidden" else "allow")


def lived(world: FakeWorld, usual: object, start: int, end: int) -> tuple[BranchMinute, ...]:
    """Each write in this world takes a tenth from the users' trouble, and saves three requests."""
    bad = 1 - world.writes / 10
    return (BranchMinute(at=0, bad=bad, success=0, offered=100, failed=100 - 3 * world.writes),)


async def test_each_write_is_priced_against_the_world_before_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pricing, "_lived", lived)
    seen: list[RequestLine] = []
    world = FakeWorld()
    host = SimpleNamespace(guard=Guard(), witness=seen.append, world=world)
    prices = pricing.Pricing(host)  # type: ignore[arg-type]

    async def request(
        at: int, verb: str, *, name: str = "a", code: int = 200, dry: bool = False, rv: int = 1
    ) -> None:
        line = RequestLine(at_ms=at, verb=verb, name=name, code=code, dry_run=dry, rv=rv)
        decision = await host.guard.decide(SimpleNamespace(writes=verb != "get", dry_run=dry, name=name))
        if decision.effect == "allow" and code < 400 and not dry and verb != "get" and rv:
            world.writes += 1
        host.witness(line.model_copy(update={"effect": decision.effect}))

    await request(1, "get")
    await asyncio.create_task(request(2, "patch"))
    await request(3, "patch", code=409)
    await request(4, "patch", dry=True)
    await request(5, "delete", name="forbidden")
    await request(6, "patch", rv=0)
    await asyncio.gather(request(8, "patch"), request(7, "patch"))
    ordered = sorted(seen, key=lambda line: line.at_ms)
    found = prices.prices(object(), ordered)  # type: ignore[arg-type]
    assert [item.request for item in found] == [1, 6, 7]
    assert (round(found[0].saved, 9), found[0].failed) == (0.1, -3)
    assert [line.at_ms for line in seen][:3] == [1, 2, 3], "the witness is told as ever"


async def test_no_more_than_so_many_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pricing, "_lived", lived)
    monkeypatch.setattr(pricing, "MOST", 2)
    seen: list[RequestLine] = []
    host = SimpleNamespace(guard=Guard(), witness=seen.append, world=FakeWorld())
    prices = pricing.Pricing(host)  # type: ignore[arg-type]
    for at in range(5):
        await host.guard.decide(SimpleNamespace(writes=True, dry_run=False, name="a"))
        host.witness(RequestLine(at_ms=at, verb="patch", rv=1))
    assert [item.request for item in prices.prices(object(), seen)] == [0, 1]  # type: ignore[arg-type]
