"""What the members of ``crew-ciso`` are told: versioned files, digested into the configuration."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from importlib import resources

from firedrill.agents.react.prompts import Prompts, load_assessing
from firedrill.core.digest import digest_of

VERSION = "crew-ciso-v1"
_SHARED = ("continue", "cut", "turns_left")
_TEAMS: Mapping[str, str] = {
    "kyverno": "writes policies of Kyverno for a cluster, and deploys them",
    "kyverno-update": "changes policies of Kyverno that are deployed",
    "kubectl-opa": "collects evidence of a cluster with a script of kubectl, and decides in Rego",
    "rhel9-ansible-opa": "collects evidence of a host with an Ansible playbook, and decides in Rego",
}
_ENDS = {"team": "`HandOver`", "reporter": "`Report` or `SendBack`"}


def teams() -> Mapping[str, str]:
    """The teams, by the class of assessments that each takes, with what it does."""
    return _TEAMS


def ending(role: str, *, last: bool) -> str:
    """The tools that end a role's work, in words; nothing goes back when it is the last time."""
    return "`Report`" if last and role == "reporter" else _ENDS[role]


@lru_cache(maxsize=4)
def load(role: str) -> Prompts:
    """The texts of one role; those on notes and summaries are those of any model that assesses."""
    plain = load_assessing()
    own = {name: _read("v1", name) for name in _SHARED}
    own["system"] = _read("ciso-v1", f"{role}-system")
    if role != "selector":
        own |= {"task": _read("ciso-v1", f"{role}-task")}
        own |= {name: _read("ciso-v1", name) for name in ("choice", "last", "remark", "nothing-made")}
    texts = {**plain.texts, **own}
    return replace(
        plain, version=f"{VERSION}/{role}", texts=texts, tools={}, digest=digest_of([texts, _TEAMS])
    )


def _read(place: str, name: str) -> str:
    folder = resources.files("firedrill.agents.crew").joinpath("prompts", place)
    return folder.joinpath(f"{name}.md").read_text("utf-8").strip()
