"""What somebody has put up shortly before the onset and that holds programs back: it is taken down."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from firedrill.agents.oncall.earlier import key_of
from firedrill.agents.oncall.fields import made_at
from firedrill.agents.oncall.moves.cluster import suffering
from firedrill.agents.oncall.moves.former import former
from firedrill.agents.oncall.steps import Action, Scene, Step
from firedrill.agents.sleuth.case import listing, mapping, parts

_BEFORE_S = 20 * 60.0
_GUARDS = frozenset(
    {
        "NetworkPolicy",
        "ResourceQuota",
        "LimitRange",
        "PodDisruptionBudget",
        "AuthorizationPolicy",
        "PeerAuthentication",
        "RequestAuthentication",
        "VirtualService",
        "DestinationRule",
        "EnvoyFilter",
        "Sidecar",
        "ServiceEntry",
        "MutatingWebhookConfiguration",
        "ValidatingWebhookConfiguration",
        "ValidatingAdmissionPolicyBinding",
        "HorizontalPodAutoscaler",
    }
)
_ADMITTING = frozenset({"ResourceQuota", "LimitRange"})
"""Kinds that keep pods from being made."""
_LOADS = frozenset({"DaemonSet", "Deployment", "Job", "CronJob"})
_CHAOS = "chaos"


def remove(scene: Scene, entity: str, why: str) -> Iterator[Step]:
    """Take down what is new; what makes it again and again goes rather than what it made."""
    found = scene.get(entity)
    if found is None:
        return
    resource, obj = found
    for owner in listing(obj, "metadata", "ownerReferences"):
        above = f"{parts(entity)[0]}/{owner.get('kind')}/{owner.get('name')}"
        if _CHAOS in resource and scene.get(above) is not None:
            yield from remove(scene, above, why)
            return
    kind, namespace, name = key_of(obj)
    experiment = _CHAOS in resource.partition(".")[2]
    new = made_at(obj) > max(scene.before.base, scene.onset - _BEFORE_S)
    if experiment or (new and kind in _GUARDS):
        word = "end the experiment" if experiment else "take it down"
        action = Action("delete", resource, namespace, name)
        again = suffering(scene, namespace) if kind in _ADMITTING and namespace else ()
        yield Step(entity, f"{entity}: {word}", why, (action,), workloads=again)
    elif new and kind in _LOADS and _stray(scene, obj):
        yield Step(
            entity,
            f"{entity}: take it down, it is new and in the way",
            why,
            (Action("delete", resource, namespace, name),),
            guessed=True,
        )


def _stray(scene: Scene, obj: Mapping[str, Any]) -> bool:
    """Whether a workload is really new, and nobody reaches it through a Service."""
    if listing(obj, "metadata", "ownerReferences") or former(scene, obj).known:
        return False
    labels = mapping(obj, "spec", "template", "metadata", "labels")
    fronts = scene.of("Service", namespace=key_of(obj)[1])
    selectors = [mapping(service, "spec", "selector") for service in fronts]
    return not any(selector and selector.items() <= labels.items() for selector in selectors)


def restore(scene: Scene, entity: str, why: str) -> Iterator[Step]:
    """An object whose earlier state is known goes back to it."""
    from firedrill.agents.oncall.steps import patch

    found = scene.get(entity)
    if found is None:
        return
    obj = found[1]
    states = scene.before.states.get(key_of(obj), [])
    if not states or states[0].guessed or obj["kind"] in ("Deployment", "StatefulSet", "DaemonSet"):
        return
    wanted = {**obj, "spec": mapping(states[0].body, "spec")}
    action = patch(scene, obj, wanted)
    if action is not None:
        again = suffering(scene, key_of(obj)[1]) if obj["kind"] in _ADMITTING else ()
        yield Step(entity, f"{entity}: put it back to what it was before", why, (action,), workloads=again)
