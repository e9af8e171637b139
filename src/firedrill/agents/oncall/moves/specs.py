"""Workloads that were made anew, so that no revision is left: mended by what is said of them."""

from __future__ import annotations

import copy
import difflib
import re
from collections.abc import Iterator
from typing import Any

from firedrill.agents.oncall.earlier import key_of
from firedrill.agents.oncall.fields import made_at
from firedrill.agents.oncall.moves.former import Former, former
from firedrill.agents.oncall.moves.workloads import KINDS
from firedrill.agents.oncall.moves.workloads import former as revision
from firedrill.agents.oncall.recording import seconds
from firedrill.agents.oncall.steps import Obj, Scene, Step, changed, patch
from firedrill.agents.sleuth.case import listing, mapping, parts
from firedrill.agents.sleuth.graph import addresses
from firedrill.agents.sleuth.quantity import quantity

_WAYS = ("httpGet", "tcpSocket", "grpc", "exec")
_PROBES = ("startupProbe", "livenessProbe", "readinessProbe")
_NOT_THERE = re.compile(
    r"no such file|not found in \$PATH|executable file not found|permission denied: unknown"
)
_CLOSE = 0.6
_RECENT_S = 120.0
"""What was said so long before the onset has nothing to do with it."""


def mend(scene: Scene, entity: str, why: str) -> Iterator[Step]:
    """What is odd in a workload that was deleted and made anew, set to what fits."""
    found = scene.get(entity)
    if found is None or found[1]["kind"] not in KINDS or revision(scene, found[1]) is not None:
        return
    obj = found[1]
    before = former(scene, obj)
    if made_at(obj) <= scene.before.base or not before.known:
        return
    template: Obj = copy.deepcopy(dict(mapping(obj, "spec", "template")))
    spec = template.get("spec")
    if not isinstance(spec, dict):
        return
    complaints = heard(scene, entity)
    said = list(
        dict.fromkeys(
            [
                *_figures(spec, before),
                *_placing(scene, spec, complaints),
                *_resolving(spec),
                *_checking(spec, complaints),
                *_starting(spec, complaints),
                *_named(scene, obj, spec),
                *_finding(scene, key_of(obj)[1], spec),
            ]
        )
    )
    action = patch(scene, obj, changed(obj, "spec", "template", value=template))
    if action is not None:
        yield Step(entity, f"{entity}: {'; '.join(said)}", why, (action,), guessed=True)


def heard(scene: Scene, entity: str) -> str:
    """What events and the states of its containers say of a workload's pods."""
    namespace, _, name = parts(entity)
    texts = []
    for event in scene.found.events:
        about = mapping(event, "involvedObject")
        last = seconds(event.get("lastTimestamp")) or seconds(event.get("eventTime")) or scene.found.now
        if last < scene.onset - _RECENT_S:
            continue
        if about.get("namespace") == namespace and str(about.get("name", "")).startswith(name):
            texts.append(f"{event.get('reason')}: {event.get('message')}")
    for pod in scene.of("Pod", namespace=namespace):
        if not key_of(pod)[2].startswith(f"{name}-"):
            continue
        for part in ("initContainerStatuses", "containerStatuses"):
            for status in listing(pod, "status", part):
                for state in ("state", "lastState"):
                    for told in mapping(status, state).values():
                        texts.append(f"{told.get('reason')}: {told.get('message')}")
    return "\n".join(texts)


def _boxes(spec: Obj) -> list[Obj]:
    return [box for box in spec.get("containers") or () if isinstance(box, dict)]


def _figures(spec: Obj, before: Former) -> Iterator[str]:
    """Images, containers and resources as they were."""
    kept = [box for box in _boxes(spec) if box.get("name") in before.images]
    if kept and len(kept) < len(_boxes(spec)):
        spec["containers"] = kept
        yield "without the container that is new"
    initial = [box for box in spec.get("initContainers") or () if box.get("name") in before.initial]
    if len(initial) < len(spec.get("initContainers") or ()):
        spec["initContainers"] = initial
        yield "without the preparation that is new"
    for box in _boxes(spec):
        name = str(box.get("name"))
        image = before.images.get(name)
        if image and box.get("image") != image:
            box["image"] = image
            yield f"with the image that ran before, {image}"
        for part, figures in (("limits", before.limits), ("requests", before.requests)):
            now = dict(mapping(box, "resources", part))
            was = figures.get(name, {})
            wanted = {
                key: now[key] if key in now and _same(now[key], value) else _text(key, value)
                for key, value in was.items()
            }
            if wanted != now:
                box["resources"] = {**mapping(box, "resources"), part: wanted}
                yield f"with the {part} that it had"


def _same(text: object, value: float) -> bool:
    known = quantity(str(text))
    return known is not None and abs(known - value) <= 1e-6 * max(abs(value), 1.0)


def _text(resource: str, value: float) -> str:
    return f"{round(value * 1000)}m" if resource == "cpu" else str(int(value))


def _placing(scene: Scene, spec: Obj, complaints: str) -> Iterator[str]:
    """Wishes about nodes that no node fulfils."""
    if "FailedScheduling" not in complaints:
        return
    nodes = [mapping(node, "metadata", "labels") for node in scene.of("Node")]
    selector = mapping(spec, "nodeSelector")
    if selector and not any(selector.items() <= labels.items() for labels in nodes):
        spec.pop("nodeSelector")
        yield "on any node"
    affinity = spec.get("affinity")
    if isinstance(affinity, dict):
        for word, part in (("anti-affinity", "podAntiAffinity"), ("node affinity", "nodeAffinity")):
            if word in complaints and affinity.pop(part, None) is not None:
                yield "without wishes that no node fulfils"
    for rule in spec.get("topologySpreadConstraints") or ():
        if "topology spread" in complaints and rule.get("whenUnsatisfiable") == "DoNotSchedule":
            rule["whenUnsatisfiable"] = "ScheduleAnyway"
            yield "spread as far as it can be"


def _resolving(spec: Obj) -> Iterator[str]:
    """Names are looked up where the cluster's are known."""
    policy = spec.get("dnsPolicy")
    if policy not in (None, "ClusterFirst", "ClusterFirstWithHostNet"):
        spec["dnsPolicy"] = "ClusterFirst"
        spec.pop("dnsConfig", None)
        yield "look up names in the cluster"


def _checking(spec: Obj, complaints: str) -> Iterator[str]:
    """Probes that fail though their program runs: of another port, or with too little patience."""
    for box in _boxes(spec):
        for kind in _PROBES:
            probe = box.get(kind)
            word = kind.removesuffix("Probe").capitalize()
            if isinstance(probe, dict) and f"{word} probe failed" in complaints:
                yield from _port(box, kind, probe)
                yield from _manner(box, kind, probe, complaints)
                yield from _patience(kind, probe)


def _port(box: Obj, kind: str, probe: Obj) -> Iterator[str]:
    entries = listing(box, "ports")
    ports = {entry.get(key) for entry in entries for key in ("containerPort", "name")}
    numbers = [entry["containerPort"] for entry in entries if isinstance(entry.get("containerPort"), int)]
    for way in _WAYS:
        port = mapping(probe, way).get("port")
        if port is not None and numbers and port not in ports:
            probe[way] = {**probe[way], "port": numbers[0]}
            yield f"with a {kind} of the port that is listened on"


def _manner(box: Obj, kind: str, probe: Obj, complaints: str) -> Iterator[str]:
    """Ask as another probe of the same program does, which works."""
    other = {"livenessProbe": "readinessProbe", "readinessProbe": "livenessProbe"}.get(kind, "")
    word = other.removesuffix("Probe").capitalize()
    if not isinstance(box.get(other), dict) or f"{word} probe failed" in complaints:
        return
    asked = {way: box[other][way] for way in _WAYS if way in box[other]}
    if asked and asked != {way: probe[way] for way in _WAYS if way in probe}:
        for way in _WAYS:
            probe.pop(way, None)
        probe.update(asked)
        yield f"with a {kind} that asks as the other probe does"


def _patience(kind: str, probe: Obj) -> Iterator[str]:
    least = {"periodSeconds": 10, "failureThreshold": 30 if kind == "startupProbe" else 3}
    if any(probe.get(key, 0) < value for key, value in least.items()):
        probe.update({key: max(value, probe.get(key, 0)) for key, value in least.items()})
        yield f"with a {kind} of more patience"


def _starting(spec: Obj, complaints: str) -> Iterator[str]:
    """What keeps containers from being started."""
    for box in _boxes(spec):
        if box.get("command") and _NOT_THERE.search(complaints):
            box.pop("command")
            yield "with the command of the image"
        hook = box.get("lifecycle")
        if "FailedPostStartHook" in complaints and isinstance(hook, dict) and hook.pop("postStart", None):
            yield "without the hook that fails"
        context = box.get("securityContext")
        if "runAsNonRoot" in complaints and isinstance(context, dict) and context.pop("runAsNonRoot", None):
            yield "as the user that the image has"
    context = spec.get("securityContext")
    if "runAsNonRoot" in complaints and isinstance(context, dict) and context.pop("runAsNonRoot", None):
        yield "as the user that the image has"


def _named(scene: Scene, obj: Obj, spec: Obj) -> Iterator[str]:
    """What pods refer to by a name that nothing has."""
    namespace, name = key_of(obj)[1:]
    if spec.get("priorityClassName") and not scene.at("PriorityClass", "", str(spec["priorityClassName"])):
        spec.pop("priorityClassName")
        spec.pop("priority", None)
        yield "without a priority that is not there"
    account = str(spec.get("serviceAccountName") or "")
    if account and scene.at("ServiceAccount", namespace, account) is None:
        there = [key_of(item)[2] for item in scene.of("ServiceAccount", namespace=namespace)]
        near = difflib.get_close_matches(account, there, n=1, cutoff=_CLOSE)
        meant = name if name in there else near[0] if near else "default"
        spec["serviceAccountName"] = spec["serviceAccount"] = meant
        yield f"as the account {meant}, which is there"


def _finding(scene: Scene, namespace: str, spec: Obj) -> Iterator[str]:
    """Addresses of Services that are there, at ports that they offer."""
    services = {key_of(item)[2]: item for item in scene.of("Service", namespace=namespace)}
    for box in _boxes(spec):
        for entry in box.get("env") or ():
            text = entry.get("value")
            for host, port in addresses(text) if isinstance(text, str) else ():
                name = _address(services, host, port) or host
                offered = [item.get("port") for item in listing(services.get(name), "spec", "ports")]
                other = offered[0] if port is not None and len(offered) == 1 else port
                old, new = (f"{host}:{port}", f"{name}:{other}") if port is not None else (host, name)
                if new != old:
                    entry["value"] = str(entry["value"]).replace(old, new)
                    yield f"look for {new}, which is there"


def _address(services: dict[str, Any], host: str, port: int | None) -> str | None:
    """The Service that a name without any most probably means."""
    if host in services or "." in host or port is None or host == "localhost" or host.isdigit():
        return None
    near = difflib.get_close_matches(host, sorted(services), n=1, cutoff=_CLOSE)
    return near[0] if near else None
