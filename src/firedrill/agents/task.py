"""The task as a program gets it: a text for readers, a JSON document for programs.

Both say the same, name no scenario and hold an invented example. There is one task for recorded incidents and
one for agents on call, whose first part also stands alone: as the page in their home folder.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from functools import cache
from importlib import resources
from string import Template
from typing import Any

from firedrill.agents.base import Assessment, OnCall, Task
from firedrill.core.digest import digest_of
from firedrill.core.episode import Limits

VERSION = "task-v1"
ASSESSMENT_VERSION = "assessment-task-v1"
"""Of assessments."""
LIVE_VERSION = "live-task-v1"
"""Of agents on call."""
_SITUATION, _ANSWER = "live-situation-v1", "live-answer-v1"
_BRIEF = "assessment-brief-v1"
_HOST = "assessment-host-v1"
_CONTRACTS = (
    "contract-kyverno-v1",
    "contract-kubectl-opa-v1",
    "contract-kyverno-update-v1",
    "contract-rhel9-ansible-opa-v1",
)

EXAMPLE: dict[str, Any] = {
    "contributing_factors": [
        {
            "name": "harbour/Secret/crane-login",
            "reasoning": "It was rotated at 07:40; the scheduler still uses the old password.",
            "evidence": "Objects: data.password changed at 07:40. Logs: access denied from 07:41.",
        }
    ],
    "propagations": [
        {
            "source": "harbour/Secret/crane-login",
            "target": "harbour/Deployment/crane-scheduler",
            "condition": "the password in the secret no longer fits",
            "effect": "every request of the scheduler is refused",
        }
    ],
}

ANSWER_SCHEMA: dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "required": ["contributing_factors"],
    "properties": {
        "contributing_factors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["name"],
                "properties": {
                    "name": {"type": "string", "pattern": "^[^/]+/[A-Za-z]+/.+$"},
                    "reasoning": {"type": "string"},
                    "evidence": {"type": "string"},
                },
            },
        },
        "propagations": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["source", "target"],
                "properties": {
                    "source": {"type": "string"},
                    "target": {"type": "string"},
                    "condition": {"type": "string"},
                    "effect": {"type": "string"},
                },
            },
        },
        "escalate": {"type": "boolean"},
        "escalate_reason": {"type": "string"},
    },
}

LIVE_EXAMPLE: dict[str, Any] = {
    **EXAMPLE,
    "changes": [
        {
            "what": "put the password of the crane's database into harbour/Secret/crane-login",
            "why": "the scheduler was refused with the one that stood there",
        }
    ],
}

LIVE_SCHEMA: dict[str, Any] = {
    **ANSWER_SCHEMA,
    "properties": {
        **ANSWER_SCHEMA["properties"],
        "changes": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["what"],
                "properties": {"what": {"type": "string"}, "why": {"type": "string"}},
            },
        },
    },
}


def task_text(task: Task, limits: Limits) -> str:
    """The task in words, as Markdown."""
    if task.assessment is not None and task.living is None:
        return Template(_read(_HOST)).substitute(
            requirement=task.assessment.requirement.strip(),
            contract=_contract(task.assessment),
            folder=task.assessment.folder,
            limits=_limits_text(limits, "minutes"),
        )
    if task.assessment is not None and task.living is not None:
        return Template(_read(ASSESSMENT_VERSION)).substitute(
            brief=brief(task.assessment, task.living).strip(),
            limits=_limits_text(limits, "minutes of the cluster's clock"),
        )
    if task.living is not None:
        return Template(_read(LIVE_VERSION)).substitute(
            situation=situation(task.living).strip(),
            answer_section=answer_section(task).strip(),
            limits=_limits_text(limits, "minutes of the incident's clock"),
        )
    files = "\n".join(f"- `{_plain(name)}`" for name in task.files) or "- nothing"
    return Template(_read(VERSION)).substitute(
        home=task.home,
        answer=task.answer,
        files=files,
        example=json.dumps(EXAMPLE, indent=2),
        limits=_limits_text(limits, "minutes"),
    )


def situation(living: OnCall) -> str:
    """What an agent on call finds: what fires, where everything is, what it may do, how its time goes."""
    tokens = f", and each token that a model writes {living.token_s:g} s" if living.token_s else ""
    return Template(_read(_SITUATION)).substitute(
        {name: _plain(url) for name, url in living.addresses.items()},
        alerts=alerts(living),
        namespace=_plain(living.namespace),
        kubeconfig=living.kubeconfig,
        authority=_plain(living.authority),
        title=living.authority_title or "a policy of this cluster",
        read=f"{living.read_s:g}",
        write=f"{living.write_s:g}",
        tokens=tokens,
        minutes=f"{living.minutes:g}",
    )


def assessment_text(task: Task, limits: Limits) -> str:
    """What an assessor is told, whoever it is: of a cluster without how a program ends."""
    if task.assessment is not None and task.living is not None:
        return brief(task.assessment, task.living).strip()
    return task_text(task, limits).strip()


def brief(assessment: Assessment, living: OnCall) -> str:
    """What an assessor finds: the requirement, what is to be handed in, what it may do, how its time goes."""
    tokens = f", and each token that a model writes {living.token_s:g} s" if living.token_s else ""
    return Template(_read(_BRIEF)).substitute(
        requirement=assessment.requirement.strip(),
        contract=_contract(assessment),
        folder=assessment.folder,
        kubernetes=_plain(living.addresses["kubernetes"]),
        kubeconfig=living.kubeconfig,
        authority=_plain(living.authority),
        title=living.authority_title or "a policy of this cluster",
        read=f"{living.read_s:g}",
        write=f"{living.write_s:g}",
        tokens=tokens,
        minutes=f"{living.minutes:g}",
    )


def _contract(assessment: Assessment) -> str:
    return Template(_read(f"contract-{assessment.kind}-v1")).substitute(folder=assessment.folder).strip()


def answer_section(task: Task) -> str:
    """What an agent on call hands in, and what counts."""
    example = json.dumps(LIVE_EXAMPLE, indent=2)
    return Template(_read(_ANSWER)).substitute(answer=task.answer, example=example)


def alerts(living: OnCall) -> str:
    """What fires, as whoever is called reads it."""
    return "\n\n".join(map(_alert, living.alerts)) or "Users complain; no alert fires."


def _alert(alert: Mapping[str, Any]) -> str:
    labels = ", ".join(f"{key}={item}" for key, item in alert["labels"].items() if key != "alertname")
    about = " ".join(str(alert["description"]).split())
    lines = (f"**{alert['name']}** fires since {alert['fired']}: {about}", f"({labels})")
    return "\n".join(map(_plain, lines))


def task_document(task: Task, limits: Limits, *, models: tuple[str, ...] = ()) -> dict[str, Any]:
    """The same for programs. ``models`` are the names that may be asked for at the model endpoint."""
    living = task.living
    return {
        "version": VERSION if living is None else LIVE_VERSION,
        "domain": task.domain,
        "home": task.home,
        "answer": task.answer,
        "files": list(task.files),
        "limits": {"turns": limits.turns, "minutes": limits.minutes, "cost": limits.cost},
        "entity_id": "namespace/Kind/name, or cluster/Kind/name outside of all namespaces",
        "answer_schema": ANSWER_SCHEMA if living is None else LIVE_SCHEMA,
        "answer_example": EXAMPLE if living is None else LIVE_EXAMPLE,
        "models": list(models),
        **({} if living is None else {"on_call": _on_call(living)}),
        **({} if task.assessment is None else {"assessment": asdict(task.assessment)}),
    }


def _on_call(living: OnCall) -> dict[str, Any]:
    return {
        "alerts": [dict(alert) for alert in living.alerts],
        "namespace": living.namespace,
        "kubeconfig": living.kubeconfig,
        "addresses": dict(living.addresses),
        "authority": {"name": living.authority, "title": living.authority_title},
        "minutes": living.minutes,
        "seconds": {"read": living.read_s, "write": living.write_s, "token": living.token_s},
    }


def task_digest() -> str:
    """Digest of everything that tells an agent its task, beside the names of the files."""
    recorded = [VERSION, _read(VERSION), EXAMPLE, ANSWER_SCHEMA]
    live = [*((name, _read(name)) for name in (LIVE_VERSION, _SITUATION, _ANSWER)), LIVE_EXAMPLE, LIVE_SCHEMA]
    assessed = [(name, _read(name)) for name in (ASSESSMENT_VERSION, _BRIEF, _HOST, *_CONTRACTS)]
    return digest_of([*recorded, live, assessed])


@cache
def _read(name: str) -> str:
    return resources.files("firedrill.agents").joinpath(f"data/{name}.md").read_text("utf-8")


def _limits_text(limits: Limits, minutes: str) -> str:
    bounds = [f"{limits.turns} model calls"]
    if limits.minutes is not None:
        bounds.append(f"{limits.minutes:g} {minutes}")
    if limits.cost is not None:
        bounds.append(f"{limits.cost:g} US dollars")
    return ", ".join(bounds)


def _plain(name: str) -> str:
    """A name or a text on one line: they come from the incident."""
    return "".join(letter if letter.isprintable() and letter != "`" else "?" for letter in name)
