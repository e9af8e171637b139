"""The tool ``kubectl``: one command line, looked at, then run by the real program."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import yaml
from pydantic import Field

from firedrill.core.errors import InputError
from firedrill.tools.authority.telling import ASKED, DENIED
from firedrill.tools.base import Answer, Paged
from firedrill.tools.errors import Mistake
from firedrill.tools.live.base import LiveTool, listing
from firedrill.tools.live.kubectl_check import check, objects_of
from firedrill.tools.live.kubectl_line import Command, parse
from firedrill.tools.resolve import near, or_else

if TYPE_CHECKING:
    from firedrill.tools.live.desk import Desk

SECONDS = 180.0
"""Wall time after which a command is ended."""
MANIFEST = ".kubectl-manifest.yaml"
_LINES = 20_000
_ABSENT = re.compile(r'Error from server \(NotFound\): (\S+) "([^"]+)" not found')
_NOTHING = re.compile(r"No resources found in (\S+) namespace")
_RECENT_MS = 10 * 60_000


class KubectlParams(Paged):
    """Parameters of ``kubectl``."""

    limit: int = Field(200, ge=1, le=1000, description="Most lines to return.")
    command: str = Field(
        min_length=1,
        max_length=20_000,
        description="One command line, as in `kubectl get pods -n shop -o wide`. There is no shell:"
        " no pipes, redirections, variables or substitutions.",
    )
    manifest: str | None = Field(
        None, max_length=200_000, description="Objects as YAML or JSON, for a command with `-f -`."
    )
    grep: str | None = Field(
        None,
        max_length=500,
        description="Keep only lines that match this regular expression (and the header of a table).",
    )


async def run_command(desk: Desk, params: KubectlParams) -> Answer:
    """Look at a command, run it, and answer with what it printed.

    Raises:
        Mistake: it cannot be meant, or the program or the cluster refused it.
    """
    command = parse(params.command)
    await check_command(desk, command)
    lines, notes = await _run(desk, command, params.manifest)
    return listing(_matching(lines, params.grep), *notes)


async def check_command(desk: Desk, command: Command) -> None:
    """Look at a command before it is run.

    Raises:
        Mistake: it cannot be meant, or would change something where that is not wanted.
    """
    known = await desk.resources()
    try:
        check(command, known)
    except Mistake:
        # a resource may have been defined since
        check(command, await desk.resources(fresh=True))
    if command.writes and desk.looks_only:
        said = " ".join(command.path)
        raise Mistake(f"you only look: `kubectl {said}` would change something, and was not sent")


async def _run(desk: Desk, command: Command, manifest: str | None) -> tuple[list[str], tuple[str, ...]]:
    if desk.workspace is None:
        raise Mistake("there is no kubectl here")
    argv = [desk.kubectl, *await _with_manifest(desk, command, manifest)]
    done = await desk.workspace.run_argv(argv, timeout=SECONDS)
    notes: list[str] = []
    if done.truncated:
        notes.append("the output was too long and lost its middle: ask for less")
    if done.timed_out:
        notes.append("the command took too long and was ended")
    out, err = done.stdout.rstrip("\n"), done.stderr.strip()
    if done.exit_code and not done.timed_out:
        told = "\n".join(part for part in (out, err) if part)
        raise Mistake(f"{told[:4_000] or 'kubectl failed'}{await _help(desk, command, err)}")
    lines = out.split("\n")[:_LINES] if out else []
    for line in err.splitlines():
        if line.strip():
            notes.append(line + await _empty(desk, line))
    if not lines and not notes:
        notes.append("done; it printed nothing")
    return lines, tuple(notes)


async def dry_run(desk: Desk, command: Command, manifest: str | None) -> str:
    """Try a change out without storing it; what the cluster says of it.

    Raises:
        Mistake: it could not be done.
    """
    if desk.workspace is None:
        return ""
    argv = [word for word in await _with_manifest(desk, command, manifest) if word != "--force"]
    done = await desk.workspace.run_argv([desk.kubectl, *argv, "--dry-run=server"], timeout=SECONDS)
    if done.exit_code:
        raise Mistake((done.stderr or done.stdout).strip()[:1_500] or "it cannot be tried out")
    warnings = [line.partition("Warning: ")[2] for line in done.stderr.splitlines()]
    denied = next((text for text in warnings if text.startswith(DENIED)), "")
    if denied:
        raise Mistake(f"a dry run passes, but {denied}")
    asked = next((f"; {text}" for text in warnings if text.startswith(ASKED)), "")
    return "a dry run passes: " + " ".join(done.stdout.split())[:300] + asked


async def _with_manifest(desk: Desk, command: Command, manifest: str | None) -> list[str]:
    argv = list(command.argv)
    given = [value for value in command.options.get("filename", ()) if value == "-"]
    if manifest is None:
        if given:
            raise Mistake("-f - reads objects from the parameter `manifest`, which is not given")
        return argv
    if not given:
        raise Mistake(f"`manifest` is read by a command with `-f -`: `kubectl {command.verb} -f -`")
    _objects(manifest)
    assert desk.workspace is not None
    path = f"{desk.workspace.home}/{MANIFEST}"
    try:
        await desk.workspace.write_file(path, manifest.encode("utf-8", "replace"))
    except InputError as error:
        raise Mistake(f"`manifest` has to stand in your home folder for kubectl: {error.problem}") from None
    return [_replaced(word, path) for word in argv]


def _replaced(word: str, path: str) -> str:
    for spelled in ("-f=-", "-f-", "--filename=-"):
        if word == spelled:
            return f"--filename={path}"
    return path if word == "-" else word


def _objects(manifest: str) -> None:
    """Raise Mistake unless this is one or more objects."""
    try:
        found = [item for item in yaml.safe_load_all(manifest) if item is not None]
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        told = " ".join(str(error).split())
        raise Mistake(f"`manifest` is no YAML: {told[:400]}") from None
    if not found:
        raise Mistake("`manifest` holds no object")
    for number, item in enumerate(found, 1):
        lacks = [name for name in ("apiVersion", "kind") if not isinstance(item, dict) or not item.get(name)]
        if lacks:
            raise Mistake(f"object {number} of `manifest` has no {' and no '.join(lacks)}")


async def _help(desk: Desk, command: Command, error: str) -> str:
    """What else there is, where something was not found."""
    match = _ABSENT.search(error)
    if match is None:
        return ""
    known = await desk.resources()
    try:
        resource = known.find(match[1])
    except Mistake:
        return ""
    namespace = command.option("namespace") or desk.site.namespace
    asked = [name for item, name in objects_of(command, known) if item == resource and name == match[2]]
    if not asked:
        return ""
    try:
        names = await desk.names(resource.path(namespace))
    except Mistake:
        return ""
    where = f"in {namespace}" if resource.namespaced else "here"
    close = near(match[2], names, 4)
    shown = ", ".join(sorted(names)[:30]) or "none"
    return f"\n{or_else(close).removeprefix('; ').capitalize()}\n{resource.plural} {where}: {shown}"


async def _empty(desk: Desk, line: str) -> str:
    """What namespaces there are, where one has nothing because there is no such namespace."""
    match = _NOTHING.search(line)
    if match is None:
        return ""
    names: list[str] | None = await desk.known("namespaces", _RECENT_MS)
    if names is None:
        try:
            names = await desk.names("/api/v1/namespaces")
        except Mistake:
            return ""
        await desk.learn("namespaces", names)
    if match[1] in names:
        return ""
    return f" There is no such namespace{or_else(near(match[1], names, 3))} Namespaces: {', '.join(names)}"


def _matching(lines: list[str], pattern: str | None) -> list[str]:
    if not pattern:
        return lines
    import re2

    try:
        wanted = re2.compile(pattern)
    except re2.error as error:
        raise Mistake(f"`grep` is no regular expression (RE2): {error}") from None
    header = bool(lines) and re.match(r"[A-Z][A-Z0-9-]*(\s{2,}[A-Z][A-Z0-9() -]*)+\s*$", lines[0])
    return [line for place, line in enumerate(lines) if (header and not place) or wanted.search(line)]


KUBECTL = LiveTool(
    "kubectl",
    "Run one command of kubectl against the cluster: look (get, describe, logs, events, top, rollout status)"
    " or change (patch, apply, scale, rollout, delete, set). Each request passes your authority: some are"
    " refused, some wait for the on-call lead.",
    KubectlParams,
    run_command,
    "act",
)
