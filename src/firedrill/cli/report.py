"""``firedrill report``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from firedrill.core.errors import InputError

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command()
def report(
    run: Annotated[Path, typer.Argument(help="the folder of a run")],
    out: Annotated[Path | None, typer.Option(help="where to write; RUN/report, or standard output")] = None,
    form: Annotated[
        str, typer.Option("--format", help="html, json, csv, markdown; of compliance also oscal, polr")
    ] = "html",
    as_json: Annotated[bool, typer.Option("--json", help="print the summary as JSON")] = False,
) -> None:
    """Write a run as a folder of pages that opens offline, or as one file of results."""
    from firedrill.cli import _running
    from firedrill.records import RunFolder
    from firedrill.report.exports import FORMATS, summary
    from firedrill.report.model import RunView

    if form != "html" and form not in FORMATS:
        raise InputError(f"no format {form!r}", field="--format", mend=f"one of html, {', '.join(FORMATS)}")
    if form == "html":
        index = _pages(run, out or run / "report")
        if not as_json:
            sys.stdout.write(f"{index}\n")
    else:
        content = FORMATS[form](RunView(RunFolder(run)))
        if out is not None:
            from firedrill.records import write_atomic

            out.parent.mkdir(parents=True, exist_ok=True)
            write_atomic(out, content.encode())
        elif not as_json:
            sys.stdout.write(content)
    if as_json:
        document = summary(RunView(RunFolder(run)))
        _running.write_json(document)


def _pages(run: Path, out: Path) -> Path:
    from rich.console import Console
    from rich.progress import Progress

    from firedrill.report.pages import write_report

    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("pages", total=None)
        return write_report(
            run, out, progress=lambda n, total: progress.update(task, completed=n, total=total)
        )
