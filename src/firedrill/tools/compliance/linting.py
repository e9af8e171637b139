"""The tool ``LintPolicy``: what engines would say of an artefact before they run it."""

from __future__ import annotations

import asyncio
import shlex
from collections.abc import Mapping
from typing import Any

from pydantic import Field

from firedrill.tools.base import Answer, Paged
from firedrill.tools.compliance.base import ComplianceTool, lines
from firedrill.tools.compliance.bench import Bench, documents
from firedrill.tools.errors import Mistake

SYNTAX_SECONDS = 60.0
_MOST = 20
_OWN_GROUPS = ("kyverno.io", "policies.kyverno.io")


class LintParams(Paged):
    """Parameters of ``LintPolicy``."""

    policy_file: str = Field(
        min_length=1, max_length=300, description="A policy, playbook or script of the working folder."
    )


async def lint(bench: Bench, name: str) -> tuple[list[str], str]:
    """What is wrong with an artefact, and what it is; nothing wrong is an empty list.

    Raises:
        Mistake: there is no such file.
    """
    text = await bench.read(name)
    if name.endswith(".rego"):
        return await asyncio.to_thread(lint_rego, text, name), "a policy in Rego"
    if name.endswith((".yaml", ".yml", ".json")):
        try:
            found = documents(text, name)
        except Mistake as problem:
            return [str(problem)], "YAML"
        if isinstance(found[0], list):
            return await _syntax(bench, name), "a playbook"
        return lint_kyverno(found), "a policy of Kyverno"
    if name.endswith(".sh"):
        done = await bench.workspace.run_argv(["bash", "-n", bench.path(name)], timeout=SYNTAX_SECONDS)
        return _last(done.stderr) if done.exit_code else [], "a shell script"
    raise Mistake(f"{name[:80]!r} is nothing that is handed in: end it with .yaml, .yml, .rego or .sh")


def lint_rego(text: str, name: str = "policy.rego") -> list[str]:
    """What keeps a policy in Rego from being evaluated as it is asked for. Blocks."""
    from firedrill.world.policy import rego

    return [
        f"{item.source}:{item.line or 1}: {item.code}: {item.message}"
        for item in rego.lint(text, name=name.rpartition("/")[2])
        if item.severity == "error"
    ][:_MOST]


def lint_kyverno(found: Any) -> list[str]:
    """What admission would say of policies of Kyverno."""
    from firedrill.world.policy import kyverno

    problems: list[str] = []
    for number, item in enumerate(found, 1):
        if not isinstance(item, Mapping):
            problems.append(f"document {number} is no object")
            continue
        label = f"{item.get('kind') or 'document'} {_name(item) or number}"
        group = str(item.get("apiVersion") or "").rpartition("/")[0]
        if group not in _OWN_GROUPS:
            problems.append(f"{label}: apiVersion {item.get('apiVersion')!r} is none of Kyverno's: "
                            "write kyverno.io/v1 with kind ClusterPolicy or Policy")  # fmt: skip
            continue
        problems += [f"{label}: {problem}" for problem in kyverno.problems(item)]
    return problems[:_MOST]


def _name(item: Mapping[str, Any]) -> str:
    metadata = item.get("metadata")
    return str(metadata.get("name") or "") if isinstance(metadata, Mapping) else ""


async def _syntax(bench: Bench, name: str) -> list[str]:
    words = ["ansible-playbook", "-i", "inventory.ansible.ini", "--syntax-check", bench.path(name)]
    command = f"cd {shlex.quote(bench.folder)} && {shlex.join(words)}"
    done = await bench.workspace.run(command, timeout=SYNTAX_SECONDS)
    return _last(done.stderr or done.stdout) if done.exit_code else []


def _last(text: str) -> list[str]:
    told = [line for line in text.splitlines() if line.strip()]
    return told[-_MOST:] or ["it was refused without a word"]


async def run_lint(bench: Bench, params: LintParams) -> Answer:
    """Say what is wrong with an artefact.

    Raises:
        Mistake: there is no such file.
    """
    problems, what = await lint(bench, params.policy_file)
    if not problems:
        return lines(f"{params.policy_file}: {what}, and nothing is wrong with its form.")
    return lines([f"{params.policy_file}: {what}, and it would be refused:", *problems])


LINT = ComplianceTool(
    "LintPolicy",
    "Check an artefact without running it: whether the engine would admit the policy (schema, variables,"
    " kinds), whether the Rego compiles and has package check with a rule result that reads its input,"
    " whether the playbook or the script parses.",
    LintParams,
    run_lint,
)
