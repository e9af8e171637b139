"""Part d: guards stand: policies, quotas, budgets, permissions, admission and probes are no weaker."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from firedrill.core.living import Flaw, PartFacts
from firedrill.runner.living.assessing.broken import Broken, entity_of
from firedrill.runner.living.assessing.permissions import added
from firedrill.runner.living.assessing.relations import WORKLOADS
from firedrill.world.kube import quantity
from firedrill.world.kube.objects import (
    Obj,
    controller_of,
    dig,
    is_deleting,
    labels_of,
    name_of,
    namespace_of,
)

if TYPE_CHECKING:
    from firedrill.world.world import World

PROBES = ("livenessProbe", "readinessProbe", "startupProbe")
_HANDLERS = ("httpGet", "tcpSocket", "grpc", "exec")
_LEVELS = ("privileged", "baseline", "restricted")
_MODES = ("DISABLE", "PERMISSIVE", "UNSET", "STRICT")
_LEVEL = "pod-security.kubernetes.io/enforce"
Weaker = Callable[[Obj, Obj], str]


def weaker(before: World, world: World, broken: Broken) -> PartFacts:
    """What guards less than before the first fault.

    An object that the faults themselves changed may be in any state, but not gone.

    Args:
        before: right before the first fault.
        world: at the end of the verification.
        broken: what the faults did.
    """
    flaws: list[Flaw] = []
    excused: list[Flaw] = []
    total = 0
    for entity, path, flaw in (*_objects(before, world), *_probes(before, world)):
        total += 1
        if flaw is not None:
            theirs = broken.touched(entity, under=path) and flaw.what != "missing"
            (excused if theirs else flaws).append(flaw)
    for flaw in _permissions(before, world):
        total += 1
        (excused if broken.touched(flaw.entity) else flaws).append(flaw)
    return PartFacts(total=float(total + 1), flaws=tuple(flaws), excused=tuple(excused))


def _permissions(before: World, world: World) -> Iterator[Flaw]:
    for entity, found in added((before,), world).items():
        more = f" and {len(found) - 1} more" if len(found) > 1 else ""
        yield Flaw(entity=entity, what="weaker", detail=f"{found[0]}{more}")


# --- objects


def _objects(before: World, world: World) -> Iterator[tuple[str, tuple[str, ...], Flaw | None]]:
    for resource, compare in _GUARDS.items():
        for was in before.cluster.store.list(resource):
            if controller_of(was) is not None:
                continue
            entity = entity_of(was)
            now = world.cluster.store.get(resource, namespace_of(was), name_of(was))
            if now is None or is_deleting(now):
                yield entity, (), Flaw(entity=entity, what="missing")
                continue
            why = compare(was, now)
            yield entity, (), Flaw(entity=entity, what="weaker", detail=why) if why else None
    for was in before.cluster.store.list("namespaces"):
        now = world.cluster.store.get("namespaces", "", name_of(was))
        level = labels_of(was).get(_LEVEL)
        if level is None:
            continue
        here = labels_of(now).get(_LEVEL, "privileged") if now is not None else "privileged"
        entity = entity_of(was)
        lower = _rank(here, _LEVELS) < _rank(level, _LEVELS)
        flaw = Flaw(entity=entity, what="weaker", detail=f"pods of {here} are let in") if lower else None
        yield entity, ("metadata", "labels", _LEVEL), flaw


def _rank(word: Any, words: Sequence[str]) -> int:
    return words.index(word) if word in words else 0


def _policy(was: Obj, now: Obj) -> str:
    """A NetworkPolicy is no weaker where it selects the same and allows nothing that it did not."""
    old, new = was.get("spec") or {}, now.get("spec") or {}
    if new.get("podSelector") not in (old.get("podSelector"), {}, None):
        return "it selects other pods"
    types = _types(new)
    if not set(_types(old)) <= set(types):
        return "it does not isolate in both directions any more"
    for key, word in (("ingress", "Ingress"), ("egress", "Egress")):
        if word in _types(old) and any(rule not in (old.get(key) or ()) for rule in new.get(key) or ()):
            return f"it allows other {key}"
    return ""


def _types(spec: Mapping[str, Any]) -> tuple[str, ...]:
    found = spec.get("policyTypes")
    if found:
        return tuple(found)
    return ("Ingress", "Egress") if spec.get("egress") else ("Ingress",)


def _quota(was: Obj, now: Obj) -> str:
    old, new = dig(was, "spec", "hard", default={}), dig(now, "spec", "hard", default={})
    for key in sorted(old):
        if key not in new:
            return f"{key} has no bound any more"
        if quantity.parse(new[key]) > quantity.parse(old[key]):
            return f"{key} is {new[key]} instead of {old[key]}"
    return _same("scopes", "scopeSelector")(was, now)


def _budget(was: Obj, now: Obj) -> str:
    if dig(was, "spec", "selector") != dig(now, "spec", "selector"):
        return "it selects other pods"
    for key, sign in (("minAvailable", 1), ("maxUnavailable", -1)):
        old, new = dig(was, "spec", key), dig(now, "spec", key)
        if old is None:
            continue
        if new is None:
            return f"{key} is gone"
        if isinstance(old, str) != isinstance(new, str) or sign * _number(new) < sign * _number(old):
            return f"{key} is {new} instead of {old}"
    return ""


def _number(text: Any) -> float:
    return float(str(text).removesuffix("%"))


def _hooks(was: Obj, now: Obj) -> str:
    old, new = ({str(h.get("name")): h for h in obj.get("webhooks") or ()} for obj in (was, now))
    for name in sorted(old):
        if name not in new:
            return f"{name} is gone"
        if old[name].get("failurePolicy") == "Fail" and new[name].get("failurePolicy") == "Ignore":
            return f"{name} lets pass what it cannot judge"
        for key in ("rules", "namespaceSelector", "objectSelector", "matchConditions"):
            if old[name].get(key) != new[name].get(key):
                return f"{name} has other {key}"
    return ""


def _bound(was: Obj, now: Obj) -> str:
    old, new = (set(dig(obj, "spec", "validationActions", default=())) for obj in (was, now))
    return "it does not deny any more" if not old <= new else _same("policyName", "matchResources")(was, now)


def _peers(was: Obj, now: Obj) -> str:
    old, new = (dig(obj, "spec", "mtls", "mode", default="UNSET") for obj in (was, now))
    return f"its mode is {new} instead of {old}" if _rank(new, _MODES) < _rank(old, _MODES) else ""


def _same(*keys: str) -> Weaker:
    """Any difference may make it weaker."""

    def compare(was: Obj, now: Obj) -> str:
        old, new = was.get("spec") or {}, now.get("spec") or {}
        found = [key for key in keys or sorted({*old, *new}) if old.get(key) != new.get(key)]
        return f"{', '.join(found)} differ" if found else ""

    return compare


_GUARDS: Mapping[str, Weaker] = {
    "networkpolicies.networking.k8s.io": _policy,
    "resourcequotas": _quota,
    "limitranges": _same(),
    "poddisruptionbudgets.policy": _budget,
    "validatingwebhookconfigurations.admissionregistration.k8s.io": _hooks,
    "mutatingwebhookconfigurations.admissionregistration.k8s.io": _hooks,
    "validatingadmissionpolicies.admissionregistration.k8s.io": _same(),
    "validatingadmissionpolicybindings.admissionregistration.k8s.io": _bound,
    "authorizationpolicies.security.istio.io": _same(),
    "peerauthentications.security.istio.io": _peers,
}
OPENING = frozenset(
    {
        "NetworkPolicy",
        "AuthorizationPolicy",
        "PeerAuthentication",
        "ValidatingWebhookConfiguration",
        "MutatingWebhookConfiguration",
        "ValidatingAdmissionPolicy",
        "ValidatingAdmissionPolicyBinding",
        "Namespace",
    }
)
"""Guards without which somebody may do, or reach, what they may not."""


# --- probes


def _probes(before: World, world: World) -> Iterator[tuple[str, tuple[str, ...], Flaw | None]]:
    for resource in WORKLOADS:
        for was in before.cluster.store.list(resource):
            now = world.cluster.store.get(resource, namespace_of(was), name_of(was))
            if now is None:
                continue  # it is missing as a whole
            entity = entity_of(was)
            old, new = (_containers(obj) for obj in (was, now))
            for container in sorted(old):
                for probe in PROBES:
                    if probe in old[container]:
                        there = new.get(container, {}).get(probe)
                        path = ("spec", "template", "spec", "containers", container, probe)
                        yield entity, path, _probe(entity, container, probe, old[container][probe], there)


def _containers(workload: Obj) -> dict[str, Mapping[str, Any]]:
    found = dig(workload, "spec", "template", "spec", "containers", default=())
    return {str(item.get("name")): item for item in found}


def _probe(
    entity: str, container: str, probe: str, was: Mapping[str, Any], now: Mapping[str, Any] | None
) -> Flaw | None:
    what = f"{probe} of {container}"
    if now is None:
        return Flaw(entity=entity, what="missing", detail=what)
    for handler in _HANDLERS:
        if was.get(handler) != now.get(handler):
            return Flaw(entity=entity, what="weaker", detail=f"{what} asks for something else")
    for key in ("initialDelaySeconds", "timeoutSeconds"):
        if int(now.get(key) or 0) > int(was.get(key) or 0):
            return Flaw(entity=entity, what="weaker", detail=f"{what}: {key} is {now.get(key)}")
    if _patience(now) > _patience(was):
        return Flaw(entity=entity, what="weaker", detail=f"{what} takes {_patience(now)} s to fail")
    return None


def _patience(probe: Mapping[str, Any]) -> int:
    """Seconds of failures after which something is done."""
    return int(probe.get("periodSeconds") or 10) * int(probe.get("failureThreshold") or 3)


__all__ = ["OPENING", "PROBES", "weaker"]
