"""A world with what is needed to serve it: who may ask, how its clock goes, who watches."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from firedrill.gateway.kubernetes.hub import Hub
from firedrill.world.kube.api.request import User

if TYPE_CHECKING:
    from firedrill.core.living import RequestLine
    from firedrill.gateway.kubernetes.guarding import Guard
    from firedrill.world.world import World

STEP_MS = 5_000
"""The longest stretch of virtual time between two moments at which watchers are told."""
POLL_SECONDS = 0.2
"""How often followed logs are looked at."""
_BUDGET_SECONDS = 0.2
_LAG_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Identity:
    """Somebody with a bearer token.

    Attributes:
        name: of the kubeconfig's user entry.
        user: who that is for the API.
        token: the secret.
    """

    name: str
    user: User
    token: str


@dataclass(frozen=True, slots=True)
class Pace:
    """How virtual time passes in a served world.

    Attributes:
        speed: virtual seconds for each second of the wall clock; 0 stands still.
        waiting_speed: the same while somebody waits for news (an open watch or followed log); the greater
            of the two counts. Lets `kubectl wait` come to an end where only requests move the clock.
        read_ms: virtual time that each read takes.
        write_ms: virtual time that each write takes.
    """

    speed: float = 1.0
    waiting_speed: float = 0.0
    read_ms: int = 0
    write_ms: int = 0


class Host:
    """One served world. Only the event loop that serves it may touch the world.

    Attributes:
        world: what is served.
        hub: its open watches.
        waiting: how many followed logs are open.
        defects: what went wrong inside of the gateway, newest last; empty in a correct program.
        guard: is asked before each request; None lets all pass that the API does.
        witness: is told of each request of any of the host's APIs after it; None for nobody.
        wall: the clock by which kubectl counts the ages of events, in seconds since the Unix epoch; None
            where it is the world's.
    """

    def __init__(
        self,
        world: World,
        identities: Iterable[Identity] = (),
        *,
        pace: Pace = Pace(speed=0),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.world = world
        self.identities = tuple(identities)
        self.pace = pace
        self.hub = Hub(world)
        self.waiting = 0
        self.defects: deque[str] = deque(maxlen=20)
        self.guard: Guard | None = None
        self.witness: Callable[[RequestLine], None] | None = None
        self.wall: Callable[[], float] | None = None
        self._users: Mapping[str, User] = {item.token: item.user for item in self.identities}
        self._clock = clock
        self._seen = clock()
        self._due = 0.0

    def user_of(self, token: str) -> User | None:
        """Who holds the token; None for a wrong one."""
        found = self._users.get(token)
        if found is None:
            from firedrill.gateway.kubernetes.identity import account_of

            return account_of(self.world, token)
        return found

    @property
    def speed(self) -> float:
        """Virtual seconds for each second of the wall clock, now."""
        if self.waiting or len(self.hub):
            return max(self.pace.speed, self.pace.waiting_speed)
        return self.pace.speed

    @contextlib.contextmanager
    def stream(self) -> Iterator[asyncio.Event]:
        """Somebody waits for news as long as the context lasts; the event that it gives ends his stream."""
        yield asyncio.Event()

    def stir(self) -> None:
        """Somebody who waits is told news."""

    async def pause(self) -> None:
        """Wait a moment, in which something may happen that somebody waits for."""
        await asyncio.sleep(POLL_SECONDS)
        self.catch_up()

    def arrive(self, *, write: bool, free: bool = False) -> None:
        """Bring the clock to where it is to be when a request arrives.

        Args:
            free: it is a client's own plumbing, which says nothing of the world and takes no time.
        """
        self.catch_up()
        cost = self.pace.write_ms if write else self.pace.read_ms
        if cost and not free:
            self.go_on(cost)

    def catch_up(self) -> None:
        """Let the world follow the wall clock, for a bounded time; what is left over waits.

        A machine that cannot keep up makes the world slower, not the requests.
        """
        now = self._clock()
        speed = self.speed
        self._due = min(self._due + (now - self._seen) * speed * 1000, speed * _LAG_SECONDS * 1000)
        self._seen = now
        while self._due >= 1:
            step = min(int(self._due), STEP_MS)
            self._due -= step
            self.go_on(step)
            if self._clock() - now > _BUDGET_SECONDS:
                return

    def go_on(self, ms: int) -> None:
        """Let so much virtual time pass, and tell the watchers what happens."""
        while ms > 0:
            step = min(ms, STEP_MS)
            self.world.run_for(step)
            self.hub.publish()
            ms -= step
