"""Background scans: every object against every policy, and reports of what came of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from firedrill.world.kube import events
from firedrill.world.kube.api import ApiError, Client
from firedrill.world.kube.api.request import service_account
from firedrill.world.kube.controllers.base import Controller, Later, enqueue, register
from firedrill.world.kube.objects import Obj, is_deleting, labels_of, name_of, namespace_of, uid_of
from firedrill.world.policy.kyverno.autogen import blocks_of, kinds_of
from firedrill.world.policy.kyverno.engine import evaluate
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
from firedrill.world.policy.kyverno.model import Policy, Row
from firedrill.world.policy.kyverno.vpol import derived_kinds
from firedrill.world.sim.handlers import handler

if TYPE_CHECKING:
    from firedrill.world.kube.kinds import Kind
    from firedrill.world.kube.store import Change
    from firedrill.world.world import World

_HOUR = 3_600_000
_ALL = "all"
_NAME = "kyverno-reports-controller"
_MANAGED = {"app.kubernetes.io/managed-by": "kyverno"}
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
                if name_of(report) not in seen and labels_of(report).items() >= _MANAGED.items():
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
        return evaluate(about, subject, self.around, self.exceptions, now_ms=self.world.now)

    def _write(self, kind: Kind, obj: Obj, rows: Sequence[tuple[Row, str]]) -> None:
        resource = REPORTS[0] if kind.namespaced else REPORTS[1]
        old = self.world.cluster.store.get(resource, namespace_of(obj), uid_of(obj))
        if not rows:
            if old is not None:
                self._delete(old)
            return
        ordered = sorted(rows, key=lambda item: (item[0].policy, item[0].rule))
        results = [_result(row, process, self.world.now) for row, process in ordered]
        if old is not None:
            results = [_aged(result, old.get("results") or ()) for result in results]
            if results == old.get("results"):
                return
        report = _report(kind, obj, results)
        try:
            if old is None:
                self.client.create(report)
            else:
                self.client.update({**old, "results": results, "summary": report["summary"]})
        except ApiError:
            return  # a namespace that is going away takes no reports
        before = [{**item, "timestamp": None} for item in (old or {}).get("results") or ()]
        new = [
            row
            for (row, _), result in zip(ordered, results, strict=True)
            if row.result == "fail" and {**result, "timestamp": None} not in before
        ]
        self._tell(kind, obj, new)

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


def kinds_of_policy(world: World, policy: Policy) -> Iterator[Kind]:
    """The kinds of the API that a policy is about, with those of its derived rules."""
    if policy.kind.endswith("ValidatingPolicy"):
        yield from _constrained(world, policy)
        return
    for rule in policy.rules:
        for block in blocks_of(rule.body.get("match")):
            for text in kinds_of(block):
                group, version, kind, sub = kind_selector(text)
                if not sub or sub == "*":
                    yield from kinds_for(world, group, version, kind)


def _constrained(world: World, policy: Policy) -> Iterator[Kind]:
    rules = (policy.spec.get("matchConstraints") or {}).get("resourceRules") or ()
    derived = derived_kinds(policy)
    for kind in world.cluster.kinds.all():
        if kind.kind in derived and kind.group in ("apps", "batch", ""):
            yield kind
            continue
        for rule in rules:
            plural = rule.get("resources") or ()
            groups = rule.get("apiGroups") or ()
            if (kind.plural in plural or "*" in plural) and (kind.group in groups or "*" in groups):
                yield kind
                break


def _result(row: Row, process: str, now: int) -> Obj:
    result = "warn" if row.result == "fail" and not row.scored else row.result
    out: Obj = {"policy": row.policy, "result": result, "source": row.source, "scored": row.scored}
    for key, value in (
        ("rule", row.rule),
        ("message", row.message[:4096]),
        ("category", row.category),
        ("severity", row.severity),
    ):
        if value:
            out[key] = value
    out["properties"] = {**row.properties, "process": process}
    out["timestamp"] = {"seconds": now // 1000, "nanos": 0}
    return out


def _aged(result: Obj, old: Sequence[Mapping[str, Any]]) -> Obj:
    """A result that has been the same before keeps its time."""
    for item in old:
        if {**item, "timestamp": None} == {**result, "timestamp": None}:
            return dict(item)
    return result


def _report(kind: Kind, obj: Obj, results: Sequence[Obj]) -> Obj:
    scope: Obj = {"apiVersion": kind.api_version, "kind": kind.kind, "name": name_of(obj), "uid": uid_of(obj)}
    owner = dict(scope)
    metadata: Obj = {"name": uid_of(obj), "labels": dict(_MANAGED), "ownerReferences": [owner]}
    if kind.namespaced:
        metadata["namespace"] = scope["namespace"] = namespace_of(obj)
    counts = dict.fromkeys(("error", "fail", "pass", "skip", "warn"), 0)
    for item in results:
        counts[item["result"]] += 1
    return {
        "apiVersion": "wgpolicyk8s.io/v1alpha2",
        "kind": "PolicyReport" if kind.namespaced else "ClusterPolicyReport",
        "metadata": metadata,
        "scope": scope,
        "results": list(results),
        "summary": counts,
    }
