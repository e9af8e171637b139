"""``firedrill resume``."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from firedrill.runner import RunResult

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command()
def resume(
    run: Annotated[Path, typer.Argument(help="the folder of a run")],
    concurrency: Annotated[
        int, typer.Option("-n", "--concurrency", min=0, help="episodes at once; 0: twice the processors")
    ] = 0,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="no progress")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON")] = False,
) -> None:
    """Finish a run that was interrupted or killed; failures of ours are tried again."""
    from firedrill.cli import _baselines, _progress, _running
    from firedrill.runner import resume as take_up

    with _progress.display(quiet) as progress:

        async def work(stop: asyncio.Event) -> RunResult:
            async with _baselines.taken_up(run):
                return await take_up(run, concurrency=concurrency, progress=progress, stop=stop)

        result = _running.carry_out(work, progress.note)
    _running.report(result, as_json=as_json)
