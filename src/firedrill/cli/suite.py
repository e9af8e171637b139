"""``firedrill suite``: list, show, check, add, fetch and generate suites."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from firedrill.core.errors import Finding, worst

if TYPE_CHECKING:
    from rich.table import Table

    from firedrill.suites import LintReport, Suite

app = typer.Typer(rich_markup_mode=None, add_completion=False, help="Suites: versioned lists of scenarios.")

_AS_JSON = Annotated[bool, typer.Option("--json", help="print JSON")]
_SUITE = Annotated[str, typer.Argument(help="a registered name, name@version, or a path")]


@app.command("list")
def list_suites(as_json: _AS_JSON = False) -> None:
    """Show the suites that come along, those that were added, and the data sets that can be fetched."""
    from firedrill import suites
    from firedrill.cli import _running
    from firedrill.suites.compliance import opening as compliance
    from firedrill.suites.living.packaged import packaged_head, packaged_names

    packaged = [dict(packaged_head(name)) for name in packaged_names()]
    packaged += [compliance.head(name) for name in compliance.suite_names()]

    entries = suites.list_suites()
    known = suites.data_sets()
    if as_json:
        rows = [{**entry.model_dump(), "present": entry.present} for entry in entries]
        fetchable = [{"name": name, **known[name].model_dump()} for name in sorted(known)]
        _running.write_json({"packaged": packaged, "suites": rows, "data_sets": fetchable})
        return
    if packaged:
        table = _table("comes along", "version", "scenarios", "digest", "about")
        for head in packaged:
            cells = (head[key] for key in ("name", "version", "scenarios", "digest", "title"))
            name, version, count, digest, title = cells
            table.add_row(*map(_plain, (name, version, count, _short(digest), title)))
        _print_table(table)
    if entries:
        table = _table("name", "version", "scenarios", "digest", "where")
        for entry in entries:
            where = entry.path if entry.present else f"{entry.path} (gone)"
            table.add_row(
                *map(_plain, (entry.name, entry.version, entry.scenarios, _short(entry.digest), where))
            )
        _print_table(table)
    else:
        sys.stdout.write("no suite is registered; `firedrill suite add PATH` adds a folder of incidents\n")
    names = ", ".join(f"{name} ({known[name].repo})" for name in sorted(known))
    sys.stdout.write(f"to be fetched with `firedrill suite pull NAME`: {names}\n")


@app.command()
def show(
    spec: _SUITE,
    scenario: Annotated[list[str] | None, typer.Option(help="only these scenarios (repeatable)")] = None,
    as_json: _AS_JSON = False,
) -> None:
    """Show a suite: its digests, where it came from, and its scenarios."""
    from firedrill import suites
    from firedrill.cli import _running

    suite = suites.open_suite(spec)
    chosen = suites.select(suite, scenario) if scenario else suite.scenarios
    if as_json:
        _running.write_json(_suite_json(suite, chosen))
        return
    sys.stdout.write(f"{suite.name}@{suite.version}  {len(suite.scenarios)} scenarios\n")
    sys.stdout.write(f"digest  {suite.digest}\nwhere   {_plain(suite.root)}\n")
    for key in sorted(suite.provenance):
        value = suite.provenance[key]
        text = value if isinstance(value, str) else json.dumps(value, sort_keys=True, default=str)
        sys.stdout.write(f"{_plain(key):<7} {_plain(text)}\n")
    table = _table("scenario", "class", "modalities", "split", "id in data set", "evidence", "truth")
    for item in chosen:
        meta = item.scenario.metadata
        modalities = " ".join(item.scenario.environment.modalities)
        row = (item.id, meta.fault_class, modalities, item.split, item.row.get("id_aa", ""))
        table.add_row(*map(_plain, (*row, _short(item.digest), _short(item.truth_digest))))
    _print_table(table)
    _print_findings(suite.findings)


@app.command()
def lint(
    spec: Annotated[
        str, typer.Argument(help="a suite (name or path), a folder of truths, or one truth file")
    ],
    evidence: Annotated[
        bool, typer.Option(help="open the incidents too, and look for the roots among their objects")
    ] = True,
    level: Annotated[str, typer.Option(help="least severity to show: error, warning or info")] = "info",
    as_json: _AS_JSON = False,
) -> None:
    """Report every known kind of defect of truths and incidents; exit code 1 when there are errors."""
    from firedrill.cli import _running
    from firedrill.core.errors import InputError
    from firedrill.suites import lint_any

    levels = ("error", "warning", "info")
    if level not in levels:
        raise InputError(f"no severity {level!r}", field="--level", mend="one of " + ", ".join(levels))
    with _bar("checking", "scenarios") as tick:
        report = lint_any(spec, incidents=evidence, progress=lambda done, total: tick(done, total, ""))
    shown = [item for item in report.findings if levels.index(item.severity) <= levels.index(level)]
    if as_json:
        _running.write_json(_lint_json(report, shown))
    else:
        _print_findings(shown, sys.stdout)
        counts = ", ".join(f"{report.count(severity)} {severity}" for severity in levels)
        sys.stdout.write(f"{_plain(report.name)}: {report.checked} ground truths checked; {counts}\n")
    raise typer.Exit(1 if report.count("error") else 0)


@app.command()
def add(
    path: Annotated[Path, typer.Argument(help="a folder of incidents, one incident, or a scenario file")],
    name: Annotated[str | None, typer.Option(help="the name to register it under")] = None,
    version: Annotated[str | None, typer.Option(help="its version")] = None,
    replace: Annotated[bool, typer.Option("--replace", help="take the place of what has that name")] = False,
    as_json: _AS_JSON = False,
) -> None:
    """Register a suite by name. It stays where it is; its digest is remembered."""
    from firedrill.cli import _running
    from firedrill.suites import open_suite, register

    entry = register(path, name, version=version, replace=replace)
    if as_json:
        _running.write_json(entry.model_dump())
        return
    sys.stdout.write(f"{entry.label}  {entry.scenarios} scenarios  {entry.digest}\n")
    _print_findings(open_suite(entry.label).findings)


@app.command()
def remove(
    name: Annotated[str, typer.Argument(help="name (all versions) or name@version")],
    as_json: _AS_JSON = False,
) -> None:
    """Forget a suite. Its files stay."""
    from firedrill.cli import _running
    from firedrill.suites import unregister

    gone = unregister(name)
    if as_json:
        _running.write_json({"removed": [entry.model_dump() for entry in gone]})
        return
    for entry in gone:
        sys.stdout.write(f"forgot {entry.label}; its files stay at {_plain(entry.path)}\n")


@app.command()
def pull(
    name: Annotated[str, typer.Argument(help="itbench-aa or itbench-lite")],
    scenario: Annotated[list[str] | None, typer.Option(help="only these scenarios (repeatable)")] = None,
    revision: Annotated[str | None, typer.Option(help="branch, tag or commit of the data set")] = None,
    repo: Annotated[str | None, typer.Option(help="another repository of the same layout")] = None,
    folder: Annotated[str | None, typer.Option(help="another folder of the repository")] = None,
    as_json: _AS_JSON = False,
) -> None:
    """Fetch a published data set, or some of its scenarios, and register it. Goes on where it was cut."""
    from firedrill.cli import _running
    from firedrill.suites import pull as fetch

    with _bar("fetching", "MB") as tick:

        def progress(here: int, total: int, files: int, all_files: int) -> None:
            tick(here / 1e6, total / 1e6, f"{files} of {all_files} files")

        pulled = fetch(
            name, scenarios=scenario or (), revision=revision, repo=repo, folder=folder, progress=progress
        )
    if as_json:
        fetched = {"files": pulled.fetched_files, "bytes": pulled.fetched_bytes}
        _running.write_json(
            {
                **pulled.entry.model_dump(),
                "commit": pulled.commit,
                "fetched": fetched,
                "provenance": pulled.provenance,
            }
        )
        return
    size = f"{pulled.fetched_files} files, {pulled.fetched_bytes / 1e6:.1f} MB fetched"
    entry = pulled.entry
    sys.stdout.write(f"{entry.label}  {entry.scenarios} scenarios  {size}\n{_plain(pulled.path)}\n")


@app.command()
def generate(
    out: Annotated[
        Path,
        typer.Option(help="the folder to write; new or empty, or one that was begun with the same options"),
    ] = Path("generated"),
    count: Annotated[int, typer.Option(min=1, help="how many scenarios")] = 12,
    seed: Annotated[int, typer.Option(help="the same seed gives the same files")] = 7,
    domain: Annotated[str, typer.Option(help="sre")] = "sre",
    difficulty: Annotated[str, typer.Option(help="easy, medium or hard; a mix where not given")] = "",
    application: Annotated[list[str] | None, typer.Option(help="only these (repeatable)")] = None,
    mechanism: Annotated[list[str] | None, typer.Option(help="only these faults (repeatable)")] = None,
    life: Annotated[int | None, typer.Option(min=0, max=3, help="level of background life")] = None,
    red_herrings: Annotated[
        int | None, typer.Option(min=0, max=20, help="innocent changes shortly before the fault")
    ] = None,
    certificate: Annotated[
        bool, typer.Option(help="prove causes by healing them, and nothing else; takes some times as long")
    ] = True,
    processes: Annotated[int, typer.Option("--processes", "-n", min=1, help="how many work at once")] = 2,
    backend: Annotated[str, typer.Option(help="world: scenarios of living worlds")] = "world",
    name: Annotated[str, typer.Option(help="the suite's name")] = "generated",
    as_json: _AS_JSON = False,
) -> None:
    """Write new scenarios with their ground truths; goes on where it was interrupted."""
    from firedrill.cli import _generating
    from firedrill.core.errors import InputError
    from firedrill.suites.living.drafting import Choice
    from firedrill.suites.living.generating import Wanted

    if domain != "sre":
        raise InputError(f"nothing is generated for {domain!r}", field="--domain", mend="take sre")
    if backend == "snapshot":
        mend = "generate without --backend, then record them: firedrill suite export FOLDER OUT"
        raise InputError("only living worlds are generated", field="--backend", mend=mend)
    if backend != "world":
        raise InputError(f"no backend {backend!r}", field="--backend", mend="take world")
    choice = Choice(seed, difficulty, tuple(application or ()), tuple(mechanism or ()), life, red_herrings)
    wanted = Wanted(choice, count, name, certificate)
    suite = _generating.worlds(wanted, out, processes=processes, quiet=as_json)
    if as_json:
        _running_json(suite)
        return
    sys.stdout.write(f"{_plain(out)}  {suite.name}@{suite.version}  {len(suite.scenarios)} scenarios\n")


def _running_json(suite: Suite) -> None:
    from firedrill.cli import _running

    _running.write_json(_suite_json(suite, suite.scenarios))


@app.command()
def export(
    spec: Annotated[
        str, typer.Argument(help="a suite of living worlds (name or folder), or a scenario file")
    ],
    out: Annotated[Path, typer.Argument(help="the folder to write; new, empty, or begun by the same export")],
    layout: Annotated[str, typer.Option("--format", help="the layout: itbench-aa")] = "itbench-aa",
    scenario: Annotated[list[str] | None, typer.Option(help="only these scenarios (repeatable)")] = None,
    count: Annotated[int | None, typer.Option(min=1, help="at most so many")] = None,
    traces: Annotated[float, typer.Option(min=0, max=1, help="share of the traces that is recorded")] = 0.1,
    logs: Annotated[float, typer.Option(min=0, max=1, help="the same for lines about what went well")] = 0.1,
    step: Annotated[int, typer.Option(min=15, help="seconds between two samples of a series")] = 60,
    processes: Annotated[int, typer.Option("--processes", "-n", min=1, help="how many work at once")] = 2,
    as_json: _AS_JSON = False,
) -> None:
    """Let scenarios of living worlds happen and write them as recorded snapshots, with their truths."""
    from firedrill.cli import _running
    from firedrill.core.errors import InputError
    from firedrill.suites import open_suite
    from firedrill.suites.exporting import Amount
    from firedrill.suites.exporting.suite import export_suite

    if layout != "itbench-aa":
        raise InputError(f"no layout {layout!r}", field="--format", mend="itbench-aa is the only one")
    source = open_suite(spec)
    with _bar("exporting", "incidents") as tick:
        export_suite(
            source,
            out,
            names=scenario or (),
            count=count,
            amount=Amount(traces, step * 1000, logs),
            processes=processes,
            progress=tick,
        )
    suite = open_suite(out)
    if as_json:
        _running.write_json(_suite_json(suite, suite.scenarios))
        return
    sys.stdout.write(f"{_plain(out)}  {suite.name}@{suite.version}  {len(suite.scenarios)} scenarios\n")


# -- output -----------------------------------------------------------------------------------------


def _suite_json(suite: Suite, chosen: Sequence[Any]) -> dict[str, Any]:
    from firedrill.suites import id_map

    return {
        "name": suite.name,
        "version": suite.version,
        "digest": suite.digest,
        "root": str(suite.root),
        "provenance": dict(suite.provenance),
        "scenarios": [
            {
                "id": item.id,
                "folder": str(item.folder),
                "digest": item.digest,
                "truth": item.truth_source,
                "truth_digest": item.truth_digest,
                "split": item.split,
                "metadata": item.scenario.metadata.model_dump(by_alias=True),
                "modalities": item.scenario.environment.modalities,
                "row": dict(item.row),
            }
            for item in chosen
        ],
        "ids": id_map(suite),
        "findings": [finding.to_json() for finding in suite.findings],
    }


def _lint_json(report: LintReport, shown: Sequence[Finding]) -> dict[str, Any]:
    return {
        "name": report.name,
        "checked": report.checked,
        "worst": worst(report.findings),
        "counts": {severity: report.count(severity) for severity in ("error", "warning", "info")},
        "findings": [finding.to_json() for finding in shown],
    }


def _plain(value: Any) -> str:
    """Foreign text for a terminal: one line, without control characters."""
    text = "".join(char if char.isprintable() else " " for char in str(value))
    return text.encode("utf-8", "replace").decode()


def _short(digest: str) -> str:
    from firedrill.core.digest import short

    return short(digest, 12)


def _table(*columns: str) -> Table:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def _print_table(table: Table) -> None:
    from rich.console import Console

    # without markup: the cells are foreign text
    console = Console(markup=False, highlight=False)
    if console.is_terminal:
        console.print(table)
        return
    # a pipe has no width: nothing is folded, and nothing is padded
    wide = Console(markup=False, highlight=False, width=10_000)
    with wide.capture() as captured:
        wide.print(table)
    sys.stdout.writelines(line.rstrip() + "\n" for line in captured.get().splitlines())


def _print_findings(findings: Sequence[Finding], stream: Any = None) -> None:
    out = stream or sys.stderr
    for item in findings:
        where = item.source + (f":{item.line}" if item.line is not None else "")
        field = f" {item.field}" if item.field else ""
        out.write(f"{item.severity}: {_plain(where)}{_plain(field)}: {_plain(item.message)} [{item.code}]\n")


@contextlib.contextmanager
def _bar(verb: str, unit: str) -> Iterator[Callable[[float, float, str], None]]:
    """A progress bar on standard error, or nothing where nobody sees it."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed:.0f}/{task.total:.0f} {task.fields[unit]}"),
        TextColumn("{task.fields[note]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task(verb, total=1, unit=unit, note="")

        def tick(done: float, total: float, note: str) -> None:
            progress.update(task, completed=done, total=max(total, 1), note=note)

        yield tick
