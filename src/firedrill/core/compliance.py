"""Compliance scenarios: what they judge, and what running an agent's artefacts showed.

Entities are `namespace/Kind/name`, and `cluster/Kind/name` for cluster-scoped objects; of a host they are
paths, or `unit:name`, `sysctl:key`, `module:name`, `mount:target`, `package:name`, `account:name`.
Of :class:`ComplianceFacts` (`interventions.json`) grades are computed again without world or engine.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field

from firedrill.core.episode import Record
from firedrill.core.living import HarmItem, RequestLine

ScenarioClass = Literal["kyverno", "kubectl-opa", "rhel9-ansible-opa", "kyverno-update"]
CLASSES: tuple[ScenarioClass, ...] = ("kyverno", "kubectl-opa", "rhel9-ansible-opa", "kyverno-update")
CLUSTER_CLASSES: frozenset[ScenarioClass] = frozenset({"kyverno", "kubectl-opa", "kyverno-update"})
Verdict = Literal["pass", "fail", "block", "skip"]
"""Of one object. `block`: its creation is to be denied; `skip`: a rule is to leave it out by exception."""
VISIBLE, TWIN = "V0", "C0"
"""The variant that the agent sees, and the same without its fault. Neither counts in `balanced`."""


class Control(Record):
    """The label of a requirement; the task is its words, never this."""

    framework: str
    version: str = ""
    id: str = ""
    slug: str = ""


class ObjectVerdict(Record):
    """One object of one variant."""

    object: str
    expected: Verdict
    got: str
    """A verdict, or `error` where a rule could not be decided."""
    detail: str = ""
    """Which rules said so."""

    @property
    def right(self) -> bool:
        """Whether the artefacts said what is true."""
        return self.got == self.expected


class Judged(Record):
    """What the artefacts said about one variant."""

    name: str
    """`V0`, `C0`, or a number; its place in the scenario's file."""
    trap: str = ""
    compliant: bool
    """The truth."""
    got: str
    """`pass` (compliant), `fail`, or why there is no verdict: `error`, `undefined`, `timeout`, `none`."""
    objects: tuple[ObjectVerdict, ...] = ()
    """Where verdicts are by object."""
    violating: tuple[str, ...] = ()
    """The truth: what breaks the requirement."""
    named: tuple[str, ...] | None = None
    """What the artefacts named as breaking it; None where they name nothing."""
    reason: str = ""

    @property
    def hidden(self) -> bool:
        """Whether it counts in `balanced`."""
        return self.name not in (VISIBLE, TWIN)

    @property
    def right(self) -> bool:
        """Whether the variant as a whole, and each object of it, was judged rightly."""
        whole = self.got == ("pass" if self.compliant else "fail")
        return whole and all(item.right for item in self.objects)


class Stage(Record):
    """Whether one thing was as it has to be, and why (not)."""

    ok: bool = False
    reason: str = ""


class ComplianceFacts(Record):
    """`interventions.json` of an episode of compliance."""

    kind: Literal["compliance"] = "compliance"
    version: int = 1
    scenario_class: ScenarioClass
    control: Control
    submitted: tuple[str, ...] = ()
    """Names of the artefacts that were found."""
    collector: Stage = Stage()
    """IEC: the right evidence is looked at."""
    engine: Stage = Stage()
    """IPA: the artefact is one of the right engine."""
    evidence: Stage = Stage()
    """CE: it was collected, and nothing was changed for it."""
    language: str = ""
    """Of Rego: `v1` or `v0`; of Kyverno the kinds of policy."""
    judged: tuple[Judged, ...] = ()
    """V0, C0, then the hidden variants in the order of the scenario's file."""
    again: Judged | None = None
    """V0 a second time."""
    original: bool | None = None
    """What ITBench's own evaluator would have said; None where it has none."""
    harm: tuple[HarmItem, ...] = ()
    conduct: tuple[str, ...] = ()
    """What an assessor must not do and did, in words."""
    requests: tuple[RequestLine, ...] = ()
    seconds: Annotated[float, Field(ge=0)] = 0.0
    """Virtual time from the start of the agent to its end."""
    notes: Mapping[str, Any] = Field(default_factory=dict)


__all__ = [
    "CLASSES",
    "CLUSTER_CLASSES",
    "TWIN",
    "VISIBLE",
    "ComplianceFacts",
    "Control",
    "Judged",
    "ObjectVerdict",
    "ScenarioClass",
    "Stage",
    "Verdict",
]
