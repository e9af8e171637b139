"""What Kyverno writes on policies, and the webhooks that it sets up for what they are about."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from firedrill.world.kube.api import ApiError, Client
from firedrill.world.kube.api.request import service_account
from firedrill.world.kube.controllers.base import Controller, Later, register
from firedrill.world.kube.objects import Obj, name_of, namespace_of, with_condition
from firedrill.world.policy.kyverno.engine import fail_open
from firedrill.world.policy.kyverno.living.admission import configuration, webhook
from firedrill.world.policy.kyverno.living.scanning import kinds_of_policy
from firedrill.world.policy.kyverno.living.state import (
    NAMESPACE,
    POLICIES,
    installed,
    is_up,
    loaded,
    policies,
)
from firedrill.world.policy.kyverno.model import Policy

if TYPE_CHECKING:
    from firedrill.world.kube.store import Change
    from firedrill.world.world import World

_NAME = "kyverno-admission-controller"
_HOOKS = "webhooks"
_CONFIGURATION = "kyverno-resource-validating-webhook-cfg"
_RESOURCE = "validatingwebhookconfigurations.admissionregistration.k8s.io"
_AWAY_MS = 10_000
_OPERATIONS = ["CREATE", "UPDATE", "DELETE", "CONNECT"]
_OUTSIDE = {"key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": [NAMESPACE, "kube-system"]}


def _keys(world: World, change: Change) -> Iterable[str]:
    if not installed(world):
        return ()
    key = f"{change.resource}|{namespace_of(change.obj)}|{name_of(change.obj)}"
    if change.type == "DELETED":
        return (_HOOKS,)
    old = change.previous
    if old is not None and old.get("spec") == change.obj.get("spec") and change.obj.get("status"):
        return ()
    return (key, _HOOKS)


def _of_definition(world: World, change: Change) -> Iterable[str]:
    return (_HOOKS,) if installed(world) else ()


def _all(world: World) -> Iterable[str]:
    if not installed(world):
        return ()
    store = world.cluster.store
    found = [
        f"{resource}|{namespace_of(obj)}|{name_of(obj)}"
        for resource in POLICIES
        for obj in store.list(resource)
    ]
    return [*found, _HOOKS]


def _reconcile(world: World, key: str) -> None:
    if not installed(world):
        return
    if not is_up(world, "admission-controller"):
        raise Later(_AWAY_MS)
    client = Client(world, service_account(NAMESPACE, _NAME), manager="kyverno", trusted=True)
    if key == _HOOKS:
        _webhooks(world, client)
        return
    resource, namespace, name = key.split("|", 2)
    obj = world.cluster.store.get(resource, namespace, name)
    policy = loaded(obj) if obj is not None else None
    if obj is not None and policy is not None:
        client.update_status(obj, _status(world, obj, policy))


register(
    Controller(
        name="kyverno-policies",
        component=_NAME,
        watches={
            **dict.fromkeys(POLICIES, _keys),
            "customresourcedefinitions.apiextensions.k8s.io": _of_definition,
        },
        reconcile=_reconcile,
        resync=_all,
        delay=(300, 1_200),
    )
)


def _status(world: World, obj: Obj, policy: Policy) -> Obj:
    old = obj.get("status") or {}
    if policy.kind.endswith("ValidatingPolicy"):
        known = (old.get("conditionStatus") or {}).get("conditions")
        facts = (
            ("WebhookConfigured", "Webhook configured."),
            ("RBACPermissionsGranted", "Policy is ready for reporting."),
        )
        for type_, message in facts:
            known = with_condition(known, _condition(type_, message), world.time)
        return {
            "autogen": {},
            "conditionStatus": {"conditions": known, "message": "", "ready": True},
            "generated": False,
        }
    derived = [rule for rule in policy.rules if rule.template]
    own = [rule.body for rule in policy.rules if not rule.template]
    ready = _condition("Ready", "Ready")
    return {
        "autogen": {"rules": [dict(rule.body) for rule in derived]} if derived else {},
        "conditions": with_condition(old.get("conditions"), ready, world.time),
        "rulecount": {
            "generate": sum("generate" in rule for rule in own),
            "mutate": sum("mutate" in rule for rule in own),
            "validate": sum("validate" in rule for rule in policy_bodies(policy)),
            "verifyimages": sum("verifyImages" in rule for rule in own),
        },
        "validatingadmissionpolicy": {"generated": False, "message": ""},
    }


def policy_bodies(policy: Policy) -> list[Obj]:
    """The rules of a policy and those derived from them."""
    return [dict(rule.body) for rule in policy.rules]


def _condition(type_: str, message: str) -> Obj:
    return {"type": type_, "status": "True", "reason": "Succeeded", "message": message}


def _webhooks(world: World, client: Client) -> None:
    """Ask about exactly what the policies are about."""
    hooks = []
    for prefix, path, cel in (("validate", "/validate", False), ("vpol.validate", "/vpol/validate", True)):
        for failure in ("Ignore", "Fail"):
            mine = [
                policy
                for policy in policies(world)
                if policy.admission
                and policy.kind.endswith("ValidatingPolicy") == cel
                and _ignores(policy) == (failure == "Ignore")
            ]
            rules = _rules(world, mine)
            if rules:
                word = failure.lower()
                hook = webhook(f"{prefix}.kyverno.svc-{word}", f"{path}/{word}", rules, failure)
                hook["namespaceSelector"] = {"matchExpressions": [_OUTSIDE]}
                hooks.append(hook)
    old = world.cluster.store.get(_RESOURCE, "", _CONFIGURATION)
    try:
        if old is None and hooks:
            client.create(configuration(_CONFIGURATION, hooks))
        elif old is not None and not hooks:
            client.delete(_RESOURCE, "", _CONFIGURATION)
        elif old is not None and _essence(old.get("webhooks") or ()) != _essence(hooks):
            client.update({**old, "webhooks": hooks})
    except ApiError as refusal:
        raise Later(_AWAY_MS) from refusal


def _essence(hooks: Sequence[Obj]) -> list[tuple[object, ...]]:
    return [(item.get("name"), item.get("failurePolicy"), item.get("rules")) for item in hooks]


def _ignores(policy: Policy) -> bool:
    return policy.spec.get("failurePolicy") == "Ignore" or fail_open(policy)


def _rules(world: World, mine: Sequence[Policy]) -> list[Obj]:
    by_version: dict[tuple[str, str], set[str]] = {}
    for policy in mine:
        for kind in kinds_of_policy(world, policy):
            found = by_version.setdefault((kind.group, kind.version), set())
            found.add(kind.plural)
            if kind.resource == "pods":
                found.add("pods/ephemeralcontainers")
    return [
        {
            "apiGroups": [group],
            "apiVersions": [version],
            "operations": _OPERATIONS,
            "resources": sorted(by_version[group, version]),
            "scope": "*",
        }
        for group, version in sorted(by_version)
    ]
