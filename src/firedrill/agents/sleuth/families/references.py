"""Objects that a pod needs and that are not there: config, secrets, claims, accounts, classes."""

from __future__ import annotations

import re
from collections.abc import Iterator

from firedrill.agents.sleuth.case import Body, Case, Thing, ident, listing, mapping
from firedrill.agents.sleuth.families.common import clues, kubectl, last_event, troubled_pods, undo, waiting
from firedrill.agents.sleuth.model import Clue, Ground, Hypothesis
from firedrill.agents.sleuth.symptoms import failing

_MISSING = re.compile(
    r"(?P<kind>configmap|secret|serviceaccount|persistentvolumeclaim|priority ?class|runtimeclass"
    r"|storageclass(?:\.storage\.k8s\.io)?)s? \"(?P<name>[^\"]+)\" (?:is forbidden: )?not found",
    re.IGNORECASE,
)
_KINDS = {
    "configmap": "ConfigMap",
    "secret": "Secret",
    "serviceaccount": "ServiceAccount",
    "persistentvolumeclaim": "PersistentVolumeClaim",
}
_KEY = re.compile(
    r"couldn't find key (?P<key>\S+) in (?P<kind>Secret|ConfigMap) [^\s/]+/(?P<name>[a-z0-9.-]+)",
    re.IGNORECASE,
)
_WHERE = frozenset({"FailedMount", "Failed", "FailedCreate", "FailedScheduling", "FailedAttachVolume"})


def references(case: Case) -> Iterator[Hypothesis]:
    """A workload refers to an object of its namespace that does not exist."""
    hurt = failing(case)
    for thing in case.workloads:
        wanted = {(kind, name): field for kind, name, field in needed(thing)}
        told = _told(case, thing, hurt)
        for kind, name in sorted({*wanted, *told}):
            if case.get(kind, thing.namespace, name) is not None:
                continue
            known = case.records(kind, thing.namespace)
            if (kind, name) not in told and not known:
                continue
            yield _missing(
                case, thing, kind, name, wanted.get((kind, name), ""), told.get((kind, name)), hurt
            )


def _missing(
    case: Case, thing: Thing, kind: str, name: str, field: str, told: Clue | None, hurt: dict[str, float]
) -> Hypothesis:
    target = ident(kind, thing.namespace if thing.namespace != "cluster" else None, name)
    gone = case.objects.get(target)
    removed = (gone is not None and gone.gone) or _unasked(case, thing, name)
    text = f"{thing.kind} {thing.name} needs {kind} {name}, which does not exist"
    entity = target if removed else thing.id
    where = thing.clue(f"{field or 'its pods'} name {kind} {name}") if field else None
    return Hypothesis(
        entity,
        "references",
        Ground.REFUSAL if told else Ground.CONTRADICTION,
        f"{text}; it was there before" if removed else text,
        strength=1.0 if thing.id in hurt or told else 0.4,
        time=told.time if told else None,
        explains=(thing.id,),
        evidence=clues(told, where, gone.clue("no longer recorded") if gone and removed else None),
        fix=(kubectl(target, "get"), undo(thing.id)),
    )


def _unasked(case: Case, thing: Thing, name: str) -> bool:
    """Whether a workload has long named what is missing, so that it was not the workload that changed."""
    if case.start is None or thing.appeared or not thing.containers:
        return False
    return not any(name in change.after and name not in change.before for change in thing.changes)


def missing_keys(case: Case) -> Iterator[Hypothesis]:
    """A ConfigMap or Secret lacks a key that a container asks for."""
    for top, pod, _ in troubled_pods(case):
        for _, _, _, message in waiting(pod):
            match = _KEY.search(message)
            thing = case.objects.get(top)
            if match is None or thing is None:
                continue
            target = ident(_KINDS[match["kind"].lower()], pod.namespace, match["name"])
            asked = not _unasked(case, thing, match["key"])
            yield Hypothesis(
                top if asked else target,
                "references",
                Ground.REFUSAL,
                f"{thing.name} asks for key {match['key']}, which {target} does not have"
                + ("" if asked else f"; {thing.name} has long asked for it"),
                explains=(top,),
                evidence=clues(pod.clue(message[:200])),
                fix=(kubectl(target, "get", "-o yaml"),),
            )


def _told(case: Case, thing: Thing, hurt: dict[str, float]) -> dict[tuple[str, str], Clue]:
    """What events of a workload that fails now say is missing."""
    found: dict[tuple[str, str], Clue] = {}
    if thing.id not in hurt:
        return found
    texts = [
        (event.message, event.clue())
        for event in case.events_about(thing.id)
        if event.type == "Warning" and event.reason in _WHERE
    ]
    for pod in case.pods_of.get(thing.id, ()):
        texts += [(message, pod.clue(f"{reason}: {message}")) for _, _, reason, message in waiting(pod)]
    for text, clue in texts:
        for match in _MISSING.finditer(text):
            kind = _KINDS.get(match["kind"].lower())
            if kind is not None:
                found.setdefault((kind, match["name"].rpartition("/")[2]), clue)
    return found


def needed(thing: Thing) -> Iterator[tuple[str, str, str]]:
    """``(kind, name, field)`` of everything that the pods of a workload cannot do without."""
    spec = thing.pod_spec
    account = spec.get("serviceAccountName") or spec.get("serviceAccount")
    if isinstance(account, str) and account != "default":
        yield "ServiceAccount", account, "serviceAccountName"
    for volume in listing(spec, "volumes"):
        yield from _volume(volume)
    for container in [*thing.containers, *listing(spec, "initContainers")]:
        for source in listing(container, "envFrom"):
            yield from _source(source, "configMapRef", "secretRef")
        for variable in listing(container, "env"):
            yield from _source(mapping(variable, "valueFrom"), "configMapKeyRef", "secretKeyRef")


def _volume(volume: Body) -> Iterator[tuple[str, str, str]]:
    field = f"volume {volume.get('name')}"
    plain = (
        ("configMap", "ConfigMap", "name"),
        ("secret", "Secret", "secretName"),
        ("persistentVolumeClaim", "PersistentVolumeClaim", "claimName"),
    )
    for key, kind, name_key in plain:
        source = mapping(volume, key)
        if isinstance(source.get(name_key), str) and not source.get("optional"):
            yield kind, source[name_key], field


def _source(source: Body, config: str, secret: str) -> Iterator[tuple[str, str, str]]:
    for key, kind in ((config, "ConfigMap"), (secret, "Secret")):
        reference = mapping(source, key)
        if isinstance(reference.get("name"), str) and not reference.get("optional"):
            yield kind, reference["name"], key


def unmounted(case: Case) -> Iterator[Hypothesis]:
    """A pod cannot mount or attach a volume, for another reason than an absent object."""
    hurt = failing(case)
    for top in sorted(hurt):
        event = last_event(case, top, "FailedMount", "FailedAttachVolume", "FailedMapVolume")
        if event is not None and not _MISSING.search(event.message):
            yield Hypothesis(
                top,
                "references",
                Ground.REFUSAL,
                f"its volumes cannot be mounted: {event.message[:240]}",
                strength=0.9,
                time=event.first,
                evidence=clues(event),
                fix=(kubectl(top, "describe"), undo(top)),
            )
