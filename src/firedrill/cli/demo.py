"""``firedrill demo``."""

from __future__ import annotations

import asyncio
import shutil
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from firedrill.core.errors import InputError

if TYPE_CHECKING:
    from firedrill.cli import _progress
    from firedrill.runner import RunResult
    from firedrill.suites import Suite

app = typer.Typer(rich_markup_mode=None, add_completion=False)

_MARK = ".firedrill-demo"
"""A file in every demo folder, so that only our own demos are ever replaced."""


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="folder of the demo; an earlier demo in it is replaced")] = Path(
        "demo"
    ),
    count: Annotated[int, typer.Option(min=1, max=21, help="how many incidents")] = 5,
    seed: Annotated[int, typer.Option(min=0, help="seed of the agents")] = 7,
    concurrency: Annotated[int, typer.Option("-n", "--concurrency", min=0, help="episodes at once")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="print the results as JSON")] = False,
) -> None:
    """Put the built-in agents on call for some incidents of the suite `lite`, and show a report.

    Each happens in a simulated cluster of its own, whose users notice, and is graded by what becomes of it.
    `react` is the model loop as it is for any model; here a scripted endpoint on this machine answers it
    by simple rules, so that no key is needed.
    """
    from firedrill.cli import _progress, _running
    from firedrill.records import RunFolder
    from firedrill.report.exports import summary
    from firedrill.report.model import RunView
    from firedrill.report.pages import write_report
    from firedrill.suites import open_suite

    started = time.monotonic()
    _clear(out)
    with _progress.display(False) as progress:
        lite = open_suite("lite")
        names = _spread([item.id for item in lite.scenarios], count)
        progress.note(
            f"{count} clusters are simulated, and something breaks in each; the first takes a while"
        )

        async def work(stop: asyncio.Event) -> RunResult:
            return await _run(lite, names, out / "run", seed, concurrency, progress, stop)

        result = _running.carry_out(work, progress.note)
    if result.interrupted or result.manifest.counts.get("infrastructure_error"):
        _running.report(result, as_json=as_json)
    index = write_report(result.path, out / "report")
    view = RunView(RunFolder(result.path))
    if as_json:
        document = {**summary(view), "report": str(index)}
        _running.write_json(document)
        return
    _running.show(view.run)
    sys.stdout.write(
        f"report  {index.absolute().as_uri()}\n\n"
        f"{len(view.results)} episodes and a report in {time.monotonic() - started:.0f} s. Next:\n"
        f"  firedrill play   be on call yourself\n"
        f"  firedrill run lite -a react -m PROVIDER/MODEL   a model of yours\n"
        f"  firedrill verify {out / 'run'}   find every edit of the records\n"
    )


async def _run(
    suite: Suite,
    names: list[str],
    out: Path,
    seed: int,
    concurrency: int,
    progress: _progress.Display,
    stop: asyncio.Event,
) -> RunResult:
    from firedrill.cli._baselines import baselines
    from firedrill.runner import run

    async with baselines(progress.note) as agents:
        return await run(
            suite,
            agents,
            out=out,
            seed=seed,
            scenarios=names,
            source=suite.name,
            concurrency=concurrency,
            progress=progress,
            stop=stop,
        )


def _spread(names: list[str], count: int) -> list[str]:
    """So many of them, from all over the list."""
    count = min(count, len(names))
    return [names[number * len(names) // count] for number in range(count)]


def _clear(out: Path) -> None:
    """Make ``out`` an empty demo folder."""
    if out.exists() and (not out.is_dir() or (any(out.iterdir()) and not (out / _MARK).is_file())):
        raise InputError(
            "is not empty, and not a demo", source=str(out), mend="name another folder with --out"
        )
    if out.is_dir():
        shutil.rmtree(out)
    out.mkdir(parents=True)
    (out / _MARK).write_text(
        "written by `firedrill demo`; the next demo replaces this folder\n", encoding="utf-8"
    )
