"""What Kyverno policies say about the variants of a scenario, by the engine alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from firedrill.core.compliance import TWIN, VISIBLE, Judged, ObjectVerdict, Stage, Verdict
from firedrill.suites.compliance.cluster import Cluster
from firedrill.suites.compliance.loading import variants
from firedrill.suites.compliance.model import ComplianceSpec, Variant

if TYPE_CHECKING:
    from firedrill.world.policy.kyverno import Policy, Row

Document = Mapping[str, Any]
_FAILED = frozenset({"fail", "warn"})
_MOST_DETAIL = 300


@dataclass(frozen=True)
class Loaded:
    """Policies that the engine takes.

    Attributes:
        policies: what judges.
        exceptions: from it.
    """

    policies: tuple[Policy, ...]
    exceptions: tuple[Policy, ...]


def admitted(documents: Iterable[Document]) -> tuple[Loaded | None, str]:
    """The policies, or why the engine does not admit one of them."""
    from firedrill.world.policy import kyverno

    policies: list[Policy] = []
    exceptions: list[Policy] = []
    for document in documents:
        name = f"{document.get('kind')} {(document.get('metadata') or {}).get('name')}"
        wrong = kyverno.problems(document)
        if wrong:
            return None, f"{name}: {wrong[0]}"
        policy = kyverno.load(document)
        (exceptions if policy.kind.endswith("Exception") else policies).append(policy)
    if not policies:
        return None, "no policy"
    return Loaded(tuple(policies), tuple(exceptions)), ""


def misformed(spec: ComplianceSpec, documents: Iterable[Document]) -> str:
    """Why policies are not written as the update asks; empty where they are, or where it asks nothing."""
    if spec.form != "rule-actions":
        return ""
    for document in documents:
        body = document.get("spec") or {}
        name = (document.get("metadata") or {}).get("name")
        if body.get("validationFailureActionOverrides"):
            return f"{name} still has spec.validationFailureActionOverrides"
        # the server writes the default into policies that do not have the field
        if body.get("validationFailureAction", "Audit") != "Audit":
            return f"{name} still has spec.validationFailureAction"
        for rule in body.get("rules") or ():
            validate = rule.get("validate")
            if validate and "failureAction" not in validate:
                return f"rule {rule.get('name')} of {name} has no validate.failureAction"
    return ""


def judge(spec: ComplianceSpec, loaded: Loaded, variant: Variant) -> Judged:
    """What the policies say about one variant. Objects that rightly pass are left out of the answer."""
    cluster = Cluster(variant.state)
    found: list[ObjectVerdict] = []
    for name, obj in cluster.objects.items():
        got, detail = _verdict(spec, loaded, cluster, obj)
        expected: Verdict = variant.expect.get(name, "pass")
        expected = "pass" if expected == "skip" else expected
        if got != "pass" or expected != "pass":
            found.append(ObjectVerdict(object=name, expected=expected, got=got, detail=detail))
    missing = sorted(set(variant.expect) - set(cluster.objects))
    found += [ObjectVerdict(object=name, expected=variant.expect[name], got="none") for name in missing]
    verdicts = {item.got for item in found}
    whole = "error" if "error" in verdicts else "fail" if verdicts & {"fail", "block"} else "pass"
    return Judged(
        name=variant.name,
        trap=variant.trap,
        compliant=variant.compliant,
        got=whole,
        objects=tuple(found),
        violating=variant.violating,
    )


def judge_all(spec: ComplianceSpec, loaded: Loaded, seed: int) -> tuple[tuple[Judged, ...], Judged]:
    """V0, C0 and the hidden variants, and V0 a second time."""
    drawn = variants(spec, seed)
    return tuple(judge(spec, loaded, item) for item in drawn), judge(spec, loaded, drawn[0])


def _verdict(spec: ComplianceSpec, loaded: Loaded, cluster: Cluster, obj: Document) -> tuple[str, str]:
    rows = rows_of(loaded, cluster, obj)
    wrong = [row for row in rows if row.result == "error"]
    failed = [row for row in rows if row.result in _FAILED]
    if wrong:
        return "error", _detail(wrong)
    if spec.enforce:
        asked = rows_of(loaded, cluster, obj, operation="CREATE")
        denied = [row for row in asked if row.result in (*_FAILED, "error") and row.action == "Enforce"]
        if denied:
            return "block", _detail(denied)
        failed = failed or [row for row in asked if row.result in _FAILED]
    return ("fail", _detail(failed)) if failed else ("pass", "")


def _detail(rows: Sequence[Row]) -> str:
    first = rows[0]
    return f"{first.policy}/{first.rule}: {first.message}"[:_MOST_DETAIL]


def rows_of(loaded: Loaded, cluster: Cluster, obj: Document, operation: str = "") -> list[Row]:
    """What each rule says of an object: in a background scan, or when it is created."""
    from firedrill.world.policy import kyverno

    namespace = cluster.namespace_of(obj)
    by_name = str(obj["metadata"]["name"]) if obj.get("kind") == "Namespace" else namespace
    kind = cluster.kinds.of(obj)
    subject = kyverno.Subject(
        resource=obj,
        operation=operation,
        user=kyverno.User("somebody", ("system:authenticated",)) if operation else kyverno.User(),
        namespace_labels=cluster.labels(by_name),
        plural="" if kind is None else kind.plural,
        dry_run=bool(operation),
    )
    applied = [item for item in loaded.policies if (item.admission if operation else item.background)]
    return list(kyverno.evaluate(applied, subject, cluster, loaded.exceptions))


def sensitive(judged: Sequence[Judged]) -> Stage:
    """Whether the verdict on what is broken changes when only the fault is undone."""
    by_name = {item.name: item for item in judged}
    broken, healed = by_name[VISIBLE], by_name[TWIN]
    after = {item.object: item.got for item in healed.objects}
    before = {item.object: item.got for item in broken.objects}
    for name in broken.violating:
        if before.get(name, "pass") == after.get(name, "pass"):
            return Stage(reason=f"its verdict on {name} does not depend on what is to be checked")
    return Stage(ok=True)


__all__ = ["Loaded", "admitted", "judge", "judge_all", "misformed", "rows_of", "sensitive"]
