"""Kyverno's webhooks: what they say about policies, and about everything that policies are about."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import yaml

from firedrill.world.kube import events
from firedrill.world.kube.admission.webhooks import answer
from firedrill.world.kube.api.errors import ApiError
from firedrill.world.kube.objects import Obj, name_of, namespace_of, uid_of
from firedrill.world.policy.kyverno.engine import evaluate
from firedrill.world.policy.kyverno.living.state import (
    NAMESPACE,
    Around,
    Kyverno,
    exceptions,
    filtered,
    named,
    policies,
    serves,
    subject_of,
    user_of,
)
from firedrill.world.policy.kyverno.model import Policy, Row
from firedrill.world.policy.kyverno.refusals import problems
from firedrill.world.policy.kyverno.vpol import SOURCE

if TYPE_CHECKING:
    from firedrill.world.kube.admission.base import Attributes
    from firedrill.world.world import World

SERVICE = "kyverno-svc"
_BLOCKED = frozenset({"fail", "error"})


def webhook(name: str, path: str, rules: Sequence[Obj], failure: str, timeout: int = 10) -> Obj:
    """One entry of a webhook configuration."""
    return {
        "name": name,
        "admissionReviewVersions": ["v1"],
        "clientConfig": {"service": {"name": SERVICE, "namespace": NAMESPACE, "path": path, "port": 443}},
        "failurePolicy": failure,
        "matchPolicy": "Equivalent",
        "rules": [dict(rule) for rule in rules],
        "sideEffects": "NoneOnDryRun",
        "timeoutSeconds": timeout,
    }


def configuration(name: str, hooks: Sequence[Obj]) -> Obj:
    """A ValidatingWebhookConfiguration of Kyverno's."""
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": name, "labels": {"webhook.kyverno.io/managed-by": "kyverno"}},
        "webhooks": list(hooks),
    }


def _denied(hook: str, message: str) -> ApiError:
    return ApiError(400, "", f'admission webhook "{hook}" denied the request: {message}')


def respond(a: Attributes, hook: Mapping[str, Any]) -> list[str]:
    """What the webhook says of a request: warnings.

    Raises:
        ApiError: it refuses.
    """
    path = str((hook.get("clientConfig") or {}).get("service", {}).get("path") or "")
    if path.endswith("validate") and path.count("/") == 1 and path != "/validate":
        return _own(a, str(hook.get("name")))
    return _resources(a, str(hook.get("name")), path)


def _own(a: Attributes, hook: str) -> list[str]:
    if a.obj is None or a.subresource:
        return []
    document = (
        a.obj if a.obj.get("kind") else {**a.obj, "apiVersion": a.kind.api_version, "kind": a.kind.kind}
    )
    found = problems(document, lambda *kind: serves(a.world, *kind))
    if found:
        raise _denied(hook, found[0])
    action = (document.get("spec") or {}).get("validationFailureAction")
    if action in ("audit", "enforce"):
        return ["Validation failure actions enforce/audit are deprecated, use Enforce/Audit instead."]
    return []


def _resources(a: Attributes, hook: str, path: str) -> list[str]:
    world: World = a.world
    obj = a.obj if a.obj is not None else a.old
    if obj is None or _left_out(a, obj):
        return []
    in_charge = [item for item in policies(world) if _in_charge(item, path)]
    if not in_charge:
        return []
    rows = _rows(a, obj, in_charge)
    stopped = [row for row in rows if row.action == "Enforce" and row.result in _BLOCKED]
    if path.endswith("/ignore"):
        stopped = [row for row in stopped if row.result == "fail"]
    shown = obj if obj.get("kind") else {**obj, "apiVersion": a.kind.api_version, "kind": a.kind.kind}
    if stopped:
        if not a.dry_run:
            _tell(world, shown, stopped, blocked=True)
        raise _denied(hook, _refusal(shown, stopped))
    if not a.dry_run and a.obj is not None:
        _remember(world, obj, in_charge, rows)
    failed = [row for row in rows if row.result == "fail"]
    if not a.dry_run:
        _tell(world, shown, failed, blocked=False)
        if not failed:
            _applied(world, shown, rows)
    return [f"policy {row.policy}.{row.rule}: {row.message}" for row in failed if row.warns]


def _left_out(a: Attributes, obj: Obj) -> bool:
    if "system:nodes" in a.user.groups:
        return True
    kind = str(a.kind.kind)
    space = name_of(obj) if kind == "Namespace" else a.namespace
    return filtered(a.world, kind, a.subresource, space, a.name or name_of(obj))


def _in_charge(policy: Policy, path: str) -> bool:
    if not policy.admission or policy.kind.endswith("ValidatingPolicy") != path.startswith("/vpol"):
        return False
    from firedrill.world.policy.kyverno.engine import fail_open

    ignore = policy.spec.get("failurePolicy") == "Ignore" or fail_open(policy)
    return path.endswith("/ignore") == ignore


_ROLES = re.compile(r"roles|clusterRoles", re.IGNORECASE)


def _rows(a: Attributes, obj: Obj, in_charge: Sequence[Policy]) -> list[Row]:
    roles = any(_ROLES.search(repr(policy.document.get("spec"))) for policy in in_charge)
    user = user_of(a.world, a.user.name, a.user.groups, roles=roles, uid=a.user.uid, extra=a.user.extra)
    old = a.old
    if old is not None and not old.get("kind"):
        old = {"apiVersion": a.kind.api_version, "kind": a.kind.kind, **old}
    subject = subject_of(
        a.world,
        a.kind,
        obj,
        operation=a.operation,
        old=old,
        subresource=a.subresource,
        user=user,
        dry_run=a.dry_run,
    )
    return evaluate(in_charge, subject, Around(a.world), exceptions(a.world), now_ms=a.world.now)


def _refusal(obj: Obj, rows: Sequence[Row]) -> str:
    if rows[0].source == SOURCE:
        return "; ".join(f"Policy {row.policy} failed: {row.message}" for row in rows)
    told: dict[str, dict[str, str]] = {}
    for row in rows:
        told.setdefault(row.policy.rpartition("/")[2], {})[row.rule] = row.message
    where = f"{obj.get('kind')}/{namespace_of(obj)}/{name_of(obj)}"
    listed = yaml.safe_dump(told, default_flow_style=False, allow_unicode=True)
    return f"\n\nresource {where} was blocked due to the following policies \n\n{listed}"


def _tell(world: World, obj: Obj, rows: Sequence[Row], *, blocked: bool) -> None:
    by_key = {policy.key: policy for policy in policies(world)}
    for row in rows:
        policy = by_key.get(row.policy)
        if policy is None:
            continue
        note = " (blocked)" if blocked else ""
        text = f"{named(obj)}: [{row.rule}] {row.result}{note}; {row.message}"[:1024]
        events.record(
            world, policy.document, "Warning", "PolicyViolation", text, component="kyverno-admission"
        )


def _applied(world: World, obj: Obj, rows: Sequence[Row]) -> None:
    """Tell of success, where the settings ask for it."""
    settings = world.cluster.store.get("configmaps", NAMESPACE, "kyverno") or {}
    if (settings.get("data") or {}).get("generateSuccessEvents") != "true":
        return
    passed = {row.policy for row in rows if row.result == "pass"}
    for policy in policies(world):
        if policy.key in passed:
            text = f"{named(obj)}: pass"
            events.record(
                world, policy.document, "Normal", "PolicyApplied", text, component="kyverno-admission"
            )


def _remember(world: World, obj: Obj, in_charge: Sequence[Policy], rows: Sequence[Row]) -> None:
    """Keep for reports what no scan will find out again."""
    only = {policy.key for policy in in_charge if not policy.background}
    kept = tuple(row for row in rows if row.policy in only)
    part = world.cluster.part(Kyverno)
    if kept:
        part.admitted[uid_of(obj)] = kept
    elif only:
        part.admitted.pop(uid_of(obj), None)


answer(NAMESPACE, SERVICE, respond)
