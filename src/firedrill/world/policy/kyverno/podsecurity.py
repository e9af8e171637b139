"""Rules that hold pods against a level of the Pod Security Standards, with exclusions of single controls."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from firedrill.world.kube.admission.pod_security import Violation, evaluate
from firedrill.world.policy.kyverno import wildcard
from firedrill.world.policy.kyverno.images import KEYS, pod_of
from firedrill.world.policy.kyverno.model import Rule, Subject
from firedrill.world.policy.kyverno.validate import Verdict

CONTROLS: Mapping[str, frozenset[str]] = {
    "HostProcess": frozenset({"windows_host_process"}),
    "Host Namespaces": frozenset({"host_namespaces"}),
    "Privileged Containers": frozenset({"privileged"}),
    "Capabilities": frozenset({"capabilities_baseline", "capabilities_restricted"}),
    "HostPath Volumes": frozenset({"host_path_volumes"}),
    "Host Ports": frozenset({"host_ports"}),
    "AppArmor": frozenset({"app_armor_profile"}),
    "SELinux": frozenset({"se_linux_options"}),
    "/proc Mount Type": frozenset({"proc_mount"}),
    "Seccomp": frozenset({"seccomp_annotations", "seccomp_baseline", "seccomp_restricted"}),
    "Sysctls": frozenset({"sysctls"}),
    "Volume Types": frozenset({"restricted_volumes"}),
    "Privilege Escalation": frozenset({"allow_privilege_escalation"}),
    "Running as Non-root": frozenset({"run_as_non_root"}),
    "Running as Non-root user": frozenset({"run_as_user"}),
    "Host Probes": frozenset({"host_probes"}),
}
"""The controls as policies name them, and the checks of each."""


def judge_pod(rule: Rule, subject: Subject) -> Verdict | None:
    """What the level says about the pod in an object; None where there is no pod."""
    if subject.operation == "DELETE":
        return None
    pod, _ = pod_of(subject.resource)
    asked = rule.body["validate"]["podSecurity"]
    level, version = str(asked.get("level") or "baseline"), str(asked.get("version") or "latest")
    spec = pod.get("spec")
    if not isinstance(spec, Mapping):
        return None
    metadata = pod.get("metadata") if isinstance(pod.get("metadata"), Mapping) else {}
    try:
        found = evaluate(level, version, metadata or {}, spec)
        left = [
            item for item in found if not _forgiven(item, asked.get("exclude") or (), level, version, pod)
        ]
    except (TypeError, AttributeError, KeyError, ValueError) as problem:
        return Verdict("error", f"failed to parse pod: {problem}")  # fields of another type than a pod's
    if not left:
        return Verdict("pass", f"Validation rule '{rule.name}' passed.")
    told = "".join(f"(Forbidden reason: {item.reason}, field error list: [{item.detail}])" for item in left)
    head = f"Validation rule '{rule.name}' failed. It violates PodSecurity \"{level}:{version}\": "
    return Verdict("fail", head + told)


def _forgiven(
    found: Violation, exclusions: Sequence[Any], level: str, version: str, pod: Mapping[str, Any]
) -> bool:
    mine = [
        item
        for item in exclusions
        if isinstance(item, Mapping) and found.check in CONTROLS.get(str(item.get("controlName")), ())
    ]
    if not mine:
        return False
    spec: Mapping[str, Any] = pod["spec"]
    metadata = pod.get("metadata") or {}
    for item in mine:
        if not item.get("images") and not item.get("restrictedField"):
            return True
        spec = _without(spec, item)
    return all(other.check != found.check for other in evaluate(level, version, metadata, spec))


def _without(spec: Mapping[str, Any], exclusion: Mapping[str, Any]) -> Mapping[str, Any]:
    """The pod without what an exclusion forgives."""
    images, field = exclusion.get("images"), str(exclusion.get("restrictedField") or "")
    values = [str(item) for item in exclusion.get("values") or ()]
    out = dict(spec)
    if field and not field.startswith(tuple(f"spec.{key}[" for key in KEYS)):
        steps = [step for step in re.split(r"[.\[\]]+", field.removeprefix("spec.")) if step and step != "*"]
        return _cleaned(out, steps, values) if steps else out
    for key in KEYS:
        items = spec.get(key)
        if not isinstance(items, list) or (field and not field.startswith(f"spec.{key}[")):
            continue
        out[key] = list(_kept(items, images, field.partition("].")[2], values))
    return out


def _kept(items: Sequence[Any], images: Any, field: str, values: Sequence[str]) -> Iterator[Any]:
    for item in items:
        if images and not wildcard.any_match(images, str(item.get("image") or "")):
            yield item
        elif field:
            steps = [step for step in re.split(r"[.\[\]]+", field) if step and step != "*"]
            if not _allowed(item, steps, values):
                yield item


def _allowed(item: Any, steps: Sequence[str], values: Sequence[str]) -> bool:
    """Whether all that a container sets at the field is among the values."""
    here = item
    for step in steps:
        if isinstance(here, list):
            return all(_allowed(part, steps[steps.index(step) :], values) for part in here)
        here = here.get(step) if isinstance(here, Mapping) else None
    found = here if isinstance(here, list) else [here]
    return all(any(wildcard.match(value, _shown(part)) for value in values) for part in found)


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)


def _cleaned(spec: Mapping[str, Any], steps: Sequence[str], values: Sequence[str]) -> Mapping[str, Any]:
    """The pod without forgiven values at a field of its own."""
    first, rest = steps[0], steps[1:]
    here = spec.get(first)
    if here is None:
        return spec
    out = dict(spec)
    if isinstance(here, list):
        out[first] = [item for item in here if not (rest and _present(item, rest, values))]
    elif rest and isinstance(here, Mapping):
        out[first] = _cleaned(here, rest, values)
    elif any(wildcard.match(value, _shown(here)) for value in values):
        del out[first]
    return out


def _present(item: Any, steps: Sequence[str], values: Sequence[str]) -> bool:
    here = item
    for step in steps:
        here = here.get(step) if isinstance(here, Mapping) else None
    if here is None:
        return False
    return not values or isinstance(here, Mapping) or any(wildcard.match(v, _shown(here)) for v in values)
