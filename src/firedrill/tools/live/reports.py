"""What somebody on call writes down: the diagnosis, the plan, what was done, or that he hands over."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from firedrill.core.entity import CLUSTER, EntityId, canonical_kind, parse_entity
from firedrill.tools.authority.telling import ASKED
from firedrill.tools.base import Answer, Paged, loaded
from firedrill.tools.errors import Mistake
from firedrill.tools.live.alerts import firing
from firedrill.tools.live.base import LiveTool
from firedrill.tools.live.desk import Ending
from firedrill.tools.live.kubectl_check import check
from firedrill.tools.live.kubectl_line import Command, parse, rules
from firedrill.tools.resolve import near, or_else

if TYPE_CHECKING:
    from firedrill.tools.live.desk import Desk

MOST_CAUSES = 8
_TEXT = 4_000


class Cause(BaseModel):
    """One cause of the incident."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(
        max_length=600, description="Id of the object at fault: namespace/Kind/name, or cluster/Kind/name."
    )
    reasoning: str = Field("", max_length=_TEXT, description="Why it is a cause.")
    evidence: str = Field("", max_length=_TEXT, description="What shows it.")
    gone: bool = Field(False, description="The object does not exist any more, or never did, and should.")


class Propagation(BaseModel):
    """One step of how the trouble spread."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    source: str = Field(max_length=600, description="Id of what passes the trouble on.")
    target: str = Field(max_length=600, description="Id of what suffers from it.")
    condition: str = Field("", max_length=_TEXT)
    effect: str = Field("", max_length=_TEXT)


class Step(BaseModel):
    """One step of a plan."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    command: str = Field(max_length=20_000, description="The command of kubectl that carries it out.")
    manifest: str | None = Field(None, max_length=200_000, description="Objects, for a command with -f -.")
    why: str = Field(max_length=_TEXT, description="What it mends.")
    undo: str = Field("", max_length=_TEXT, description="How it is taken back.")
    verify: str = Field("", max_length=_TEXT, description="What shows that it worked.")


class Change(BaseModel):
    """Something that was changed."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    what: str = Field(max_length=_TEXT, description="What was changed, with the object's id.")
    why: str = Field("", max_length=_TEXT)


class DiagnosisParams(Paged):
    """Parameters of ``diagnosis``."""

    entities: Annotated[tuple[Cause, ...], BeforeValidator(loaded)] = Field(
        min_length=1,
        max_length=MOST_CAUSES,
        description="The causes and nothing else: the smallest set of independent causes. Symptoms stay out.",
    )
    propagations: Annotated[tuple[Propagation, ...], BeforeValidator(loaded)] = Field(
        (), max_length=100, description="How the trouble spread, from cause to effect."
    )
    reasoning: str = Field("", max_length=_TEXT, description="How the evidence leads to the causes.")


class PlanParams(Paged):
    """Parameters of ``mitigation_plan``."""

    steps: Annotated[tuple[Step, ...], BeforeValidator(loaded)] = Field(min_length=1, max_length=20)


class ReportParams(Paged):
    """Parameters of ``mitigation_report``."""

    changes: Annotated[tuple[Change, ...], BeforeValidator(loaded)] = Field(
        (), max_length=100, description="What was changed; empty where nothing was."
    )
    summary: str = Field(max_length=_TEXT, description="How things stand.")
    anyway: bool = Field(False, description="Report although alerts still fire.")


class EscalateParams(Paged):
    """Parameters of ``escalate``."""

    reason: str = Field(max_length=_TEXT, min_length=10, description="Why a person has to take over.")
    changes: Annotated[tuple[Change, ...], BeforeValidator(loaded)] = Field(
        (), max_length=100, description="What was changed so far."
    )


# --- diagnosis


async def diagnose(desk: Desk, params: DiagnosisParams) -> Answer:
    """Check a diagnosis and keep it; a later one takes its place.

    Raises:
        Mistake: an id is none, or names what there is not; says what there is.
    """
    problems: list[str] = []
    causes = []
    for cause in params.entities:
        entity, problem = await _located(desk, cause.name, gone=cause.gone)
        if problem:
            problems.append(problem)
        causes.append({"name": str(entity), "reasoning": cause.reasoning, "evidence": cause.evidence})
    names = [cause["name"] for cause in causes]
    if len(set(names)) < len(names):
        problems.append("an entity is named twice: each cause stands once")
    steps = []
    for step in params.propagations:
        ends = {}
        for side, text in (("source", step.source), ("target", step.target)):
            end, problem = _entity(text)
            if problem:
                problems.append(f"propagations: {problem}")
            ends[side] = str(end)
        steps.append({**ends, "condition": step.condition, "effect": step.effect})
    if problems:
        raise Mistake("nothing was recorded: " + "; ".join(problems))
    desk.diagnosis = {"contributing_factors": causes, "propagations": steps}
    if params.reasoning:
        desk.diagnosis["reasoning"] = params.reasoning
    notes = ["the diagnosis is recorded; a later call replaces it"]
    if len(names) > 3:
        notes.append("each entity beyond the causes costs precision: strike out what follows from another")
    return Answer(("cause",), [(name,) for name in names], tuple(notes))


def _entity(text: str) -> tuple[EntityId | None, str]:
    """The entity that an id means, or what is wrong with it."""
    found = parse_entity(text)
    form = "write namespace/Kind/name, or cluster/Kind/name for objects outside of namespaces"
    if found.entity is None:
        return None, f"{text[:120]!r} is no id: {form}"
    if "namespace_missing" in found.flags and found.kind_known:
        return None, f"{text[:120]!r} has no namespace: {form}"
    return found.entity, ""


async def _located(desk: Desk, text: str, *, gone: bool) -> tuple[EntityId | None, str]:
    """The entity that an id means, looked up in the cluster."""
    entity, problem = _entity(text)
    if entity is None:
        return None, problem
    resource = (await desk.resources()).of_kind(entity.kind)
    if resource is None:
        known = sorted({item.kind for item in (await desk.resources()).all})
        close = or_else(near(canonical_kind(entity.kind), known, 4)) or "."
        return entity, f"{text[:120]!r}: this cluster has no kind {entity.kind!r}{close}"
    if resource.namespaced and entity.namespace is None:
        return entity, f"{text[:120]!r}: {resource.kind}s are in a namespace"
    entity = EntityId(entity.namespace if resource.namespaced else None, resource.kind, entity.name)
    if not await desk.exists(resource.path(entity.namespace, entity.name)):
        return entity, "" if gone else await _absent(desk, entity, resource.path(entity.namespace))
    return entity, f"{entity} exists: leave out `gone`" if gone else ""


async def _absent(desk: Desk, entity: EntityId, path: str) -> str:
    names = await desk.names(path)
    close = or_else(near(entity.name, names, 3)) or "."
    place = entity.namespace or CLUSTER
    shown = ", ".join(sorted(names)[:20]) or "none"
    return (
        f"there is no {entity}{close} {entity.kind}s in {place}: {shown}. If its absence is the cause, "
        'add "gone": true'
    )


# --- plan


async def plan(desk: Desk, params: PlanParams) -> Answer:
    """Try each step of a plan without carrying it out, and keep the plan if all can be done.

    Raises:
        Mistake: a step cannot be done.
    """
    from firedrill.tools.live.kubectl import dry_run

    known = await desk.resources()
    rows: list[tuple[object, ...]] = []
    problems: list[str] = []
    for number, step in enumerate(params.steps, 1):
        try:
            command = parse(step.command)
            check(command, known)
            tried = await dry_run(desk, command, step.manifest) if _triable(command) else ""
        except Mistake as error:
            problems.append(f"step {number}: {error}")
            continue
        rows.append(
            (number, step.command, "writes" if command.writes else "reads", tried or "looked at alone")
        )
    if problems:
        raise Mistake("nothing was recorded: " + "\n".join(problems))
    desk.plan = [step.model_dump(exclude_none=True) for step in params.steps]
    notes = ["the plan is recorded; a dry run stores nothing"]
    waits = [str(row[0]) for row in rows if ASKED in str(row[3])]
    if waits:
        notes.append(f"an approver is asked before step {', '.join(waits)}, which takes time; he may refuse")
    if not any(step.undo for step in params.steps):
        notes.append("no step says how it is taken back")
    if not any(step.verify for step in params.steps):
        notes.append("no step says how it is verified")
    return Answer(("step", "command", "kind", "tried"), rows, tuple(notes), width=400)


def _triable(command: Command) -> bool:
    """Whether kubectl can try it out at the server."""
    return command.writes and command.verb in rules()["triable"]


# --- ends


async def report(desk: Desk, params: ReportParams) -> Answer:
    """End the episode with what was found and done.

    Raises:
        Mistake: there is no diagnosis, or alerts still fire and that was not said.
    """
    if desk.diagnosis is None:
        raise Mistake("there is no diagnosis yet: call `diagnosis` with the causes first, then report")
    left = await firing(desk)
    if left and not params.anyway and desk.warn_once("alerts"):
        names = sorted({str(item["labels"].get("alertname")) for item in left})
        raise Mistake(
            f"nothing was reported: {len(left)} of the alerts that you were called for still fire "
            f"({', '.join(names)}). Wait a little and look again, mend what is left, escalate, or report "
            "with anyway=true"
        )
    document = {**desk.diagnosis, "changes": _changes(params.changes), "summary": params.summary}
    desk.ending = Ending(document)
    return Answer(("reported",), [("the incident is reported; your work ends here",)])


async def escalate(desk: Desk, params: EscalateParams) -> Answer:
    """End the episode by handing over to a person."""
    document = {
        **(desk.diagnosis or {"contributing_factors": []}),
        "changes": _changes(params.changes),
        "escalate": True,
        "escalate_reason": params.reason,
    }
    desk.ending = Ending(document, escalated=True, reason=params.reason)
    return Answer(("escalated",), [("a person takes over; your work ends here",)])


def _changes(changes: Sequence[Change]) -> list[Mapping[str, Any]]:
    return [change.model_dump() for change in changes]


DIAGNOSIS = LiveTool(
    "diagnosis",
    "Report what caused the incident: the objects at fault, and how the trouble spread. Ids are checked"
    " against the cluster. May be called again.",
    DiagnosisParams,
    diagnose,
    "report",
)
PLAN = LiveTool(
    "mitigation_plan",
    "Write down the steps by which the incident is to be ended. Each is checked, and tried out without being"
    " stored where that is possible, so you learn what your authority forbids. Nothing is changed.",
    PlanParams,
    plan,
    "report",
)
REPORT = LiveTool(
    "mitigation_report",
    "Report what was done, and end your work. Needs a diagnosis. Report when the alerts are gone and stay"
    " so.",
    ReportParams,
    report,
    "report",
)
ESCALATE = LiveTool(
    "escalate",
    "Hand over to a person, and end your work: where nothing that you may do mends the incident, or going on"
    " would put more at risk than it saves.",
    EscalateParams,
    escalate,
    "report",
)
