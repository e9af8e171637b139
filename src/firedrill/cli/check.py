"""``firedrill check``: whether a suite is honest."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from collections.abc import Callable

    from firedrill.runner.checking import Checked, Outcome
    from firedrill.suites.model import Suite

app = typer.Typer(rich_markup_mode=None, add_completion=False)

_MARKS = {"holds": "ok", "warns": "(ok)", "fails": "NO"}
_INTERRUPTED = 130


@app.command()
def check(
    suite: Annotated[str, typer.Argument(metavar="SUITE|PATH", help="a registered suite, or a path")],
    scenario: Annotated[list[str], typer.Option(help="only this scenario; may be given more than once")] = [],  # noqa: B006
    limit: Annotated[int | None, typer.Option(min=1, help="only N scenarios, drawn by --seed")] = None,
    seed: Annotated[int, typer.Option(min=0, help="of the draw of --limit")] = 0,
    exploit: Annotated[list[str], typer.Option(help="only this exploit; may be given more than once")] = [],  # noqa: B006
    processes: Annotated[int, typer.Option("-n", "--processes", min=1, help="scenarios at once")] = 2,
    out: Annotated[
        Path | None, typer.Option(help="folder of results: what is in it is not checked again")
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="no progress")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON")] = False,
) -> None:
    """Prove that scenarios can be solved, and by nothing but solving them.

    The exit code is 1 where one is not fit.
    """
    from firedrill.runner.checking import Wanted
    from firedrill.runner.checking import check as start
    from firedrill.suites import open_suite

    opened = open_suite(suite)
    wanted = Wanted(opened, tuple(scenario), limit, seed, processes, out, tuple(exploit))
    try:
        outcome = asyncio.run(start(wanted, _progress(quiet)))
    except KeyboardInterrupt:
        kept = f"; what was checked is kept in {out}" if out else ""
        sys.stderr.write(f"interrupted{kept}\n")
        raise typer.Exit(_INTERRUPTED) from None
    if as_json:
        from firedrill.cli import _running

        _running.write_json(_document(opened, outcome))
    else:
        _show(opened, outcome)
    if outcome.broken:
        raise typer.Exit(3)
    if not outcome.passed:
        raise typer.Exit(1)


def _progress(quiet: bool) -> Callable[[int, int, str], None]:
    def say(done: int, wanted: int, text: str) -> None:
        sys.stderr.write(f"{done}/{wanted}  {text}\n")
        sys.stderr.flush()

    return (lambda *_: None) if quiet else say


def _document(suite: Suite, outcome: Outcome) -> dict[str, Any]:
    return {
        "suite": {"name": suite.name, "version": suite.version, "digest": suite.digest},
        "passed": outcome.passed,
        "scenarios": [item.to_json() for item in outcome.checked],
        "broken": dict(outcome.broken),
    }


def _show(suite: Suite, outcome: Outcome) -> None:
    from rich.console import Console
    from rich.table import Table

    from firedrill.runner.checking import POINTS

    names = [name for name in POINTS if any(_point(item, name) for item in outcome.checked)]
    table = Table(title=f"{suite.name} {suite.version}", box=None)
    table.add_column("scenario", no_wrap=True)
    for name in names:
        table.add_column(name, no_wrap=True)
    for item in outcome.checked:
        table.add_row(item.scenario, *(_point(item, name) for name in names))
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = 160
    console.print(table)
    for item in outcome.checked:
        for point in item.points:
            if point.state != "holds":
                word = "warning: " if point.state == "warns" else ""
                console.print(f"{item.scenario} {point.name}: {word}{point.text}", markup=False)
    for name, why in outcome.broken.items():
        console.print(f"{name} could not be checked: {why}", markup=False)
    fit = sum(item.passed for item in outcome.checked)
    played = sum(len(item.episodes) for item in outcome.checked)
    whole = len(outcome.checked) + len(outcome.broken)
    console.print(f"{fit} of {whole} scenarios are fit; {played} episodes were played")


def _point(item: Checked, name: str) -> str:
    return next((_MARKS[point.state] for point in item.points if point.name == name), "")
