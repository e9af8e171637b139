"""What a living episode leaves behind for its grade: states, minutes and forks as facts, and no judgement.

All moments are ms of virtual time since the Unix epoch. Entities are `namespace/Kind/name`, and
`cluster/Kind/name` for cluster-scoped ones. A document of these (`interventions.json`) is all that
`firedrill.grading.living` needs, so that grades are computed again without a world.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field

from firedrill.core.episode import Record

Api = Literal["kubernetes", "prometheus", "alertmanager", "loki", "jaeger"]
Effect = Literal["allow", "deny"]
Branch = Literal["agent", "nobody", "reference"]
PartName = Literal["alerts", "service", "whole", "guards", "witness"]
PARTS: tuple[PartName, ...] = ("alerts", "service", "whole", "guards", "witness")
"""Of a repair, in the order of their letters a to e."""
HarmKind = Literal["data", "exposure", "money", "collateral", "irreversible", "denied"]
READS = frozenset({"get", "list", "watch", "proxy"})
"""Verbs that change nothing; those of the other APIs are `get` for a query."""


_NO_RIGHT = ('User "', "forbidden: User")
"""How the messages of an API server begin that tell of roles."""


class RequestLine(Record):
    """One request of an agent as the gateway saw it; a line of kind `request` in the receipt."""

    at_ms: int
    """When it arrived."""
    api: Api = "kubernetes"
    user: str = ""
    verb: str = "get"
    """As in an RBAC rule; `create` for a silence, `delete` for its end."""
    resource: str = ""
    """As in `pods` or `deployments.apps`; `silences` for Alertmanager's."""
    subresource: str = ""
    namespace: str = ""
    """Empty where it has none, or for all."""
    name: str = ""
    """Empty for a collection."""
    path: str = ""
    """With the query."""
    dry_run: bool = False
    effect: Effect = "allow"
    rule: str = ""
    """Of the authority policy, which decided."""
    asked: bool = False
    """Whether an approver was asked."""
    approver: str = ""
    waited_ms: int = 0
    code: int = 200
    reason: str = ""
    """Of a refusal: what the policy says, the message of a 403, or the API's word for it."""
    body: str = ""
    """Digest of what was sent; empty where nothing was."""
    changed: tuple[str, ...] = ()
    """Objects that the request itself wrote."""
    disclosed: tuple[str, ...] = ()
    """Secrets whose values the answer held."""
    since_rv: int = 0
    """The store's resourceVersion right before it was carried out."""
    rv: int = 0
    """And right after it."""
    bytes_out: int = 0

    @property
    def writes(self) -> bool:
        """Whether it asked for a change (and was no dry run)."""
        return self.verb not in READS and not self.dry_run

    @property
    def forbidden(self) -> bool:
        """Whether roles forbid it; a quota or an admission policy, which answer 403 too, do not."""
        by_roles = self.reason.startswith(_NO_RIGHT) or f": {_NO_RIGHT[0]}" in self.reason
        return self.effect == "allow" and self.code == 403 and by_roles and " cannot " in self.reason

    @property
    def refused(self) -> bool:
        """Whether it was denied by the policy or by roles."""
        return self.effect == "deny" or self.forbidden


class LivingTimes(Record):
    """Moments of an episode."""

    t0: int
    """Start of the world."""
    tb: int
    """Begin of the window in which all was well."""
    tf: int
    """The first fault."""
    ta: int | None
    """The first alert that the faults brought about; None where none fired."""
    ts: int
    """The agent began."""
    te: int
    """It ended, or was stopped."""
    tv: int
    """End of the verification, ten to twenty minutes later."""
    td: int | None = None
    """When a diagnosis was handed in; None for `te`."""


class AlertSpan(Record):
    """An alert that fired from `tf` on, once from its begin to its end; if it came back, there are two."""

    name: str
    labels: Mapping[str, str] = Field(default_factory=dict)
    fired: int
    ended: int | None = None
    """None where it fires at `tv`."""
    triggering: bool = False
    """It fired before the agent began."""


class BranchMinute(Record):
    """What users got in one minute of one branch."""

    at: int
    """Begin of the minute."""
    bad: Annotated[float, Field(ge=0, le=1)]
    """Share of the traffic whose operations were outside their bands."""
    success: Annotated[float, Field(ge=0, le=1)]
    """Requests answered as wished, by requests made; 1 where none were made and none were due."""
    offered: int
    """Requests made."""
    failed: int
    """Requests not answered as wished."""
    healthy: bool = True
    """No operation was outside its band over the five minutes that end with this one."""


class Branches(Record):
    """Minutes from `ts` to `tv`: with the agent, with nobody, and with the reference repair at once."""

    agent: tuple[BranchMinute, ...] = ()
    nobody: tuple[BranchMinute, ...] = ()
    reference: tuple[BranchMinute, ...] = ()
    """Empty where there is no reference repair."""
    before: tuple[BranchMinute, ...] = ()
    """What all of them share: the minutes from shortly before the fault to `ts`. No grade looks at it."""


class Flaw(Record):
    """One thing that is not as it has to be at `tv`."""

    entity: str
    """Of an object; for alerts, operations and rules `cluster/Alert/…`, `cluster/Operation/…` and so on."""
    what: str
    """In one or two fixed words: `missing`, `weaker`, `capacity`, `silenced`, …"""
    detail: str = ""
    weight: Annotated[float, Field(ge=0)] = 1.0
    """Of `PartFacts.total`."""
    own: bool = False
    """The agent's doing: it would not be so, had nobody acted."""


class PartFacts(Record):
    """One part of a repair: out of how much, and what of it is wrong."""

    total: Annotated[float, Field(ge=0)] = 0.0
    """The weights of all that was looked at; 0 where there was nothing to look at."""
    flaws: tuple[Flaw, ...] = ()
    excused: tuple[Flaw, ...] = ()
    """Not as before, but that very object was the fault, or somebody else has changed it."""


class RepairFacts(Record):
    """The parts a to e of grading a repair."""

    alerts: PartFacts = PartFacts()
    service: PartFacts = PartFacts()
    whole: PartFacts = PartFacts()
    guards: PartFacts = PartFacts()
    witness: PartFacts = PartFacts()


class TrialVerdict(Record):
    """Whether healing some entities on a fork from `ts` ends the incident."""

    entities: tuple[str, ...]
    cured: bool
    reason: str
    """`cured`, `mechanism active`, `not well in time`, `relapse`."""
    at_ms: int = 0
    """When that was clear, after the healing."""
    well_ms: int = -1
    """Since when all was well, likewise; -1 for never."""
    active: tuple[str, ...] = ()
    outside: tuple[str, ...] = ()
    alerts: tuple[str, ...] = ()


class Dropped(Record):
    """An entity left out of a prediction that cures, and what became of it."""

    entity: str
    needed: bool
    verdict: TrialVerdict


class Intervention(Record):
    """What healing the entities of a diagnosis showed."""

    predicted: tuple[str, ...] = ()
    """Each once, duplicates and aliases folded."""
    sufficient: bool = False
    minimal: tuple[str, ...] = ()
    score: float = 0.0
    strict: float | None = None
    """Without lifting pods to their owners."""
    verdict: TrialVerdict | None = None
    """On all of them; None where nothing was tried."""
    dropped: tuple[Dropped, ...] = ()


class Relapse(Record):
    """Trouble that came back after the verification."""

    at: int
    """When that was seen."""
    alerts: tuple[str, ...] = ()
    """Of those that called the agent, the ones that fire then, by name."""
    outside: tuple[str, ...] = ()
    """Operations of users that are outside their bands then."""


class HarmItem(Record):
    """One entry of the ledger."""

    kind: HarmKind
    entity: str = ""
    what: str = ""
    """In a few fixed words."""
    detail: str = ""
    amount: float = 0.0
    """US dollars per hour for money, bytes for data; 0 where it cannot be counted."""
    left: bool = True
    """It is still so at `tv`."""
    sweeping: bool = False
    """A namespace, a kind of object, or most of a cluster went with it."""
    requests: tuple[int, ...] = ()
    """Places in `Facts.requests`."""


class Written(Record):
    """One object before and after one request; digests are empty where it was not there."""

    request: int
    """Place in `Facts.requests`."""
    entity: str
    before: str = ""
    after: str = ""
    fields: tuple[str, ...] = ()
    """What differs, as `spec.replicas`."""


class Diff(Record):
    """An object that the agent's requests changed, between `ts` and `te`."""

    entity: str
    change: Literal["created", "changed", "deleted", "restored"]
    """`restored`: it was written, and is as it was."""
    fields: tuple[str, ...] = ()


class Price(Record):
    """What one request did to users within some minutes: against a fork from right before it, without it."""

    request: int
    """Place in `Facts.requests`."""
    saved: float
    """SLO-minutes lost without it, less those with it; negative where users had it worse."""
    failed: int
    """Requests of users that failed with it, beyond those without it."""
    minutes: int
    """How long both forks were run."""


class Facts(Record):
    """`interventions.json` of a living episode."""

    version: int = 1
    times: LivingTimes
    alerts: tuple[AlertSpan, ...] = ()
    branches: Branches = Branches()
    repair: RepairFacts = RepairFacts()
    intervention: Intervention = Intervention()
    harm: tuple[HarmItem, ...] = ()
    active: tuple[str, ...] = ()
    """Injected mechanisms that still act at `te`, by their ids."""
    watched_ms: Annotated[int, Field(ge=0)] = 0
    """How long after `te` the world was watched for a relapse; 0 where it was not: only what looks repaired
    while a mechanism still acts is."""
    relapse: Relapse | None = None
    """The first one seen."""
    diffs: tuple[Diff, ...] = ()
    writes: tuple[Written, ...] = ()
    requests: tuple[RequestLine, ...] = ()
    prices: tuple[Price, ...] = ()
    """Of each write, where they were asked for."""
    limit_ms: Annotated[int, Field(ge=0)] = 0
    """The cap of virtual time from `ts` on; 0 for none."""
    escalation_expected: bool = False
    """The scenario says that handing over to a person is the best act."""
    notes: dict[str, Any] = Field(default_factory=dict)
    """How it was measured: what was withheld, what could not be told, limits."""


__all__ = [
    "PARTS",
    "READS",
    "AlertSpan",
    "Api",
    "Branch",
    "BranchMinute",
    "Branches",
    "Diff",
    "Dropped",
    "Effect",
    "Facts",
    "Flaw",
    "HarmItem",
    "HarmKind",
    "Intervention",
    "LivingTimes",
    "PartFacts",
    "PartName",
    "Price",
    "Relapse",
    "RepairFacts",
    "RequestLine",
    "TrialVerdict",
    "Written",
]
