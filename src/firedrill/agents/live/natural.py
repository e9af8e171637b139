"""Natural-language forms: what is asked in words becomes a call of a tool, written by the agent's own model.

A call that the tool does not take goes back to the model with what was wrong, a few times; a long answer
is condensed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from string import Template
from typing import Annotated, Any

import yaml
from pydantic import BeforeValidator, Field

from firedrill.agents.live.mind import Mind, Speechless
from firedrill.core.digest import digest_of
from firedrill.tools.base import Paged, ToolResult, loaded, schema_of
from firedrill.tools.live.toolbox import LiveToolbox
from firedrill.tools.toolbox import failure, read_arguments, unknown_tool

TRIES = 3
"""Calls that the model may write for one question."""
LONG = 4_000
"""Characters of an answer from which on it is condensed."""
_MOST = 60_000
"""Characters that the model condenses at most."""
SUMMARISE = "summarise"


class Question(Paged):
    """Parameters of a form."""

    request: str = Field(min_length=3, max_length=4_000, description="What you want to know or have done.")


class Summary(Paged):
    """Parameters of ``summarise``."""

    tool: str = Field(max_length=40, description="The tool to ask.")
    arguments: Annotated[dict[str, Any], BeforeValidator(loaded)] = Field(
        default_factory=dict, description="Its arguments."
    )
    question: str = Field(min_length=3, max_length=2_000, description="What you want to know of its answer.")


@dataclass(frozen=True)
class Form:
    """One natural-language form, or the summary: a tool as models are told of it."""

    name: str
    description: str
    parameters: type[Paged]
    tool: str = ""
    guide: str = ""

    def schema(self) -> dict[str, Any]:
        """JSON schema of the parameters. Answers are condensed, not paged."""
        found = schema_of(self.parameters)
        for name in ("limit", "offset"):
            found["properties"].pop(name, None)
        return found


@cache
def _texts() -> Mapping[str, Any]:
    place = resources.files("firedrill.agents.live").joinpath("data/forms.yaml")
    found: Mapping[str, Any] = yaml.safe_load(place.read_text("utf-8"))
    return found


@cache
def forms() -> Mapping[str, Form]:
    """Every form by name."""
    found = {
        name: Form(
            name, " ".join(about["description"].split()), Question, about["tool"], about.get("guide", "")
        )
        for name, about in _texts()["forms"].items()
    }
    about = "Ask a tool, and get only what bears on a question: its answer, condensed."
    return {**found, SUMMARISE: Form(SUMMARISE, about, Summary)}


def forms_digest() -> str:
    """Digest of all that forms say to a model."""
    return digest_of(_texts())


class Natural:
    """The forms over one toolbox.

    Args:
        mind: the agent's own model.
        box: what is asked; of its tools those have forms that it offers.
    """

    def __init__(self, mind: Mind, box: LiveToolbox) -> None:
        self.mind = mind
        self.box = box
        self.forms = {name: form for name, form in forms().items() if not form.tool or form.tool in box.tools}
        self.rewritten = 0
        """Calls that were written again because the tool did not take them."""

    async def call(self, name: str, arguments: Mapping[str, Any] | None) -> ToolResult:
        """Answer one question.

        Raises:
            LimitReached, InfrastructureError: as :meth:`Mind.ask`.
        """
        form = self.forms.get(name)
        if form is None:
            return unknown_tool(name, self.forms)
        params = read_arguments(form, arguments)
        if isinstance(params, ToolResult):
            return params
        try:
            if isinstance(params, Summary):
                return await self._summarised(params)
            assert isinstance(params, Question)
            return await self._translated(form, params.request)
        except Speechless as error:
            return failure(str(error))

    async def _translated(self, form: Form, request: str) -> ToolResult:
        system, asked = await self._system(form), request
        tries: list[str] = []
        result = failure("nothing was asked")
        for _ in range(TRIES):
            text = await self.mind.ask(system, asked, f"translator of {form.name}")
            call = read_object(text)
            if call is None:
                result = failure("that is no JSON object")
                tries.append(text[:300])
            else:
                result = await self.box.call(form.tool, call)
                tries.append(json.dumps(call, ensure_ascii=False)[:300])
                if result.error and final(result):
                    return failure(f"[{form.tool} {tries[-1]}] {result.text.removeprefix('error: ')}")
                if not result.error:
                    return await self._condensed(request, result, f"{form.tool} {tries[-1]}")
            problem = result.text.removeprefix("error: ")[:4_000]
            again = Template(_texts()["again"]).substitute(answer=text[:2_000], problem=problem)
            asked = f"{request}\n\n{again}"
            self.rewritten += 1
        said = "\n".join(f"- {form.tool} {text}" for text in tries)
        problem = result.text.removeprefix("error: ")
        return failure(
            f"no call that could be made came of this. Tried:\n{said}\nThe last was refused: {problem}"
        )

    async def _system(self, form: Form) -> str:
        tool = self.box.tools[form.tool]
        desk = self.box.desk
        clock = await desk.clock()
        return Template(_texts()["translate"]).substitute(
            tool=form.tool,
            about=tool.description,
            guide=form.guide,
            schema=json.dumps(tool.schema(), ensure_ascii=False),
            namespace=desk.site.namespace,
            now=f"{clock.now:%Y-%m-%dT%H:%M:%SZ}",
            onset=f"{clock.onset:%Y-%m-%dT%H:%M:%SZ}" if clock.onset else "an unknown time",
        )

    async def _summarised(self, params: Summary) -> ToolResult:
        result = await self.box.call(params.tool, params.arguments)
        if result.error:
            return result
        said = f"{params.tool} {json.dumps(params.arguments, ensure_ascii=False)[:300]}"
        return await self._condensed(params.question, result, said, least=1_000)

    async def _condensed(self, question: str, result: ToolResult, said: str, least: int = LONG) -> ToolResult:
        if len(result.text) <= least:
            return _telling(result, f"[{said}]\n{result.text}")
        asked = Template(_texts()["condense"]).substitute(question=question, text=result.text[:_MOST])
        text = await self.mind.ask(_texts()["condense_system"], asked, "summariser")
        if not text:
            return _telling(result, f"[{said}]\n{result.text}")
        return _telling(result, f"[{said}: {len(result.text)} characters, condensed]\n{text}")


def _telling(result: ToolResult, text: str) -> ToolResult:
    return ToolResult(
        result.columns, result.rows, text, result.truncated, result.next_offset, result.notes, result.error
    )


def final(result: ToolResult) -> bool:
    """Whether no other words would help: the cluster said no, or the command is not this one's to send.

    Each try is a real request. One that something was not found tells what there is, and is worth another.
    """
    text = result.text
    refused = "Error from server" in text and "(NotFound)" not in text
    return refused or "you only look:" in text


def read_object(text: str) -> dict[str, Any] | None:
    """The first JSON object in what a model wrote, whatever stands around it."""
    decoder = json.JSONDecoder()
    place = text.find("{")
    for _ in range(20):
        if place < 0:
            return None
        try:
            found, _ = decoder.raw_decode(text, place)
        except (ValueError, RecursionError):
            place = text.find("{", place + 1)
            continue
        return found if isinstance(found, dict) else None
    return None
