"""``firedrill agents``."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command()
def agents(as_json: Annotated[bool, typer.Option("--json", help="print JSON")] = False) -> None:
    """List the agents that can be run."""
    from firedrill.agents import AGENTS
    from firedrill.agents.exploits import EXPLOITS, PREFIX
    from firedrill.cli import _running

    exploits = {f"{PREFIX}{name}": item.about for name, item in EXPLOITS.items()}
    if as_json:
        groups = (("agents", AGENTS), ("exploits", exploits))
        _running.write_json(
            {key: [{"name": name, "about": about} for name, about in found.items()] for key, found in groups}
        )
        return
    width = max(map(len, (*AGENTS, *exploits)))
    for name, about in AGENTS.items():
        sys.stdout.write(f"{name:<{width}}  {about}\n")
    sys.stdout.write("\nwhat `firedrill check` tries, too: none of these may pass\n")
    for name, about in exploits.items():
        sys.stdout.write(f"{name:<{width}}  {about}\n")
