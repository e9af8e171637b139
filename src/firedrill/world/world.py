"""The world: the only thing in the simulation that changes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from hashlib import blake2b

from firedrill.world.kube.cluster import Cluster, Settings
from firedrill.world.sim.clock import EPOCH_MS, rfc3339
from firedrill.world.sim.handlers import find_handler
from firedrill.world.sim.queue import Argument, EventQueue
from firedrill.world.sim.rng import Rng


class World:
    """One cluster with its clock and everything that is still to happen.

    Attributes:
        now: virtual time, in ms since the Unix epoch.
        rng: seeded draws.
        queue: what is still to happen.
        cluster: the state of Kubernetes.
    """

    __slots__ = ("cluster", "now", "queue", "rng", "start")

    def __init__(self, seed: int = 0, *, settings: Settings | None = None, start: int = EPOCH_MS) -> None:
        self.start = start
        self.now = start
        self.rng = Rng(seed)
        self.queue = EventQueue()
        self.cluster = Cluster(settings or Settings())

    @property
    def time(self) -> str:
        """Now, in whole seconds, as objects carry it."""
        return rfc3339(self.now)

    def schedule(self, delay_ms: int, name: str, *args: Argument, priority: int = 5) -> None:
        """Let the handler of that name be called with these arguments after the delay.

        Raises:
            LookupError: no handler has that name.
        """
        find_handler(name)
        self.queue.push(self.now + max(delay_ms, 0), name, args, priority=priority)

    def step(self) -> bool:
        """Let the next event happen; False where none is waiting."""
        if self.queue.next_due() is None:
            return False
        due, _, _, name, args = self.queue.pop()
        self.now = max(self.now, due)
        find_handler(name)(self, *args)
        return True

    def run_until_ms(self, moment: int) -> None:
        """Let everything happen that is due up to and including that moment, and end there."""
        while (due := self.queue.next_due()) is not None and due <= moment:
            self.step()
        self.now = max(self.now, moment)

    def run_for(self, ms: int) -> None:
        """Let so much virtual time pass."""
        self.run_until_ms(self.now + ms)

    def run_until(self, condition: Callable[[World], bool], limit_ms: int) -> bool:
        """Run until the condition holds, looked at whenever an object has changed, or the time is up.

        Returns:
            Whether the condition holds. The clock stands at the moment it came true, or at the limit.
        """
        end = self.now + limit_ms
        seen = -1
        while True:
            if self.cluster.store.rv != seen:
                seen = self.cluster.store.rv
                if condition(self):
                    return True
            due = self.queue.next_due()
            if due is None or due > end:
                break
            self.step()
        self.now = max(self.now, end)
        return condition(self)

    def fork(self) -> World:
        """An independent copy that runs on by itself."""
        twin = type(self).__new__(type(self))
        twin.start = self.start
        twin.now = self.now
        twin.rng = self.rng
        twin.queue = self.queue.fork()
        twin.cluster = self.cluster.fork()
        return twin

    def _told_parts(self) -> Iterator[tuple[str, object]]:
        """The parts' states by name; a part that was only looked at is as good as none."""
        for name, part in self.cluster.parts():
            state = part.state()
            if state != type(part)().state():
                yield name, state

    def digest(self) -> str:
        """A digest of all that the world is: two worlds with the same one have the same future."""
        import orjson

        store = self.cluster.store
        state = {
            "now": self.now,
            "seed": self.rng.seed,
            "rv": store.rv,
            "objects": [[resource, store.list(resource)] for resource in store.resources()],
            "queue": self.queue.events(),
            "pending": sorted([*key, due] for key, due in self.cluster.work.pending.items()),
            "failures": sorted([*key, count] for key, count in self.cluster.work.failures.items()),
            "rests": sorted([*key, until] for key, until in self.cluster.work.rests.items()),
            "down": sorted(self.cluster.work.down),
            "audit": list(self.cluster.audit),
            "parts": [list(told) for told in self._told_parts()],
        }
        text = orjson.dumps(state, option=orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS)
        return blake2b(text, digest_size=16).hexdigest()
