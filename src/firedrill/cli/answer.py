"""``firedrill answer``."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from firedrill.core.errors import InfrastructureError, InputError

if TYPE_CHECKING:
    from firedrill.runner.playing import Session

app = typer.Typer(rich_markup_mode=None, add_completion=False)

_MOST = 4_000_000


@app.command()
def answer(
    file: Annotated[
        Path | None, typer.Argument(metavar="[FILE]", help="an answer like an agent's; - for standard input")
    ] = None,
    cause: Annotated[
        list[str], typer.Option("--cause", help="NAMESPACE/KIND/NAME of a cause; may be given more than once")
    ] = [],  # noqa: B006
    why: Annotated[str, typer.Option(help="how you know")] = "",
    change: Annotated[
        list[str], typer.Option("--change", help="what you changed, and why; may be given more than once")
    ] = [],  # noqa: B006
    escalate: Annotated[str | None, typer.Option(metavar="WHY", help="hand over to a person")] = None,
    session: Annotated[int | None, typer.Option(help="which, where several incidents are played")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="print the grade as JSON")] = False,
) -> None:
    """Finish the incident that `firedrill play` serves, and see the grade."""
    from firedrill.cli import _verdict
    from firedrill.core.episode import EpisodeKey
    from firedrill.runner.playing import ask, find

    if file is not None and (cause or change or escalate is not None):
        raise InputError("a file says everything", field="FILE", mend="leave out the options")
    if file is None and not cause and escalate is None:
        raise InputError("no answer", mend="name the --cause, give a FILE, or --escalate WHY")
    playing = find(session)
    text = _read(file) if file is not None else _text(playing, cause, why, change, escalate)
    handed = _of(text)
    if not as_json:
        sys.stdout.write("handed in; ten more virtual minutes show whether it lasts\n")
        sys.stdout.flush()
    found = ask(playing.control, handed)
    if "error" in found:
        raise InfrastructureError(str(found["error"]))
    run = Path(str(found["run"]))
    key = EpisodeKey.model_validate({name: found[name] for name in ("scenario", "agent", "repeat")})
    if as_json:
        sys.stdout.write(json.dumps(_verdict.document(run, key)) + "\n")
    else:
        sys.stdout.write(f"\n{_verdict.shown(run, key)}\nrun     {run}\n")


def _of(text: str) -> dict[str, Any]:
    """The message for the desk.

    Raises:
        InputError: nobody could read that answer.
    """
    from firedrill.core.submission import parse_submission

    found = parse_submission(text)
    if found.error is not None:
        raise InputError(found.error, field="FILE", mend="docs/agents.md shows what an answer looks like")
    return {"text": text, "escalate": found.escalate, "reason": found.escalate_reason}


def _read(file: Path) -> str:
    stream = sys.stdin.buffer if str(file) == "-" else file.open("rb")
    with stream:
        return stream.read(_MOST).decode("utf-8", "replace")


def _text(playing: Session, causes: list[str], why: str, changes: list[str], escalate: str | None) -> str:
    document: dict[str, Any] = {
        "contributing_factors": [
            {"name": _entity(cause, playing.namespace), "reasoning": why, "evidence": ""} for cause in causes
        ],
        "propagations": [],
        "changes": [{"what": item, "why": why} for item in changes],
    }
    if escalate is not None:
        document |= {"escalate": True, "escalate_reason": escalate}
    return json.dumps(document, ensure_ascii=False)


def _entity(cause: str, namespace: str) -> str:
    """An entity as graders know it; without a namespace it is in the application's.

    Raises:
        InputError: it is none.
    """
    from firedrill.core.entity import CLUSTER, is_cluster_scoped, parse_entity

    parts = cause.strip().split("/")
    if len(parts) == 2:
        parts = [CLUSTER if is_cluster_scoped(parts[0]) else namespace, *parts]
    if len(parts) != 3 or not all(parts):
        raise InputError(
            f"{cause!r} names no object", field="--cause", mend="NAMESPACE/KIND/NAME, or KIND/NAME"
        )
    kind = parse_entity("/".join(parts)).kind  # `deploy` is a Deployment
    return "/".join([parts[0], kind or parts[1], parts[2]])
