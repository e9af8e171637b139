"""The agent ``react``: a model in a loop with a shell, over any of the three protocols."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from firedrill.agents.base import AgentResult, Episode, Meter, ReceiptSink, SandboxAdditions
from firedrill.agents.models import (
    WIRES,
    Endpoint,
    ModelClient,
    Price,
    PriceTable,
    Retry,
    Settings,
    WireSpec,
    default_window,
    resolve,
)
from firedrill.agents.react import options as read
from firedrill.agents.react.acting import AT_ONCE, CALLS_LIMIT
from firedrill.agents.react.loop import NOTICE_TURNS, SUMMARISE_AT, Loop
from firedrill.agents.react.prompts import Prompts, load, load_assessing, load_live, load_with_toolbox
from firedrill.agents.react.tools import Offer, assessing_offer, live_offer, specs, toolbox_specs
from firedrill.agents.toolbox import ON_WORLDS, EpisodeTools, ToolServer, read_toolbox, toolbox_config
from firedrill.core.errors import InputError

OPTIONS = (
    "model",
    "base_url",
    "protocol",
    "temperature",
    "top_p",
    "seed",
    "reasoning_effort",
    "max_output_tokens",
    "context_window",
    "parallel",
    "toolbox",
    "prices",
    "price",
)
"""What :func:`create` takes."""

_SUFFIX = {"shell": "", "full": "+tools", "live": "+live", "nl": "+nl"}
"""What the name says of the toolbox."""


@dataclass(frozen=True)
class ReactAgent:
    """Holds no state of an episode: one object serves many at once."""

    endpoint: Endpoint
    settings: Settings
    prices: PriceTable
    window: int
    window_source: str
    """``option``, ``table`` or ``default``."""
    client: ModelClient = field(repr=False)
    toolbox: str = "shell"
    """``shell``; ``full``: the toolbox too, as function tools and as a command in the sandbox; on living
    worlds ``live`` or ``nl``: function tools too, plain or in natural language."""
    privileged: bool = False
    _tools: dict[int, EpisodeTools] = field(default_factory=dict, repr=False, compare=False)
    """The toolbox of each open episode, by the identity of its meter."""

    @property
    def name(self) -> str:
        """``react:provider/model``, and whether it has the toolbox."""
        return f"react:{self.endpoint.model}" + _SUFFIX[self.toolbox]

    def config(self) -> dict[str, Any]:
        """Everything that shapes its behaviour. Prices do not: they are in the notes of each episode."""
        prompts, live = self._prompts(), self._prompts("live")
        assessing = self._prompts("assess")
        return {
            "agent": "react",
            "model": self.endpoint.model,
            "endpoint": self.endpoint.public_url,
            "protocol": self.endpoint.protocol,
            "settings": self.settings.to_json(),
            "context_window": self.window,
            "prompts": {"version": prompts.version, "digest": prompts.digest},
            "prompts_on_call": {"version": live.version, "digest": live.digest},
            "prompts_assessing": {"version": assessing.version, "digest": assessing.digest},
            "toolbox": toolbox_config(self.toolbox),
            **self._assessing(),
            "loop": {
                "summarise_at": SUMMARISE_AT,
                "notice_turns": NOTICE_TURNS,
                "calls_per_message": CALLS_LIMIT,
                "commands_at_once": AT_ONCE,
            },
        }

    @property
    def acts(self) -> bool:
        """Whether it can be put on living worlds, where the toolbox of recordings has nothing to read."""
        return self.toolbox in ON_WORLDS

    @property
    def looks_back(self) -> bool:
        """Whether it can be put on recorded incidents, where the tools of worlds have nothing to ask."""
        return self.toolbox not in ("live", "nl")

    @property
    def works_on(self) -> str:
        """The toolbox of recordings has nothing to read where something is assessed."""
        return "incidents" if self.toolbox == "full" else ""

    def _assessing(self) -> dict[str, Any]:
        if self.toolbox not in ("live", "nl"):
            return {}
        from firedrill.agents.assessing import assessing_config

        return {"toolbox_assessing": assessing_config()}

    def _prompts(self, about: str = "") -> Prompts:
        equipped = self.toolbox in ("live", "nl")
        if about == "live":
            return load_live(toolbox=equipped)
        if about == "assess":
            return load_assessing(toolbox=equipped)
        return load_with_toolbox() if self.toolbox == "full" else load()

    @asynccontextmanager
    async def prepare(self, meter: Meter, receipt: ReceiptSink) -> AsyncIterator[SandboxAdditions]:
        """Bring the toolbox into the sandbox, if the model has it.

        Raises:
            InfrastructureError: it cannot be served.
        """
        if self.toolbox != "full":
            yield SandboxAdditions()
            return
        async with EpisodeTools() as tools, ToolServer(tools, receipt).serve() as additions:
            self._tools[id(meter)] = tools
            try:
                yield additions
            finally:
                del self._tools[id(meter)]

    async def solve(self, episode: Episode) -> AgentResult:
        """Work on one episode.

        Raises:
            LimitReached: a cap of the meter was hit.
            AgentError: the conversation cannot go on.
            InfrastructureError: the endpoint or the sandbox failed; the episode is tried again.
            InputError: the endpoint takes no request of ours at all (key, model name, a setting).
        """
        if episode.task.assessment is not None:
            settings = self.settings_of(episode)
            async with assessing_offer(episode, self.toolbox, self.client, settings) as offer:
                return await self._converse(episode, offer)
        if episode.living is not None:
            settings = self.settings_of(episode)
            async with live_offer(episode, self.toolbox, self.client, settings) as offer:
                return await self._converse(episode, offer)
        if self.toolbox in ("live", "nl"):
            raise InputError(
                f"toolbox={self.toolbox} is about living worlds, and this is a recorded incident",
                field="toolbox",
                mend="use toolbox=full",
            )
        tools = self._tools.get(id(episode.meter))
        if tools is None:
            return await self._converse(episode, None)
        tools.attach(episode.open_evidence)
        return await self._converse(episode, Offer(tools, toolbox_specs()))

    def settings_of(self, episode: Episode) -> Settings:
        """How the model is asked in one episode: its seed follows the episode's."""
        seed = self.settings.seed
        if seed is None:
            return self.settings
        return replace(self.settings, seed=(seed + episode.seed) % 2**31)

    async def _converse(self, episode: Episode, offer: Offer | None) -> AgentResult:
        about = "live" if episode.living is not None else ""
        prompts = self._prompts("assess" if episode.task.assessment is not None else about)
        tools = offer.tools if offer is not None else None
        spec = WireSpec(
            model=self.endpoint.name,
            system=prompts.text("system"),
            tools=specs(prompts) + (offer.specs if offer is not None else ()),
            settings=self.settings_of(episode),
            traits=self.endpoint.traits,
            max_tokens_name=self.endpoint.max_tokens_name,
        )
        wire = WIRES[self.endpoint.protocol](spec)
        async with self.client.session() as session:
            loop = Loop(session, wire, prompts, episode, self.window, tools)
            result = await loop.run()
        if tools is not None and tools.fault is not None:
            raise tools.fault
        return replace(result, notes=self._notes(loop, episode))

    def _notes(self, loop: Loop, episode: Episode) -> dict[str, Any]:
        known = self.prices.find(self.endpoint.model)
        notes: dict[str, Any] = {
            "model_served": sorted(loop.served),
            "context_window": {"tokens": loop.window, "source": self.window_source},
            "summaries": loop.summaries,
            "prices": {"as_of": self.prices.as_of, "sources": list(self.prices.sources)} if known else None,
        }
        if loop.tools is not None:
            notes["toolbox"] = loop.tools.notes()
        if self.window_source == "default":
            notes["context_window"]["note"] = "no table knows this model: a cautious default was used"
        if loop.unreported:
            notes["calls_with_estimated_usage"] = loop.unreported
        if episode.meter.cost is None:
            notes["cost"] = "unknown: neither the endpoint nor the price table says"
        return notes


def create(options: Mapping[str, Any], *, retry: Retry | None = None) -> ReactAgent:
    """Build the agent from options, as text or typed.

    ``model`` (``provider/model``) is needed; ``base_url``, ``protocol``, ``temperature``, ``top_p``,
    ``seed``, ``reasoning_effort``, ``max_output_tokens``, ``context_window`` (tokens), ``parallel``
    (whether the model may call tools in parallel), ``prices`` (a YAML file) and ``price``
    (``input=1,output=2,cached=0.1``, US dollars per million tokens) and ``toolbox`` (``shell``, ``full``,
    ``live`` or ``nl``) are not.

    Raises:
        InputError: for an option that is unknown or wrong, or a key that is missing.
    """
    given = read.known(options, OPTIONS)
    model = read.text(given, "model") or ""
    endpoint = resolve(model, base_url=read.text(given, "base_url"), protocol=read.text(given, "protocol"))
    settings = Settings(
        temperature=read.number(given, "temperature", 0, 2),
        top_p=read.number(given, "top_p", 0, 1),
        seed=read.whole(given, "seed", 0),
        max_output_tokens=read.whole(given, "max_output_tokens", 16),
        reasoning_effort=read.effort(given, "reasoning_effort"),
        parallel=read.boolean(given, "parallel"),
    )
    prices = PriceTable.load(read.text(given, "prices"))
    if rate := read.rate(given, "price"):
        prices = replace(
            prices,
            prices={**prices.prices, **PriceTable.keyed(endpoint.model, Price(rate))},
            sources=(*prices.sources, "option"),
        )
    window, source = read.whole(given, "context_window", 1_024), "option"
    if window is None:
        window, source = endpoint.traits.window, "table"
    if window is None:
        window, source = default_window(), "default"
    # An adapter refuses settings that do not go together: better now than in the first episode.
    WIRES[endpoint.protocol](WireSpec(endpoint.name, "", settings=settings, traits=endpoint.traits))
    client = ModelClient(endpoint, prices, retry or Retry())
    return ReactAgent(endpoint, settings, prices, window, source, client, read_toolbox(given))
