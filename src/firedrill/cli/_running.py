"""What verbs that carry out a run have in common: stopping it, and saying what it came to."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from firedrill.core.errors import InfrastructureError

if TYPE_CHECKING:
    from firedrill.records import RunFolder
    from firedrill.runner import RunResult

INTERRUPTED = 130
_WIDTH = 140
_SAME_INTERRUPT_SECONDS = 1.0
"""A terminal and a program between it and us (make, timeout) send the same interrupt twice."""


def carry_out(
    work: Callable[[asyncio.Event], Awaitable[RunResult]], note: Callable[[str], None]
) -> RunResult:
    """Run ``work`` to its end. The first interrupt sets its event, the second ends the program at once."""

    async def main() -> RunResult:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        first = 0.0

        def interrupted() -> None:
            nonlocal first
            if not stop.is_set():
                first = loop.time()
                stop.set()
                note("stopping: what has ended is kept; interrupt again to end at once")
            elif loop.time() - first > _SAME_INTERRUPT_SECONDS:
                # nothing is lost by this: what has ended is on disk, sandboxes die with their parent
                os._exit(INTERRUPTED)

        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, interrupted)
        try:
            return await work(stop)
        finally:
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.remove_signal_handler(number)

    try:
        return asyncio.run(main())
    except OSError as error:
        raise InfrastructureError(f"the run cannot go on: {error}") from error


def report(result: RunResult, *, as_json: bool) -> None:
    """Print what a run came to, and leave with the exit code that says whether it is whole."""
    from firedrill.records import RunFolder

    folder = RunFolder(result.path)
    if as_json:
        write_json(_summary(folder))
    else:
        show(folder)
    if result.interrupted:
        done, planned = (result.manifest.counts.get(name, 0) for name in ("done", "planned"))
        sys.stderr.write(
            f"interrupted after {done} of {planned} episodes; `firedrill resume {result.path}` goes on\n"
        )
        raise typer.Exit(INTERRUPTED)
    lost = result.manifest.counts.get("infrastructure_error", 0)
    if lost:
        what = "1 episode" if lost == 1 else f"{lost} episodes"
        sys.stderr.write(
            f"{what} failed through no fault of an agent: left out of the scores; "
            f"`firedrill resume {result.path}` tries again\n"
        )
        raise typer.Exit(InfrastructureError.exit_code)


def show(folder: RunFolder) -> None:
    """Print a run's scoreboard for a person."""
    from rich.console import Console

    from firedrill.report import terminal
    from firedrill.report.compliance import compliance_rows
    from firedrill.report.living import living_rows
    from firedrill.runner import scoreboard

    manifest = folder.manifest
    names = {name: entry.name for name, entry in manifest.agents.items()}
    title = f"{manifest.suite.name} {manifest.suite.version}"
    console = Console()
    if not console.is_terminal:
        # a pipe or a file has no width of its own, and a squeezed table tells nothing
        console.width = _WIDTH
    board = scoreboard(folder)
    if rows := living_rows(board.agents, folder.results()):
        terminal.living_scoreboard(rows, board, console, names=names, title=title)
    elif assessed := compliance_rows(board.agents, folder.results(), seed=manifest.plan.seed):
        terminal.compliance_scoreboard(assessed, board, console, names=names, title=title)
    else:
        terminal.scoreboard(board, console, names=names, title=title)
    if manifest.plan.sandbox.get("kind") == "none":
        sys.stdout.write("run WITHOUT a sandbox: agents could read this machine, truth included\n")
    sys.stdout.write(f"run     {folder.path}\ndigest  {manifest.digests.run}\n")


def write_json(document: dict[str, Any]) -> None:
    """Print one JSON object, in ASCII: valid whatever the encoding of the output."""
    sys.stdout.write(json.dumps(document, allow_nan=False, indent=2, default=str) + "\n")


def source_of(spec: str) -> str:
    """What opens a suite again from any working directory."""
    from firedrill.suites.opening import is_name

    if is_name(spec):
        return spec
    return str(Path(spec).expanduser().absolute())


def _summary(folder: RunFolder) -> dict[str, Any]:
    from firedrill.runner import summary

    return summary(folder)
