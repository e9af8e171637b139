"""What a policy file consists of."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from firedrill.core.episode import Record

LONGEST = 200
"""Rules of a policy."""
Text = Annotated[str, Field(max_length=500)]
Name = Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9]{0,62}[a-z0-9])?$")]
Patterns = Annotated[tuple[Annotated[str, Field(min_length=0, max_length=300)], ...], Field(max_length=100)]
Effect = Literal["allow", "ask", "deny"]
VERBS = (
    "read", "write", "get", "list", "watch", "create", "update", "patch", "delete", "deletecollection", "*",
)  # fmt: skip
APIS = ("kubernetes", "prometheus", "alertmanager", "loki", "jaeger")


class Range(Record):
    """A range for a number."""

    above: int | None = None
    below: int | None = None


class Match(Record):
    """What a rule is about: everything that is said has to hold; what is not said holds for all requests.

    Patterns are those of file names, and count upper and lower case.
    """

    apis: Patterns = ()
    """`kubernetes`, `alertmanager`, …"""
    users: Patterns = ()
    verbs: Patterns = ()
    """As in RBAC, and `read` and `write`."""
    resources: Patterns = ()
    """As in `pods`, `deployments.apps` or `*.rbac.authorization.k8s.io`; without a dot, of any group."""
    kinds: Patterns = ()
    groups: Patterns = ()
    """`core` for the group without a name."""
    namespaces: Patterns = ()
    names: Patterns = ()
    subresources: Patterns = ()
    """As in `exec`; an empty text for the object itself."""
    effects: Patterns = ()
    """One of these; see `firedrill.tools.authority.vocabulary`."""
    without: Patterns = ()
    """None of these effects."""
    only: Patterns = ()
    """Nothing changes but these fields, as JSON pointers: `/metadata/annotations/*`."""
    programs: Patterns = ()
    """Of an exec: its first word."""
    count: Range | None = None
    age: Range | None = None
    """Minutes since the objects were made; of what is made now, 0."""
    dry_run: bool | None = None


class Rule(Record):
    """What is to be done about some requests; the first rule that fits decides."""

    name: Name
    effect: Effect
    match: Match = Match()
    reason: Text = ""
    """For whoever is denied."""
    budget: Annotated[int, Field(ge=1)] | None = None
    """How many objects it lets through in an episode; then the next rule that fits decides."""


class ApproverSpec(Record):
    """Who is asked."""

    kind: Literal["lead", "rules", "webhook", "person"] = "lead"
    name: Text = ""
    minutes: Annotated[float, Field(ge=0, le=600)] = 0.0
    """Virtual time until the answer."""
    rules: Annotated[tuple[Rule, ...], Field(max_length=LONGEST)] = ()
    """Of `lead` and `rules`: the first one that fits answers. Else a lead says yes, and rules say no."""
    url: Text = ""
    """Of a webhook."""
    timeout: Annotated[float, Field(gt=0, le=86_400)] = 30.0
    """Seconds of the wall clock that a webhook or a person has; then the answer is no."""


class Unmatched(Record):
    """What happens to requests that no rule fits."""

    read: Effect = "allow"
    write: Effect = "deny"


class Metadata(Record):
    """What a policy is called."""

    name: Name
    title: Text = ""


class Policy(Record):
    """``apiVersion: firedrill/v1``, ``kind: Authority``."""

    apiVersion: Literal["firedrill/v1"] = "firedrill/v1"
    kind: Literal["Authority"] = "Authority"
    metadata: Metadata
    extends: str = ""
    """A preset, whose rules stand behind those of this file."""
    rules: Annotated[tuple[Rule, ...], Field(max_length=LONGEST)] = ()
    unmatched: Unmatched = Unmatched()
    approver: ApproverSpec | None = None
