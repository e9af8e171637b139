"""PodSecurity: namespaces say by labels how much a pod may."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from firedrill.world.kube.admission.base import Attributes, Base
from firedrill.world.kube.admission.pod_security_checks import CHECKS, Pod, Violation, facts
from firedrill.world.kube.api.errors import invalid
from firedrill.world.kube.objects import dig, labels_of, meta, name_of

__all__ = ["PodSecurity", "Violation", "evaluate"]

LEVELS = ("privileged", "baseline", "restricted")
_LABEL = "pod-security.kubernetes.io/"
_NEWEST = 34
_TEMPLATES = {
    "deployments.apps": ("spec", "template"),
    "replicasets.apps": ("spec", "template"),
    "statefulsets.apps": ("spec", "template"),
    "daemonsets.apps": ("spec", "template"),
    "replicationcontrollers": ("spec", "template"),
    "jobs.batch": ("spec", "template"),
    "cronjobs.batch": ("spec", "jobTemplate", "spec", "template"),
    "podtemplates": ("template",),
}


def evaluate(
    level: str, version: str, pod_metadata: Mapping[str, Any], pod_spec: Mapping[str, Any]
) -> list[Violation]:
    """The checks of a level that a pod fails, in the order in which a server reports them.

    Args:
        level: `privileged`, `baseline` or `restricted`.
        version: of the policy: `latest` or `v1.31`.
        pod_metadata: annotations are looked at.
        pod_spec: the pod's spec, defaulted or not.
    """
    if level == "privileged":
        return []
    minor = _minor(version)
    pod = Pod(pod_metadata, pod_spec, minor)
    out = []
    for rank in LEVELS[1 : LEVELS.index(level) + 1]:
        for entry in facts()[rank]:
            if minor < entry.get("since", 0) or minor >= entry.get("before", 1000):
                continue
            if level == "restricted" and minor >= entry.get("replaced_by", 1000):
                continue
            found = CHECKS[entry["check"]](pod)
            if found:
                out.append(Violation(entry["check"], *found))
    return out


def _minor(version: str) -> int:
    match = re.fullmatch(r"v1\.(\d{1,3})", version)
    return min(int(match[1]), _NEWEST) if match else _NEWEST


@dataclass(frozen=True, slots=True)
class _Mode:
    level: str
    version: str

    def __str__(self) -> str:
        return f"{self.level}:{self.version}"


def _mode(namespace: Mapping[str, Any], mode: str) -> _Mode:
    labels = labels_of(namespace)
    level = labels.get(_LABEL + mode, "privileged")
    version = labels.get(f"{_LABEL}{mode}-version", "latest")
    return _Mode(level if level in LEVELS else "restricted", version)


@dataclass(frozen=True, slots=True)
class _Wrong:
    field: str
    message: str
    reason: str = "FieldValueInvalid"

    def __str__(self) -> str:
        return f"{self.field}: {self.message}"


class PodSecurity(Base):
    """Holds pods, and the templates of what makes pods, against the labels of their namespace."""

    name = "PodSecurity"

    def validate(self, a: Attributes) -> list[str]:
        """Refuse a pod below the enforced level; warn about one below the level to warn about."""
        if a.obj is None or a.operation not in ("CREATE", "UPDATE"):
            return []
        if a.resource == "namespaces" and not a.subresource:
            return list(_namespace(a))
        path = _TEMPLATES.get(a.resource)
        if a.resource == "pods" and a.subresource in ("", "ephemeralcontainers"):
            return self._pod(a)
        if path is None or a.subresource:
            return []
        template = dig(a.obj, *path)
        namespace = a.store.get("namespaces", "", a.namespace)
        if not namespace or not template:
            return []
        _note_audit(a, namespace, template)
        return _warnings(namespace, template)

    def _pod(self, a: Attributes) -> list[str]:
        namespace = a.store.get("namespaces", "", a.namespace)
        if namespace is None or a.obj is None or (a.old is not None and not _significant(a.old, a.obj)):
            return []
        enforce = _mode(namespace, "enforce")
        a.notes[f"{_LABEL}enforce-policy"] = str(enforce)
        _note_audit(a, namespace, a.obj)
        found = evaluate(enforce.level, enforce.version, meta(a.obj), a.obj.get("spec") or {})
        if found:
            raise a.forbidden(f'violates PodSecurity "{enforce}": {", ".join(map(str, found))}')
        return _warnings(namespace, a.obj)


def _significant(old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    def images(pod: Mapping[str, Any]) -> list[Any]:
        spec = pod.get("spec") or {}
        keys = ("initContainers", "containers", "ephemeralContainers")
        return [(item.get("name"), item.get("image")) for key in keys for item in spec.get(key) or ()]

    return images(old) != images(new)


def _note_audit(a: Attributes, namespace: Mapping[str, Any], pod: Mapping[str, Any]) -> None:
    told = _would_violate(_mode(namespace, "audit"), pod)
    if told:
        a.notes[f"{_LABEL}audit-violations"] = told


def _warnings(namespace: Mapping[str, Any], pod: Mapping[str, Any]) -> list[str]:
    told = _would_violate(_mode(namespace, "warn"), pod)
    return [told] if told else []


def _would_violate(mode: _Mode, pod: Mapping[str, Any]) -> str:
    found = evaluate(mode.level, mode.version, meta(pod), pod.get("spec") or {})
    return f'would violate PodSecurity "{mode}": {", ".join(map(str, found))}' if found else ""


def _namespace(a: Attributes) -> Iterator[str]:
    wrong = list(_wrong_labels(labels_of(a.obj or {})))
    if wrong:
        raise invalid("", "Namespace", name_of(a.obj or {}), wrong)
    if a.old is None or a.obj is None:
        return
    before, after = _mode(a.old, "enforce"), _mode(a.obj, "enforce")
    if before == after or after.level == "privileged":
        return
    by_reason: dict[str, list[str]] = {}
    for pod in a.store.list("pods", name_of(a.obj)):
        found = evaluate(after.level, after.version, meta(pod), pod.get("spec") or {})
        if found:
            by_reason.setdefault(", ".join(item.reason for item in found), []).append(name_of(pod))
    if not by_reason:
        return
    yield f'existing pods in namespace "{name_of(a.obj)}" violate the new PodSecurity enforce level "{after}"'
    for reason, names in sorted(by_reason.items(), key=lambda item: item[1][0]):
        others = len(names) - 1
        tail = f" (and {others} other pod{'' if others == 1 else 's'})" if others else ""
        yield f"{names[0]}{tail}: {reason}"


def _wrong_labels(labels: Mapping[str, str]) -> Iterator[_Wrong]:
    for mode in ("enforce", "audit", "warn"):
        key = _LABEL + mode
        if key in labels and labels[key] not in LEVELS:
            text = f'Invalid value: "{labels[key]}": must be one of {", ".join(LEVELS)}'
            yield _Wrong(f"metadata.labels[{key}]", text)
        key += "-version"
        if key in labels and not re.fullmatch(r"latest|v1\.(0|[1-9]\d{0,3})", labels[key]):
            text = f'Invalid value: "{labels[key]}": must be "latest" or "v1.x"'
            yield _Wrong(f"metadata.labels[{key}]", text)
