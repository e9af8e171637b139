"""Tools that try policies out: on collected data, on objects of one's own, on one of the cluster."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pydantic import Field

from firedrill.tools.base import Answer, Paged
from firedrill.tools.compliance.base import HOSTS, KYVERNO, SCRIPTS, ComplianceTool, lines
from firedrill.tools.compliance.bench import EVIDENCE, Bench, documents
from firedrill.tools.compliance.engines import Decision, decide, loaded, opinion
from firedrill.tools.compliance.linting import LintParams, lint_kyverno
from firedrill.tools.errors import Mistake
from firedrill.tools.live.kubectl import KubectlParams, run_command

if TYPE_CHECKING:
    from firedrill.world.policy.kyverno import Policy

_MOST = 200
"""Objects or inputs of one try."""
_SHOWN = 300


class RegoParams(Paged):
    """Parameters of ``RunOPARego``."""

    policy_file: str = Field(min_length=1, max_length=300, description="A policy in Rego, as policy.rego.")
    input_file: str = Field(
        min_length=1, max_length=300, description="What it judges, as collected_data.json."
    )


class TryParams(LintParams):
    """Parameters of ``TryPolicy``."""

    limit: int = Field(200, ge=1, le=1000, description="Most lines to return.")
    objects: str | None = Field(
        None,
        max_length=200_000,
        description="What it is tried on, written by yourself as documents of YAML: objects of Kubernetes for"
        " a policy of Kyverno, inputs for one in Rego.",
    )
    objects_file: str | None = Field(None, max_length=300, description="The same in a file.")


class ExplainParams(LintParams):
    """Parameters of ``ExplainVerdict``."""

    object: str | None = Field(
        None,
        max_length=400,
        description="For a policy of Kyverno: an object of the cluster, as namespace/Kind/name, or"
        " cluster/Kind/name.",
    )
    input_file: str | None = Field(
        None, max_length=300, description="For a policy in Rego: what it judges, as collected_data.json."
    )


async def run_rego(bench: Bench, params: RegoParams) -> Answer:
    """Judge collected data.

    Raises:
        Mistake: a file is missing, or no JSON.
    """
    text = await bench.read(params.policy_file)
    found = await asyncio.to_thread(decide, text, [await _input(bench, params.input_file)])
    return lines(_told(found[0]))


async def try_policy(bench: Bench, params: TryParams) -> Answer:
    """Judge objects or inputs that an assessor has written.

    Raises:
        Mistake: they or the policy cannot be used.
    """
    if (params.objects is None) == (params.objects_file is None):
        raise Mistake("give either `objects` or `objects_file`")
    where = params.objects_file or "objects"
    given = documents(params.objects or await bench.read(params.objects_file or "", EVIDENCE), where)
    given = [item for one in given for item in _items(one)]
    if len(given) > _MOST:
        raise Mistake(f"at most {_MOST} at once, these are {len(given)}")
    text = await bench.read(params.policy_file)
    if params.policy_file.endswith(".rego"):
        found = await asyncio.to_thread(decide, text, given)
        return lines([f"input {number}: {item.words}" for number, item in enumerate(found, 1)])
    wrong = [str(number) for number, item in enumerate(given, 1) if not _is_object(item)]
    if wrong:
        raise Mistake(f"{where}: {', '.join(wrong[:5])} has no apiVersion, kind or metadata.name")
    policies = await _policies(params.policy_file, text)
    told: list[str] = []
    for item in given:
        rows = await asyncio.to_thread(opinion, policies, item, given)
        told += [f"{_name(item)}: {_verdict(rows)}", *(f"  {row}" for row in rows)]
    return lines(told, "judged as a scan in the background judges; only what you gave was there to look up")


async def explain(bench: Bench, params: ExplainParams) -> Answer:
    """Say what each rule makes of one object, or of one input.

    Raises:
        Mistake: it, or the policy, cannot be used.
    """
    text = await bench.read(params.policy_file)
    if params.policy_file.endswith(".rego"):
        if params.input_file is None:
            raise Mistake("a policy in Rego judges an `input_file`")
        data = await _input(bench, params.input_file)
        (found,) = await asyncio.to_thread(decide, text, [data])
        values = [f"{name} = {_short(value)}" for name, value in sorted(found.values.items())]
        silent = [f"{name} is undefined" for name in found.undefined]
        return lines([*_told(found), *values, *silent])
    if params.object is None:
        raise Mistake("a policy of Kyverno judges an `object`, as namespace/Kind/name")
    policies = await _policies(params.policy_file, text)
    item, around = await _fetched(bench, params.object)
    rows = await asyncio.to_thread(opinion, policies, item, around)
    kinds = ", ".join(sorted({rule.name for policy in policies for rule in policy.rules}))
    notes = () if rows else (f"no rule is about it; the rules are {kinds or 'those of the policies'}",)
    return lines([f"{_name(item)}: {_verdict(rows)}", *(f"  {row}" for row in rows)], *notes)


async def _policies(name: str, text: str) -> Sequence[Policy]:
    found = documents(text, name)
    problems = await asyncio.to_thread(lint_kyverno, found)
    if problems:
        raise Mistake(f"{name} would be refused:\n" + "\n".join(problems))
    return await asyncio.to_thread(loaded, found)


async def _input(bench: Bench, name: str) -> Any:
    try:
        return json.loads(await bench.read(name, EVIDENCE))
    except (ValueError, RecursionError) as error:
        raise Mistake(f"{name} is no JSON: {error}") from None


async def _fetched(bench: Bench, name: str) -> tuple[Mapping[str, Any], list[Mapping[str, Any]]]:
    """An object of the cluster, and its namespace beside it."""
    if bench.desk is None:
        raise Mistake("there is no cluster here")
    parts = name.strip().split("/", 2)
    if len(parts) != 3 or not all(parts) or any(part.startswith("-") or " " in part for part in parts):
        raise Mistake(f"{name[:80]!r} is not namespace/Kind/name or cluster/Kind/name")
    namespace, kind, own = parts
    where = "" if namespace == "cluster" else f" -n {namespace}"
    item = await _get(bench, f"get {kind.lower()} {own}{where} -o json")
    around = [item] if not where else [item, await _get(bench, f"get namespace {namespace} -o json")]
    return item, around


async def _get(bench: Bench, command: str) -> Mapping[str, Any]:
    assert bench.desk is not None
    answer = await run_command(bench.desk, KubectlParams(command=command, manifest=None, grep=None))
    try:
        found = json.loads("\n".join(str(row[0]) for row in answer.rows))
    except ValueError:
        raise Mistake(f"`kubectl {command}` gave no whole object") from None
    if not _is_object(found):
        raise Mistake(f"`kubectl {command}` gave no object")
    assert isinstance(found, Mapping)
    return found


def _items(document: Any) -> list[Any]:
    """A document, or those of a list of them."""
    if isinstance(document, Mapping) and str(document.get("kind", "")).endswith("List"):
        items = document.get("items")
        return list(items) if isinstance(items, list) else [document]
    return [document]


def _is_object(item: Any) -> bool:
    if not isinstance(item, Mapping) or not item.get("apiVersion") or not item.get("kind"):
        return False
    metadata = item.get("metadata")
    return isinstance(metadata, Mapping) and bool(metadata.get("name") or metadata.get("generateName"))


def _name(item: Mapping[str, Any]) -> str:
    metadata = item["metadata"]
    own = metadata.get("name") or metadata.get("generateName")
    return f"{metadata.get('namespace') or 'cluster'}/{item['kind']}/{own}"


def _verdict(rows: Sequence[str]) -> str:
    results = {row.partition(" ")[0] for row in rows}
    for result in ("error", "fail", "warn"):
        if result in results:
            return result
    return "pass" if rows else "pass (no rule is about it)"


def _told(found: Decision) -> list[str]:
    named = [f"violations: {_short(found.violations)}"] if found.violations is not None else []
    return [found.words, *named, *(f"print: {line}" for line in found.prints)]


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}… ({len(text)} characters)"


RUN_REGO = ComplianceTool(
    "RunOPARego",
    "Evaluate a policy in Rego on collected data: what result is, as it will be read, and what violations"
    " holds.",
    RegoParams,
    run_rego,
    SCRIPTS | HOSTS,
)
TRY = ComplianceTool(
    "TryPolicy",
    "Try a policy on what you write yourself, without deploying it: objects that comply, that do not, and"
    " that look like the other. Nothing in the cluster is touched.",
    TryParams,
    try_policy,
)
EXPLAIN = ComplianceTool(
    "ExplainVerdict",
    "Say why a policy judges an object of the cluster, or collected data, as it does: what each rule says,"
    " where and why; for Rego the value of each rule, and which are undefined.",
    ExplainParams,
    explain,
    KYVERNO | SCRIPTS | HOSTS,
)
