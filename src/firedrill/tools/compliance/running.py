"""Tools that collect evidence: kubectl against the cluster, a playbook on the host."""

from __future__ import annotations

import shlex

from pydantic import Field

from firedrill.tools.base import Answer, Paged
from firedrill.tools.compliance.base import HOSTS, KYVERNO, SCRIPTS, ComplianceTool, lines
from firedrill.tools.compliance.bench import Bench
from firedrill.tools.errors import Mistake
from firedrill.tools.live.kubectl import KubectlParams, check_command, run_command
from firedrill.tools.live.kubectl_line import Command, parse

SECONDS = 120.0
"""Wall time after which a command is ended."""
_MOST = 4_000


class RunKubectlParams(Paged):
    """Parameters of ``RunKubectl``."""

    limit: int = Field(200, ge=1, le=1000, description="Most lines to return.")
    args: str = Field(
        min_length=1,
        max_length=20_000,
        description="The arguments, as in `get pods,deployments -A -o json` or `apply -f policy.yaml`. There"
        " is no shell: no pipes, redirections or substitutions. Files are those of the working folder.",
    )
    output_file: str | None = Field(
        None, max_length=300, description="A file that the output goes into, as collected_data.json."
    )
    return_output: bool | None = Field(
        None,
        description="Whether the output is answered, too. By default it is where no output_file is given.",
    )
    script_file: str | None = Field(
        None,
        max_length=300,
        description="A shell script that is written with this command and its output_file, as fetcher.sh.",
    )


class RunPlaybookParams(Paged):
    """Parameters of ``RunPlaybook``."""

    limit: int = Field(200, ge=1, le=1000, description="Most lines to return.")
    host: str = Field("all", max_length=200, description="The host of inventory.ansible.ini, or all.")
    playbook_file: str = Field(min_length=1, max_length=300, description="A playbook of the working folder.")


async def run_kubectl(bench: Bench, params: RunKubectlParams) -> Answer:
    """Run a command against the cluster; keep what it prints, and a script that does it again.

    Raises:
        Mistake: it cannot be meant, or the program or the cluster refused it.
    """
    desk = bench.desk
    if desk is None:
        raise Mistake("there is no cluster here: assess the host with RunPlaybook")
    command = parse(params.args)
    for value in (*command.options.get("filename", ()), *command.options.get("kustomize", ())):
        if value == "-":
            raise Mistake("there is nothing to read from -: write the objects into a file and name it")
        bench.path(value)
    if params.output_file is not None:
        bench.path(params.output_file)
    if params.script_file is not None:
        _script(bench, command, params)
    await check_command(desk, command)
    if params.output_file is None and not command.has("filename", "kustomize"):
        answer = await run_command(desk, KubectlParams(command=params.args, manifest=None, grep=None))
    else:
        answer = await _in_folder(bench, command, params)
    if params.script_file is not None:
        await bench.write(params.script_file, _script(bench, command, params))
        notes = (*answer.notes, f"{params.script_file} runs this command")
        answer = Answer(answer.columns, answer.rows, notes, width=answer.width)
    return answer


async def _in_folder(bench: Bench, command: Command, params: RunKubectlParams) -> Answer:
    desk, folder = bench.desk, shlex.quote(bench.folder)
    assert desk is not None
    line = shlex.join([desk.kubectl, *command.argv])
    target = params.output_file and bench.path(params.output_file)
    into = f" > {shlex.quote(target)}" if target else ""
    done = await bench.workspace.run(f"mkdir -p {folder} && cd {folder} && {line}{into}", timeout=SECONDS)
    if done.timed_out:
        raise Mistake("the command took too long and was ended")
    if done.exit_code:
        told = "\n".join(part.strip() for part in (done.stdout, done.stderr) if part.strip())
        raise Mistake(told[:_MOST] or "kubectl failed")
    notes = [item for item in done.stderr.splitlines() if item.strip()]
    if not target:
        return lines(done.stdout, *notes)
    data = await bench.workspace.read_file(target) or b""
    notes.append(f"{len(data)} bytes stand in {params.output_file}")
    return lines(data.decode("utf-8", "replace") if params.return_output else "", *notes)


def _script(bench: Bench, command: Command, params: RunKubectlParams) -> str:
    if command.writes:
        raise Mistake("a script that collects evidence may only read")
    if not params.script_file or not params.script_file.endswith(".sh"):
        raise Mistake(f"{(params.script_file or '')[:80]!r} has to end with .sh")
    if params.output_file is None:
        raise Mistake("a script needs an output_file, as collected_data.json")
    # the script runs in other folders, too
    name = bench.path(params.output_file)[len(bench.folder) + 1 :]
    line = shlex.join(["kubectl", *command.argv])
    return f"#!/bin/sh\nset -e\n{line} > {shlex.quote(name)}\n"


async def run_playbook(bench: Bench, params: RunPlaybookParams) -> Answer:
    """Run a playbook on the host.

    Raises:
        Mistake: there is none, or it failed; with what it said.
    """
    path = bench.path(params.playbook_file)
    await bench.read(params.playbook_file)
    words = ["ansible-playbook", "-i", "inventory.ansible.ini", path]
    host = params.host.strip()
    if host not in ("", "all"):
        if host.startswith(("-", "@")):
            raise Mistake(f"{host[:60]!r} is no host")
        words[3:3] = ["--limit", host]
    command = f"cd {shlex.quote(bench.folder)} && {shlex.join(words)}"
    done = await bench.workspace.run(command, timeout=SECONDS)
    if done.timed_out:
        raise Mistake(f"it did not end within {SECONDS:g} seconds")
    said = "\n".join(part.strip() for part in (done.stdout, done.stderr) if part.strip())
    if done.exit_code:
        raise Mistake(f"the playbook failed (exit code {done.exit_code}):\n{said[-_MOST:]}")
    data = await bench.workspace.read_file(f"{bench.folder}/collected_data.json")
    held = "there is no collected_data.json" if data is None else f"collected_data.json: {len(data)} bytes"
    return lines(said, held)


RUN_KUBECTL = ComplianceTool(
    "RunKubectl",
    "Run one command of kubectl against the cluster. Its output can go into a file of the working folder, and"
    " the command into a script that does the same again. Requests beyond your authority are refused.",
    RunKubectlParams,
    run_kubectl,
    KYVERNO | SCRIPTS,
)
RUN_PLAYBOOK = ComplianceTool(
    "RunPlaybook",
    "Run an Ansible playbook of the working folder on the host, and answer with what it said. What it changes"
    " on the host is undone afterwards.",
    RunPlaybookParams,
    run_playbook,
    HOSTS,
)
