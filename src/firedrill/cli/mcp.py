"""``firedrill mcp``."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from firedrill.core.errors import InputError

if TYPE_CHECKING:
    from firedrill.tools import Toolbox
    from firedrill.tools.mcp import Answering

PLAYING = "playing"
app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command()
def mcp(
    path: Annotated[
        str,
        typer.Argument(
            metavar="PATH|playing",
            help="the folder of one recorded incident, or the incident that `firedrill play` has on",
        ),
    ],
    http: Annotated[
        bool, typer.Option("--http", help="serve on 127.0.0.1 instead of standard input and output")
    ] = False,
    port: Annotated[int, typer.Option(min=0, max=65535, help="with --http; 0 lets the system choose")] = 0,
    without: Annotated[
        list[str],
        typer.Option(help="withhold a modality (traces, topology ...); may be given more than once"),
    ] = [],  # noqa: B006
    session: Annotated[
        int | None, typer.Option(help="with playing: which, where several incidents are played")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="print the address as JSON (with --http)")] = False,
) -> None:
    """Serve the tools over one incident to an MCP client, until it leaves or an interrupt.

    Over a recording they only look. Over an incident that is being played they act too, within its
    authority, and a report ends it as `firedrill answer` does. The ground truth is not served.
    """
    from firedrill.cli.run import check_modalities
    from firedrill.tools import RecordedEvidence, Toolbox
    from firedrill.tools.mcp import require, serve_stdio

    require()
    check_modalities(without)
    if path == PLAYING:
        _refuse(bool(without), "--without", "it is withheld when an incident is staged")
        asyncio.run(_played(session, port if http else None, as_json=as_json))
        return
    _refuse(session is not None, "--session", f"it says which incident of `{PLAYING}` is meant")
    folder = _incident(Path(path))
    from firedrill.snapshot import open_incident

    with RecordedEvidence(open_incident(folder), frozenset(without)) as evidence:
        toolbox = Toolbox(evidence)
        asyncio.run(_serve_http(toolbox, port, as_json=as_json) if http else serve_stdio(toolbox))


def _refuse(given: bool, field: str, problem: str) -> None:
    if given:
        raise InputError(problem, field=field, mend="leave it out")


async def _played(number: int | None, port: int | None, *, as_json: bool) -> None:
    """Serve the tools over what is being played; at a port, or on standard input and output for None."""
    from firedrill.runner.playing import attached, find
    from firedrill.tools.mcp import serve_stdio

    async with attached(find(number)) as tools:
        await (serve_stdio(tools) if port is None else _serve_http(tools, port, as_json=as_json))


def _incident(path: Path) -> Path:
    from firedrill.snapshot import find_incidents

    found = find_incidents(path)
    if not found:
        raise InputError("no recorded incident in here", source=str(path))
    if len(found) > 1:
        raise InputError(
            f"{len(found)} incidents in here", source=str(path), mend=f"name one, such as {found[0].path}"
        )
    return found[0].path


async def _serve_http(toolbox: Toolbox | Answering, port: int, *, as_json: bool) -> None:
    import uvicorn

    from firedrill.cli._listening import listen
    from firedrill.tools.mcp import PATH, http_application

    listener = listen(port)
    number = listener.getsockname()[1]
    address = f"http://127.0.0.1:{number}{PATH}"
    sys.stdout.write(json.dumps({"address": address}) + "\n" if as_json else f"{address}\n")
    sys.stdout.flush()
    config = uvicorn.Config(
        http_application(toolbox, number),
        log_level="warning",
        ws="none",
        limit_concurrency=64,
        # a client that keeps a stream open must not keep the program from ending
        timeout_graceful_shutdown=1,
    )
    await uvicorn.Server(config).serve(sockets=[listener])
