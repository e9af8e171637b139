"""What the API server refuses: quotas, limit ranges, accounts, pod security, webhooks."""

from __future__ import annotations

import re
from collections.abc import Iterator

from firedrill.agents.sleuth.case import Case, Thing, ident, mapping
from firedrill.agents.sleuth.families.common import clues, kubectl
from firedrill.agents.sleuth.families.references import needed
from firedrill.agents.sleuth.graph import addresses, service_named, settings
from firedrill.agents.sleuth.model import Ground, Hypothesis
from firedrill.agents.sleuth.quantity import quantity
from firedrill.agents.sleuth.symptoms import failing

_QUOTA = re.compile(r"exceeded quota: ([\w.-]+)")
_ABSENT = re.compile(r"not found")
_LIMITS = re.compile(r"(?:maximum|minimum) (?:cpu|memory|storage) usage per|must be less than or equal to")
_SECURITY = re.compile(r"violates PodSecurity")
_ENFORCED = "pod-security.kubernetes.io/enforce"
_HOOK = re.compile(r"admission webhook \"([^\"]+)\" denied|failed calling webhook \"([^\"]+)\"")


def admission(case: Case) -> Iterator[Hypothesis]:
    """Pods of a workload that lacks some now were refused; the message says by what."""
    hurt = failing(case)
    for event in case.events:
        if event.type != "Warning" or event.reason not in (
            "FailedCreate",
            "FailedUpdate",
            "ReplicaSetCreateError",
        ):
            continue
        top = case.top(event.entity)
        quota = _QUOTA.search(event.message)
        if top not in hurt or (_ABSENT.search(event.message) and quota is None):
            continue
        namespace = event.entity.partition("/")[0]
        strength = 1.0
        if quota:
            target, text = ident("ResourceQuota", namespace, quota[1]), "the quota leaves no room"
            fix = (
                f"kubectl -n {namespace} describe resourcequota {quota[1]}",
                f"kubectl -n {namespace} edit resourcequota {quota[1]}",
            )
        elif _LIMITS.search(event.message) and (ranges := _ranges(case, namespace)):
            target, text, strength = ranges[0].id, "the limit range does not allow such pods", 0.8
            fix = (kubectl(target, "edit"), kubectl(top, "set resources", "--limits=..."))
        elif hook := _HOOK.search(event.message):
            target, text, strength = top, f"an admission webhook refuses its pods: {hook[1] or hook[2]}", 0.9
            fix = (kubectl(top, "edit"), "kubectl get validatingwebhookconfigurations")
        elif _SECURITY.search(event.message) and (space := _tightened(case, namespace)):
            target, text = space, "the namespace takes hardened pods only, since lately"
            fix = (kubectl(space, "label", f"{_ENFORCED}-"), kubectl(top, "edit"))
        else:
            target, text = top, "its pods are refused"
            fix = (kubectl(top, "describe"), kubectl(top, "edit"))
        yield Hypothesis(
            target,
            "admission",
            Ground.REFUSAL,
            f"{text}: {event.message[:240]}",
            strength=strength,
            time=event.first,
            explains=(top,),
            evidence=clues(event),
            fix=fix,
        )


def _tightened(case: Case, namespace: str) -> str:
    """The namespace, where what it asks of pods was changed while it was recorded; empty otherwise."""
    thing = case.objects.get(ident("Namespace", None, namespace))
    if thing is not None and any(_ENFORCED in change.path for change in thing.changes):
        return thing.id
    return ""


def _ranges(case: Case, namespace: str) -> list[Thing]:
    return [thing for thing in case.all("LimitRange") if thing.namespace == namespace]


def full_quotas(case: Case) -> Iterator[Hypothesis]:
    """A quota is used up, or nearly: whatever else is wanted in its namespace is refused."""
    for thing in case.all("ResourceQuota"):
        hard = mapping(thing.status, "hard") or mapping(thing.spec, "hard")
        used = mapping(thing.status, "used")
        for resource in sorted(hard):
            limit, now = quantity(hard[resource]), quantity(used.get(resource))
            if limit is None or now is None or limit <= 0 or now < 0.9 * limit:
                continue
            share = now / limit
            starved = _starved(case, thing.namespace, resource)
            text = f"{resource} is used up: {used.get(resource)} of {hard[resource]}"
            yield Hypothesis(
                thing.id,
                "quotas",
                Ground.CONTRADICTION if starved and share >= 1 else Ground.ODDITY,
                f"{text}; {starved}" if starved else text,
                strength=0.9 if share >= 1 else 0.5,
                evidence=clues(thing.clue(text)),
                fix=(kubectl(thing.id, "describe"), kubectl(thing.id, "edit")),
                explains=(
                    *_short_of(case, thing.namespace, resource),
                    *_absent_services(case, thing.namespace, resource),
                ),
            )


def no_room(case: Case) -> Iterator[Hypothesis]:
    """A workload lacks pods, and what one more would ask for is more than a quota has left."""
    for quota in case.all("ResourceQuota"):
        hard = mapping(quota.status, "hard") or mapping(quota.spec, "hard")
        used = mapping(quota.status, "used")
        for top in _short_of(case, quota.namespace, "pods"):
            thing = case.objects[top]
            for resource in sorted(hard):
                asked, limit = _asked(thing, resource), quantity(hard[resource])
                now = quantity(used.get(resource)) or 0.0
                if asked is None or limit is None or now + asked <= limit:
                    continue
                text = f"{thing.name} lacks pods; one more asks for more {resource} than {used.get(resource)}"
                text += f" of {hard[resource]} leaves"
                yield Hypothesis(
                    quota.id,
                    "quotas",
                    Ground.CONTRADICTION,
                    text,
                    explains=(top,),
                    evidence=clues(quota.clue(f"{resource}: {used.get(resource)} of {hard[resource]}")),
                    fix=(kubectl(quota.id, "describe"), kubectl(quota.id, "edit")),
                )


def _asked(thing: Thing, resource: str) -> float | None:
    """How much of a quota's resource one pod of a workload takes; None when it takes none."""
    if resource in ("pods", "count/pods"):
        return 1.0
    kind, _, name = resource.rpartition(".")
    amounts = [
        quantity(mapping(container, "resources", kind or "requests").get(name))
        for container in thing.containers
    ]
    known = [amount for amount in amounts if amount is not None]
    return sum(known) if known else None


def _short_of(case: Case, namespace: str, resource: str) -> tuple[str, ...]:
    """Workloads of the namespace that lack pods which the quota may have refused."""
    if resource.startswith(("services", "persistentvolumeclaims", "requests.storage")):
        return ()
    return tuple(
        thing.id
        for thing in case.workloads
        if thing.namespace == namespace
        and thing.kind != "Pod"
        and case.records("Pod")
        and not case.pods_of.get(thing.id)
        and thing.spec.get("replicas") != 0
        and thing.kind in ("Deployment", "StatefulSet")
    )


def _absent_services(case: Case, namespace: str, resource: str) -> tuple[str, ...]:
    """Services that programs look for and that a quota on Services may have kept from being made."""
    if not resource.startswith(("services", "count/services")):
        return ()
    found = {
        ident("Service", namespace, host)
        for thing in case.workloads
        if thing.namespace == namespace
        for _, _, value in settings(thing)
        for host, port in addresses(value)
        if port and "." not in host and service_named(case, namespace, host) is None
    }
    return tuple(sorted(found))


def _starved(case: Case, namespace: str, resource: str) -> str:
    """What is missing in the namespace that counts against this resource."""
    here = [thing for thing in case.workloads if thing.namespace == namespace]
    if resource.startswith(("services", "count/services")):
        for thing in here:
            for _, _, value in settings(thing):
                for host, port in addresses(value):
                    if port and "." not in host and service_named(case, namespace, host) is None:
                        return f"and Service {host}, which {thing.name} looks for, does not exist"
    if resource.startswith(("persistentvolumeclaims", "requests.storage", "count/persistentvolumeclaims")):
        for thing in here:
            for kind, name, _ in needed(thing):
                if kind == "PersistentVolumeClaim" and case.get(kind, namespace, name) is None:
                    return f"and claim {name}, which {thing.name} needs, does not exist"
    short = _short_of(case, namespace, resource)
    return f"and {len(short)} workloads lack pods" if short else ""


def storage_quota(case: Case) -> Iterator[Hypothesis]:
    """A claim that a workload needs is absent, and a storage quota of the namespace has no room for it."""
    for thing in case.workloads:
        for kind, name, _ in needed(thing):
            if kind != "PersistentVolumeClaim" or case.get(kind, thing.namespace, name) is not None:
                continue
            for quota in case.all("ResourceQuota"):
                hard = mapping(quota.status, "hard") or mapping(quota.spec, "hard")
                limits = [key for key in sorted(hard) if "storage" in key or "persistentvolumeclaims" in key]
                if quota.namespace != thing.namespace or not limits:
                    continue
                bounds = ", ".join(f"{key} {hard[key]}" for key in limits)
                text = (
                    f"claim {name}, which {thing.name} needs, was never made, and the quota bounds {bounds}"
                )
                yield Hypothesis(
                    quota.id,
                    "quotas",
                    Ground.CONTRADICTION,
                    text,
                    strength=0.9,
                    explains=(ident(kind, thing.namespace, name), thing.id),
                    evidence=clues(quota.clue(f"hard: {bounds}"), thing.clue(f"needs claim {name}")),
                    fix=(kubectl(quota.id, "describe"), kubectl(quota.id, "edit")),
                )
