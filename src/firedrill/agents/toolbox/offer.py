"""What an agent is offered: the bare shell, or the toolbox beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import resources
from string import Template
from typing import Any

from firedrill.core.digest import digest_bytes, digest_of
from firedrill.core.errors import InputError

TOOLBOXES = ("shell", "full", "live", "nl")
"""``shell``: files and a shell, as in ITBench-AA. ``full``: the toolbox over recordings as well. On living
worlds ``live``: tools as function calls as well; ``nl``: those of them that ask, in natural language."""
ON_WORLDS = ("shell", "live", "nl")
"""What there is on living worlds."""
VERSION = "task-v1"
LIVE = "live-task-v1"
"""Of programs on call."""


def read_toolbox(options: Mapping[str, Any], known: Sequence[str] = TOOLBOXES) -> str:
    """Which of the ``known`` toolboxes ``options`` ask for; the first when they do not say.

    Raises:
        InputError: there is no such toolbox.
    """
    name = str(options.get("toolbox") or known[0]).strip().lower()
    if name not in known:
        raise InputError(f"no toolbox {name[:40]!r}", field="toolbox", mend=f"use {' or '.join(known)}")
    return name


def toolbox_config(name: str) -> dict[str, Any]:
    """What of the toolbox shapes an agent's behaviour: names, descriptions and parameters, the command."""
    if name == TOOLBOXES[0]:
        return {"name": name}
    if name in ON_WORLDS:
        from firedrill.agents.live import live_config

        return live_config(name)
    from firedrill.tools import schemas

    command = resources.files("firedrill.agents.toolbox").joinpath("incident.py").read_bytes()
    return {"name": name, "tools": digest_of(schemas("mcp")), "command": digest_bytes(command)}


def task_section(toolbox: str = "full") -> str:
    """What a program's task says of the command, in Markdown."""
    if toolbox == "live":
        from firedrill.tools.live.catalog import LIVE_TOOLS
        from firedrill.tools.toolbox import described

        name, listed = LIVE, described(LIVE_TOOLS.values(), "mcp")
    else:
        from firedrill.tools import schemas

        name, listed = VERSION, schemas("mcp")
    text = resources.files("firedrill.agents.toolbox").joinpath(f"data/{name}.md").read_text("utf-8")
    lines = [f"- `{tool['name']}`: {tool['description']}" for tool in listed]
    return Template(text).substitute(tools="\n".join(lines))
