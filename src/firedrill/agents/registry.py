"""Agents by name. An agent's module is imported when one is made."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from firedrill.core.errors import InputError

if TYPE_CHECKING:
    from firedrill.agents.base import Agent

AGENTS: dict[str, str] = {
    "null": "does nothing: what silence scores",
    "oracle": "knows the truth: proves that a scenario can be solved",
    "shotgun": "names everything: proves that spam does not pay",
    "sleuth": "investigates by rule and evidence, without a model",
    "clerk": "assesses compliance by grammar and templates, without a model",
    "react": "a model in a loop with a shell; needs -m PROVIDER/MODEL",
    "crew-sre": "the same model as two engineers on call: one finds out, one mends; needs -m",
    "crew-ciso": "the same model on assessments: selector, team, reporter; needs -m",
    "command:…": "any program, in the sandbox, e.g. 'command:python3 agent.py'",
    "FILE.yaml": "an agent described in a file",
}
"""Every name, with what it is for."""

EXPLOIT = "exploit:"
"""Before the names of agents that prove a benchmark by not passing it; see `firedrill.agents.exploits`."""
_PREFIX = "command:"
_OF_PROGRAMS = frozenset(("agent_dir", "base_url", "minutes", "model", "prices", "protocol", "toolbox"))
_FILES = (".yaml", ".yml", ".json")


@dataclass(frozen=True)
class AgentRequest:
    """What :func:`create` makes an agent from: kept with the run, so that it can be taken up again."""

    spec: str
    model: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)

    def create(self) -> Agent:
        """The agent."""
        return create(self.spec, model=self.model, options=self.options)

    def to_json(self) -> dict[str, Any]:
        """The request as a JSON object."""
        return {"spec": self.spec, "model": self.model, "options": dict(self.options)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any], source: str) -> AgentRequest:
        """The inverse of :meth:`to_json`.

        Raises:
            InputError: when it has another shape.
        """
        spec, model, options = data.get("spec"), data.get("model"), data.get("options", {})
        if not isinstance(spec, str) or not isinstance(model, str | None) or not isinstance(options, dict):
            raise InputError("expected spec, model and options", source=source, field="request")
        return cls(spec, model, options)


def create(spec: str, *, model: str | None = None, options: Mapping[str, Any] | None = None) -> Agent:
    """The agent called ``spec``: a name of :data:`AGENTS`, ``react:PROVIDER/MODEL``, ``command:…`` or a file.

    ``model`` and ``options`` are for agents that use a model; the others pay them no heed.

    Raises:
        InputError: when there is no such agent, or it cannot be made from these options.
    """
    settings = dict(options or {})
    if model is not None:
        settings["model"] = model
    name, _, argument = spec.partition(":")
    if name == "react":
        from firedrill.agents import react

        if argument:
            settings["model"] = argument
        return react.create(settings)
    if spec.startswith(EXPLOIT):
        from firedrill.agents import exploits

        return exploits.create(argument)
    if name == "crew-sre":
        from firedrill.agents import crew

        if argument:
            settings["model"] = argument
        return crew.create(settings)
    if name == "crew-ciso":
        from firedrill.agents.crew import ciso

        if argument:
            settings["model"] = argument
        return ciso.create(settings)
    if spec.startswith(_PREFIX) or spec.endswith(_FILES):
        from firedrill.agents import command

        return command.create(spec, settings)
    if spec == "null":
        from firedrill.agents.null import NullAgent

        return NullAgent()
    if spec == "oracle":
        from firedrill.agents.oracle import OracleAgent

        return OracleAgent()
    if spec == "shotgun":
        from firedrill.agents.shotgun import ShotgunAgent

        return ShotgunAgent()
    if spec == "sleuth":
        from firedrill.agents.sleuth.agent import SleuthAgent

        return SleuthAgent()
    if spec == "clerk":
        from firedrill.agents.clerk.agent import ClerkAgent

        return ClerkAgent()
    raise _unknown(spec)


def options_of(spec: str) -> frozenset[str]:
    """The names of the options that an agent takes; none for one that takes none, or is not known."""
    name = spec.partition(":")[0]
    if name == "react":
        from firedrill.agents import react

        return frozenset(react.OPTIONS)
    if name == "crew-sre":
        from firedrill.agents import crew

        return frozenset(crew.OPTIONS)
    if name == "crew-ciso":
        from firedrill.agents.crew import ciso

        return frozenset(ciso.OPTIONS)
    if spec.startswith(_PREFIX):
        return _OF_PROGRAMS
    if spec.endswith(_FILES):
        return _OF_PROGRAMS | options_of("react")  # either may be described there
    return frozenset()


def _unknown(spec: str) -> InputError:
    names = [name for name in AGENTS if name.replace("-", "").isalpha()]
    close = difflib.get_close_matches(spec.lower(), [*names, "command"], n=1)
    if close and close[0] == "command":
        mend = "write 'command:PROGRAM ARGUMENTS'"
    elif close:
        mend = f"did you mean {close[0]!r}?"
    elif spec and Path(spec).exists():
        mend = f"to run a program write 'command:{spec}'; an agent's file ends with .yaml"
    else:
        mend = "`firedrill agents` lists them"
    return InputError(f"no agent {spec!r}", field="--agent", mend=mend)
