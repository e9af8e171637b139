"""What the pods of an object may do, and what they read."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from firedrill.tools.authority.shapes import items, mapping, text, words
from firedrill.world.kube import rbac
from firedrill.world.kube.api.request import service_account
from firedrill.world.kube.objects import Obj, dig

if TYPE_CHECKING:
    from firedrill.world.kube.store import Store

_HOST = ("hostNetwork", "hostPID", "hostIPC")
_NEARLY_ALL = (
    ("create", "rbac.authorization.k8s.io", "clusterrolebindings"),
    ("delete", "", "nodes"),
    ("list", "", "secrets"),
)


def spec_of(obj: Obj | None) -> Obj | None:
    """The pod spec in an object: of a pod, a workload, a CronJob, a PodTemplate; None where it has none."""
    for path in (
        ("spec", "jobTemplate", "spec", "template", "spec"),
        ("spec", "template", "spec"),
        ("template", "spec"),
    ):
        found = dig(obj, *path)
        if isinstance(found, dict):
            return found
    if obj is not None and obj.get("kind") == "Pod":
        return dict(mapping(obj, "spec"))
    return None


def containers(spec: Obj | None) -> Iterator[Obj]:
    """All containers, of every sort."""
    for part in ("initContainers", "containers", "ephemeralContainers"):
        yield from items(spec, part)


def images(spec: Obj | None) -> list[str]:
    """Of all containers."""
    return [text(item, "image") for item in containers(spec)]


def node_selector(obj: Obj) -> dict[str, str]:
    """Of an object's pods."""
    return dict(mapping(spec_of(obj), "nodeSelector"))


def account(spec: Obj) -> str:
    """The service account that the pods run as."""
    return text(spec, "serviceAccountName") or "default"


def privileges(spec: Obj) -> set[str]:
    """What the pods may do beyond their own walls."""
    found = {name for name in _HOST if spec.get(name)}
    found |= {f"host {path}" for item in items(spec, "volumes") if (path := dig(item, "hostPath", "path"))}
    contexts: list[Any] = [mapping(spec, "securityContext")]
    for item in containers(spec):
        context = mapping(item, "securityContext")
        contexts.append(context)
        if context.get("privileged"):
            found.add("privileged")
        found |= {f"capability {word}" for word in words(context, "capabilities", "add")}
    if any(context.get("runAsUser") == 0 for context in contexts):
        found.add("root")
    return found


def may_nearly_everything(store: Store | None, namespace: str, name: str) -> bool:
    """Whether an account has rights over the whole cluster."""
    if store is None:
        return True
    user = service_account(namespace, name)
    return any(
        rbac.authorize(store, user, verb, group, plural, "", "", "")[0] for verb, group, plural in _NEARLY_ALL
    )


def secrets(spec: Obj) -> set[str]:
    """The Secrets whose values the pods get; those to pull images with are not told to programs."""
    found = set()
    for item in items(spec, "volumes"):
        found.add(text(item, "secret", "secretName"))
        found |= {text(source, "secret", "name") for source in items(item, "projected", "sources")}
    for item in containers(spec):
        found |= {text(one, "valueFrom", "secretKeyRef", "name") for one in items(item, "env")}
        found |= {text(one, "secretRef", "name") for one in items(item, "envFrom")}
    return {name for name in found if name}


def probes(spec: Obj) -> set[tuple[str, str]]:
    """Which containers have which probes."""
    return {
        (str(item.get("name")), probe)
        for item in containers(spec)
        for probe in ("livenessProbe", "readinessProbe", "startupProbe")
        if item.get(probe)
    }
