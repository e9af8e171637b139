"""What the pods of an object may do, and what they read."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

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
        return obj.get("spec") or {}
    return None


def containers(spec: Obj | None) -> Iterator[Obj]:
    """All containers, of every sort."""
    for part in ("initContainers", "containers", "ephemeralContainers"):
        yield from dig(spec, part, default=())


def images(spec: Obj | None) -> list[str]:
    """Of all containers."""
    return [str(item.get("image") or "") for item in containers(spec)]


def node_selector(obj: Obj) -> dict[str, str]:
    """Of an object's pods."""
    return dict(dig(spec_of(obj), "nodeSelector", default={}))


def account(spec: Obj) -> str:
    """The service account that the pods run as."""
    return str(spec.get("serviceAccountName") or "default")


def privileges(spec: Obj) -> set[str]:
    """What the pods may do beyond their own walls."""
    found = {name for name in _HOST if spec.get(name)}
    found |= {f"host {path}" for item in spec.get("volumes") or () if (path := dig(item, "hostPath", "path"))}
    contexts: list[Any] = [dig(spec, "securityContext", default={})]
    for item in containers(spec):
        context = item.get("securityContext") or {}
        contexts.append(context)
        if context.get("privileged"):
            found.add("privileged")
        found |= {f"capability {word}" for word in dig(context, "capabilities", "add", default=())}
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
    for item in spec.get("volumes") or ():
        found.add(dig(item, "secret", "secretName"))
        found |= {dig(source, "secret", "name") for source in dig(item, "projected", "sources", default=())}
    for item in containers(spec):
        found |= {dig(one, "valueFrom", "secretKeyRef", "name") for one in item.get("env") or ()}
        found |= {dig(one, "secretRef", "name") for one in item.get("envFrom") or ()}
    return {str(name) for name in found if name}


def probes(spec: Obj) -> set[tuple[str, str]]:
    """Which containers have which probes."""
    return {
        (str(item.get("name")), probe)
        for item in containers(spec)
        for probe in ("livenessProbe", "readinessProbe", "startupProbe")
        if item.get(probe)
    }
