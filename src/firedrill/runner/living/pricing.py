"""What each single write did to users: the world with it and without it, run on for ten minutes."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from firedrill.core.living import BranchMinute, Price, RequestLine
from firedrill.runner.living.assessing.minutes import MINUTE_MS, branch_minutes
from firedrill.world.telemetry.producers import keep_only

if TYPE_CHECKING:
    from firedrill.gateway.kubernetes import Host
    from firedrill.gateway.kubernetes.guarding import Asked, Decision
    from firedrill.world.app import service
    from firedrill.world.world import World

MINUTES = 10
MOST = 50
"""Writes of an episode that are priced, from the first on; each keeps two forks and costs two runs."""


@dataclass(frozen=True, slots=True)
class _Pair:
    line: RequestLine
    without: World
    carried_out: World


class Pricing:
    """Keeps forks from around each write of an episode; put between a host and its guard and witness.

    Args:
        host: of the episode, with a guard and a witness.
    """

    def __init__(self, host: Host) -> None:
        assert host.guard is not None
        assert host.witness is not None
        self._host, self._guard, self._witness = host, host.guard, host.witness
        self._before: dict[asyncio.Task[Any] | None, World] = {}
        self._pairs: list[_Pair] = []
        host.guard, host.witness = self, self._after

    async def decide(self, asked: Asked) -> Decision:
        """See `Guard`; a write that may be carried out is remembered with the world before it."""
        decision = await self._guard.decide(asked)
        if asked.writes and not asked.dry_run and decision.effect == "allow" and len(self._pairs) < MOST:
            self._before[asyncio.current_task()] = self._host.world.fork()
        return decision

    def _after(self, line: RequestLine) -> None:
        before = self._before.pop(asyncio.current_task(), None)
        if before is not None and line.writes and line.code < 400 and line.rv != line.since_rv:
            self._pairs.append(_Pair(line, before, self._host.world.fork()))
        self._witness(line)

    def prices(self, usual: service.Baseline, requests: Sequence[RequestLine]) -> tuple[Price, ...]:
        """The prices, in the order of the requests. Runs the forks.

        Args:
            usual: what users usually get.
            requests: of the episode, in their order.
        """
        places = {id(line): number for number, line in enumerate(requests)}
        found = [_price(pair, usual, places[id(pair.line)]) for pair in self._pairs]
        return tuple(sorted(found, key=lambda item: item.request))


def _price(pair: _Pair, usual: service.Baseline, number: int) -> Price:
    start = pair.carried_out.now
    end = -(-start // MINUTE_MS) * MINUTE_MS + MINUTES * MINUTE_MS
    gone, done = (_lived(world, usual, start, end) for world in (pair.without, pair.carried_out))
    return Price(
        request=number,
        saved=round(sum(item.bad for item in gone) - sum(item.bad for item in done), 6),
        failed=sum(item.failed for item in done) - sum(item.failed for item in gone),
        minutes=MINUTES,
    )


def _lived(world: World, usual: service.Baseline, start: int, end: int) -> tuple[BranchMinute, ...]:
    keep_only(world, ())  # nobody looks at the series of this fork
    world.run_until_ms(end)
    return branch_minutes(world, usual, start, end)


__all__ = ["MINUTES", "MOST", "Pricing"]
