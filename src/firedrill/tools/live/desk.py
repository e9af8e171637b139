"""Where somebody on call sits: the ways to one world, what was reported so far, and how it ended."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Self

from firedrill.tools.errors import Mistake
from firedrill.tools.live.clients import Refused, Site, Web
from firedrill.tools.live.discovery import Resources
from firedrill.tools.times import parse_time

if TYPE_CHECKING:
    from firedrill.sandbox.base import Workspace
    from firedrill.tools.live.base import Span

_SPAN = timedelta(minutes=10)
_METADATA = "application/json;g=meta.k8s.io;v=v1;as="


@dataclass(frozen=True)
class Ending:
    """How somebody ended: the answer, and whether he hands over."""

    document: Mapping[str, Any]
    escalated: bool = False
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Clock:
    """The moments that times of a call count from, naive UTC."""

    now: datetime
    onset: datetime | None

    @property
    def start(self) -> datetime | None:
        """There is none: a world has no first moment that matters."""
        return None

    @property
    def end(self) -> datetime | None:
        """Now."""
        return self.now


@dataclass
class Desk:
    """What the tools of one episode share. Use it in one event loop; leave it with ``async with``.

    Args:
        site: the world.
        workspace: where kubectl runs; without one there is no kubectl.
        kubectl: how it is called there.
    """

    site: Site
    workspace: Workspace | None = None
    kubectl: str = "kubectl"
    looks_only: bool = False
    """Whoever sits here changes nothing: commands that write are refused before they are sent."""
    diagnosis: dict[str, Any] | None = None
    plan: list[dict[str, Any]] | None = None
    ending: Ending | None = None
    warned: set[str] = field(default_factory=set)
    """What was pointed out once and may be done all the same."""
    _webs: dict[str, Web] = field(default_factory=dict)
    _resources: Resources | None = None
    _facts: dict[str, tuple[int, Any]] = field(default_factory=dict)
    _stack: AsyncExitStack = field(default_factory=AsyncExitStack)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Let go of all connections. Safe to call twice."""
        self._webs.clear()
        await self._stack.aclose()

    async def web(self, api: str) -> Web:
        """One of the APIs."""
        if api not in self._webs:
            self._webs[api] = await self._stack.enter_async_context(Web(self.site, api))
        return self._webs[api]

    async def ask(self, api: str, path: str, **params: str) -> Any:
        """What an API answers to a read.

        Raises:
            Mistake: it refuses, in its words.
        """
        try:
            return await (await self.web(api)).get(path, **params)
        except Refused as error:
            raise Mistake(refusal(api, error)) from None

    async def exists(self, path: str) -> bool:
        """Whether there is an object; nothing of its content is asked for.

        Raises:
            Mistake: the cluster does not say.
        """
        try:
            await (await self.web("kubernetes")).send("GET", path, accept=f"{_METADATA}PartialObjectMetadata")
        except Refused as error:
            if error.code == 404:
                return False
            raise Mistake(refusal("kubernetes", error)) from None
        return True

    async def names(self, path: str) -> list[str]:
        """The names of objects; nothing of their content is asked for.

        Raises:
            Mistake: the cluster does not say.
        """
        web = await self.web("kubernetes")
        try:
            told = await web.send("GET", path, accept=f"{_METADATA}PartialObjectMetadataList")
        except Refused as error:
            raise Mistake(refusal("kubernetes", error)) from None
        return [str(item["metadata"]["name"]) for item in told.get("items", ())]

    async def resources(self, *, fresh: bool = False) -> Resources:
        """Which resources the cluster knows; asking takes no time of the incident."""
        if self._resources is None or fresh:
            self._resources = await Resources.of(await self.web("kubernetes"))
        return self._resources

    async def clock(self) -> Clock:
        """The world's moment, and when the first alert fired."""
        fired = [moment(str(item["fired"])) for item in self.site.alerts if item.get("fired")]
        return Clock(from_ms(await self.site.now()), min(fired, default=None))

    async def span(self, params: Span, default: timedelta = _SPAN) -> tuple[datetime, datetime]:
        """The stretch of time that a call means, naive UTC.

        Raises:
            Mistake: it cannot be read, is empty, or lies ahead.
        """
        clock = await self.clock()
        last = _time(params.until, clock) if params.until else clock.now
        first = _time(params.since, clock) if params.since else last - default
        if first >= last:
            raise Mistake(f"since ({first:%H:%M:%S}) is not before until ({last:%H:%M:%S})")
        if first >= clock.now:
            raise Mistake(f"it is {clock.now:%Y-%m-%dT%H:%M:%SZ} there: nothing is known of later times")
        return first, min(last, clock.now)

    async def known(self, name: str, age_ms: int) -> Any:
        """A fact that was looked up no longer ago than that, or None."""
        at, fact = self._facts.get(name, (0, None))
        return fact if fact is not None and await self.site.now() - at <= age_ms else None

    async def learn(self, name: str, fact: Any) -> None:
        """Remember a fact, with the moment."""
        self._facts[name] = (await self.site.now(), fact)

    def warn_once(self, what: str) -> bool:
        """Whether this has not been pointed out yet; remembers that it is now."""
        new = what not in self.warned
        self.warned.add(what)
        return new


def refusal(api: str, error: Refused) -> str:
    """What a refusal means, in a sentence."""
    text = str(error).partition(": ")[2] or str(error)
    if error.code == 503:
        return f"{api} answers no more: {text}"
    if error.code == 0:
        return f"{api} cannot be reached: {text}"
    return text[:1_500]


def _time(text: str, clock: Clock) -> datetime:
    if text.strip().lower().startswith("start"):
        raise Mistake("count from now (-15m) or from the first alert (onset-5m), or give a UTC time")
    return parse_time(text, clock)


def from_ms(ms: int) -> datetime:
    """A moment of a world as naive UTC."""
    return datetime.fromtimestamp(ms / 1000, UTC).replace(tzinfo=None)


def to_ms(time: datetime) -> int:
    """The inverse of :func:`from_ms`."""
    return round(time.replace(tzinfo=UTC).timestamp() * 1000)


def moment(text: str) -> datetime:
    """A time as APIs write them, as naive UTC."""
    found = datetime.fromisoformat(text)
    return found.astimezone(UTC).replace(tzinfo=None) if found.tzinfo else found
