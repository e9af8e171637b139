"""Background scans: every object against every policy, and reports of what came of it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

from firedrill.world.kube import events
from firedrill.world.kube.api import ApiError, Client
from firedrill.world.kube.api.request import service_account
from firedrill.world.kube.controllers.base import Controller, Later, enqueue, register
from firedrill.world.kube.objects import Obj, is_deleting, labels_of, name_of, namespace_of, uid_of
from firedrill.world.policy.kyverno.autogen import blocks_of, kinds_of
from firedrill.world.policy.kyverno.engine import evaluate
from firedrill.world.policy.kyverno.living.reports import MANAGED, Found, news, renewed
from firedrill.world.policy.kyverno.living.state import (
    EXCEPTIONS,
    NAMESPACE,
    POLICIES,
    REPORTS,
    Around,
    Kyverno,
    exceptions,
    filtered,
    installed,
    is_up,
    kinds_for,
    named,
    policies,
    subject_of,
)
from firedrill.world.policy.kyverno.matching import kind_selector
from firedrill.world.policy.kyverno.model import Policy, Row, Subject
from firedrill.world.policy.kyverno.vpol import derived_kinds
from firedrill.world.sim.handlers import handler

if TYPE_CHECKING:
    from firedrill.world.kube.kinds import Kind, Kinds
    from firedrill.world.kube.store import Change
    from firedrill.world.world import World

_HOUR = 3_600_000
_ALL = "all"
_NAME = "kyverno-reports-controller"
_SILENT = frozenset({"events", "leases.coordination.k8s.io", "endpoints", "endpointslices.discovery.k8s.io"})
_AWAY_MS = 30_000


def begin(world: World) -> None:
    """Scan everything every hour from now on."""
    world.schedule(_HOUR, "kyverno.hourly")


@handler("kyverno.hourly")
def _hourly(world: World) -> None:
    if not installed(world):
        return
    enqueue(world, _NAME, _ALL)
    world.schedule(_HOUR, "kyverno.hourly")


def _keys(world: World, change: Change) -> Iterable[str]:
    resource = change.resource
    if resource in _SILENT or resource in REPORTS or not installed(world):
        return ()
    if resource in POLICIES or resource in EXCEPTIONS:
        return (_ALL,) if _changed(change) else ()
    if change.type == "DELETED" or not _changed(change):
        return ()
    if resource == "namespaces" and change.previous is not None:
        return (_ALL,)
    return (f"{resource}|{namespace_of(change.obj)}|{name_of(change.obj)}",)


def _changed(change: Change) -> bool:
    old, new = change.previous, change.obj
    if old is None or change.type != "MODIFIED":
        return True
    return any(old.get(key) != new.get(key) for key in {*old, *new} - {"metadata", "status"}) or any(
        old["metadata"].get(key) != new["metadata"].get(key) for key in ("labels", "annotations")
    )


def _reconcile(world: World, key: str) -> None:
    if not installed(world):
        return
    if not is_up(world, "reports-controller"):
        raise Later(_AWAY_MS)
    scan = Scan(world)
    if key == _ALL:
        scan.everything()
        return
    resource, namespace, name = key.split("|", 2)
    obj = world.cluster.store.get(resource, namespace, name)
    kind = world.cluster.kinds.storage(resource)
    if obj is not None and kind is not None:
        scan.one(kind, obj)


register(
    Controller(
        name=_NAME,
        component=_NAME,
        watches={"*": _keys},
        reconcile=_reconcile,
        resync=lambda world: (_ALL,) if installed(world) else (),
        delay=(1_000, 3_000),
    )
)


_Known = tuple[Policy, Obj, Mapping[str, str], tuple[Row, ...]]
KNOWN: dict[str, dict[str, _Known]] = {}
"""What closed policies said of objects, by uid and policy: good while both are the very same."""
_WRITTEN: dict[str, tuple[Found, Obj]] = {}
"""The rows behind reports, and the reports: nothing is written while both are the very same."""
_MOST_KNOWN = 20_000
_OPEN = re.compile(
    r"apiCall|configMap|globalReference|imageRegistry|time_|random\(|globalContext"
    r"|(?<![\w.])(?:resource|image)\.[A-Z]"
)


def _identical(left: Found, right: Found) -> bool:
    pairs = zip(left, right, strict=False)
    return len(left) == len(right) and all(a[0] is b[0] and a[1] == b[1] for a, b in pairs)


def _same(known: _Known | None, policy: Policy, obj: Obj, labels: Mapping[str, str]) -> bool:
    return known is not None and known[0] is policy and known[1] is obj and known[2] == labels


@lru_cache(maxsize=2048)
def is_closed(policy: Policy) -> bool:
    """Whether what a policy says follows from the object and its namespace alone."""
    return _OPEN.search(repr(policy.document.get("spec"))) is None


class Scan:
    """One scan: the policies as they are now, and which of them concern which kinds."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.policies = policies(world)
        self.exceptions = exceptions(world)
        self.around = Around(world)
        self.client = Client(
            world, service_account(NAMESPACE, _NAME), manager="reports-controller", trusted=True
        )
        self._about: dict[str, list[Policy]] = {}

    def everything(self) -> None:
        """Every object that some policy is about, and the reports of what is no policy's concern any more."""
        store = self.world.cluster.store
        seen: set[str] = set()
        for kind in self.kinds():
            for obj in store.list(kind.resource):
                seen.add(uid_of(obj))
                self.one(kind, obj)
        for resource in REPORTS:
            for report in list(store.list(resource)):
                if name_of(report) not in seen and labels_of(report).items() >= MANAGED.items():
                    self._delete(report)

    def kinds(self) -> list[Kind]:
        """The kinds that some policy is about, as they are stored."""
        out: dict[str, Kind] = {}
        for policy in self.policies:
            for kind in kinds_of_policy(self.world, policy):
                stored = self.world.cluster.kinds.storage(kind.resource)
                if stored is not None and stored.resource not in _SILENT and stored.resource not in REPORTS:
                    out[stored.resource] = stored
        return [out[resource] for resource in sorted(out)]

    def one(self, kind: Kind, obj: Obj) -> None:
        """Judge one object and write what came of it."""
        about = self._concerned(kind)
        rows = self._rows(kind, obj, about) if about else []
        known = self.world.cluster.part(Kyverno).admitted.get(uid_of(obj), ())
        there = {policy.key for policy in self.policies if not policy.background}
        kept = [(row, "admission review") for row in known if row.policy in there]
        self._write(kind, obj, [*((row, "background scan") for row in rows), *kept])

    def _concerned(self, kind: Kind) -> list[Policy]:
        found = self._about.get(kind.resource)
        if found is None:
            found = [
                policy
                for policy in self.policies
                if policy.background
                and any(item.resource == kind.resource for item in kinds_of_policy(self.world, policy))
            ]
            self._about[kind.resource] = found
        return found

    def _rows(self, kind: Kind, obj: Obj, about: Sequence[Policy]) -> list[Row]:
        if is_deleting(obj):
            return []
        space = name_of(obj) if kind.kind == "Namespace" else namespace_of(obj)
        if filtered(self.world, kind.kind, "", space, name_of(obj)):
            return []
        subject = subject_of(self.world, kind, obj)
        if self.exceptions:
            return self._judged(about, subject)
        labels, known = subject.namespace_labels, KNOWN.setdefault(uid_of(obj), {})
        rows: list[Row] = []
        fresh = [policy for policy in about if not _same(known.get(policy.key), policy, obj, labels)]
        new: dict[str, list[Row]] = {policy.key: [] for policy in fresh}
        for row in self._judged(fresh, subject) if fresh else ():
            new[row.policy].append(row)
        for policy in fresh:
            if is_closed(policy):
                known[policy.key] = (policy, obj, labels, tuple(new[policy.key]))
        for policy in about:
            rows += new[policy.key] if policy.key in new else known[policy.key][3]
        if len(KNOWN) > _MOST_KNOWN:
            KNOWN.clear()
        return rows

    def _judged(self, about: Sequence[Policy], subject: Subject) -> list[Row]:
        return evaluate(about, subject, self.around, self.exceptions, now_ms=self.world.now)

    def _write(self, kind: Kind, obj: Obj, rows: Found) -> None:
        resource = REPORTS[0] if kind.namespaced else REPORTS[1]
        old = self.world.cluster.store.get(resource, namespace_of(obj), uid_of(obj))
        if not rows:
            if old is not None:
                self._delete(old)
            return
        last = _WRITTEN.get(uid_of(obj))
        if last is not None and last[1] is old and _identical(last[0], rows):
            return
        report = renewed(kind, obj, rows, old, self.world.now)
        if report is not None:
            try:
                written = self.client.create(report) if old is None else self.client.update(report)
            except ApiError:
                return  # a namespace that is going away takes no reports
            fresh = news(report, old)
            self._tell(kind, obj, [row for row, _ in rows if (row.policy, row.rule) in fresh])
            old = written
        if len(_WRITTEN) > _MOST_KNOWN:
            _WRITTEN.clear()
        if old is not None:
            _WRITTEN[uid_of(obj)] = (rows, old)

    def _delete(self, report: Obj) -> None:
        resource = REPORTS[0] if namespace_of(report) else REPORTS[1]
        try:
            self.client.delete(resource, namespace_of(report), name_of(report))
        except ApiError:
            return  # somebody was faster

    def _tell(self, kind: Kind, obj: Obj, rows: Sequence[Row]) -> None:
        by_key = {policy.key: policy for policy in self.policies}
        shown = obj if obj.get("kind") else {"apiVersion": kind.api_version, "kind": kind.kind, **obj}
        for row in rows:
            policy = by_key.get(row.policy)
            if policy is None:
                continue
            text = f"{named(shown)}: [{row.rule}] fail; {row.message}"[:1024]
            events.record(
                self.world, policy.document, "Warning", "PolicyViolation", text, component="kyverno-scan"
            )
            text = f"policy {row.policy}/{row.rule} fail: {row.message}"[:1024]
            events.record(self.world, shown, "Warning", "PolicyViolation", text, component="kyverno-scan")


def kinds_of_policy(world: World, policy: Policy) -> tuple[Kind, ...]:
    """The kinds of the API that a policy is about, with those of its derived rules."""
    return _kinds_of(world.cluster.kinds, policy)


@lru_cache(maxsize=512)
def _kinds_of(known: Kinds, policy: Policy) -> tuple[Kind, ...]:
    return tuple(dict.fromkeys(_found(known, policy)))


def _found(known: Kinds, policy: Policy) -> Iterator[Kind]:
    if policy.kind.endswith("ValidatingPolicy"):
        yield from _constrained(known, policy)
        return
    for rule in policy.rules:
        for block in blocks_of(rule.body.get("match")):
            for text in kinds_of(block):
                group, version, kind, sub = kind_selector(text)
                if not sub or sub == "*":
                    yield from kinds_for(known, group, version, kind)


def _constrained(known: Kinds, policy: Policy) -> Iterator[Kind]:
    rules = (policy.spec.get("matchConstraints") or {}).get("resourceRules") or ()
    derived = derived_kinds(policy)
    for kind in known.all():
        if kind.kind in derived and kind.group in ("apps", "batch", ""):
            yield kind
            continue
        for rule in rules:
            plural = rule.get("resources") or ()
            groups = rule.get("apiGroups") or ()
            if (kind.plural in plural or "*" in plural) and (kind.group in groups or "*" in groups):
                yield kind
                break
