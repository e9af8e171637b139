"""What breaks requirements on pods, namespaces and accounts, for scenarios that collect with kubectl.

Namespaces of the system are exempt in all of them. What has an owner is judged through its owner.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from firedrill.suites.compliance.controls.pods import Obj, Objects, containers, pod_of, security
from firedrill.suites.compliance.loading import load, words_of
from firedrill.suites.compliance.patching import entity

SYSTEM = frozenset({"kube-system", "kube-public", "kube-node-lease", "kyverno"})
EMPTY = SYSTEM | {"default"}
"""Exempt where the text says that nothing runs in `default`."""
_LEVELS = frozenset({"baseline", "restricted"})
_ENFORCE = "pod-security.kubernetes.io/enforce"
_ADDED = frozenset({"NET_BIND_SERVICE"})


def namespace(obj: Obj) -> str:
    """Where an object is; `default` where it does not say, empty for what belongs to no namespace."""
    if obj.get("kind") in ("Namespace", "ClusterRole", "ClusterRoleBinding"):
        return ""
    return str((obj.get("metadata") or {}).get("namespace") or "default")


def workloads(objects: Objects, exempt: Iterable[str] = SYSTEM) -> Iterator[tuple[Obj, Obj]]:
    """Everything that is or makes pods by itself, with the spec of its pods."""
    for obj in objects:
        pod = pod_of(obj)
        if pod is None or namespace(obj) in exempt or (obj.get("metadata") or {}).get("ownerReferences"):
            continue
        yield obj, pod.get("spec") or {}


def pods(breaks: Callable[[Obj], bool]) -> Callable[[Objects], set[str]]:
    """A procedure that names the workloads whose pods break something."""
    return lambda objects: {entity(obj) for obj, spec in workloads(objects) if breaks(spec)}


def each(breaks: Callable[[Obj], bool]) -> Callable[[Objects], set[str]]:
    """A procedure that names the workloads one of whose containers breaks something."""
    return pods(lambda spec: any(breaks(item) for item in containers(spec)))


def _names(objects: Objects, exempt: Iterable[str]) -> list[str]:
    names = [str(obj["metadata"]["name"]) for obj in objects if obj.get("kind") == "Namespace"]
    return [name for name in names if name not in exempt]


def _accounts(objects: Objects) -> dict[tuple[str, str], Obj]:
    return {
        (namespace(obj), str(obj["metadata"]["name"])): obj
        for obj in objects
        if obj.get("kind") == "ServiceAccount"
    }


def default_accounts(objects: Objects) -> set[str]:
    """The default account of a namespace gives its token away, or somebody runs as it."""
    accounts = _accounts(objects)
    found = {
        f"{name}/ServiceAccount/default"
        for name in _names(objects, EMPTY)
        if accounts.get((name, "default"), {}).get("automountServiceAccountToken") is not False
    }
    for obj, spec in workloads(objects, EMPTY):
        if spec.get("serviceAccountName") in (None, "", "default"):
            found.add(entity(obj))
    return found


def mounts_token(spec: Mapping[str, Any], account: Mapping[str, Any] | None) -> bool:
    """Whether pods of this spec get a token: their own word, then their account's, then yes; or by hand."""
    for volume in spec.get("volumes") or ():
        for source in (volume.get("projected") or {}).get("sources") or ():
            if "serviceAccountToken" in source:
                return True
    own = spec.get("automountServiceAccountToken")
    if own is None:
        own = (account or {}).get("automountServiceAccountToken")
    return own is not False


def tokens(objects: Objects) -> set[str]:
    """Workloads with a token that are not the listed one."""
    words = words_of(load("ko-06"))
    listed = f"{words['home']}/Deployment/{words['listed']}"
    accounts = _accounts(objects)
    found = set()
    for obj, spec in workloads(objects, EMPTY):
        account = accounts.get((namespace(obj), spec.get("serviceAccountName") or "default"))
        if entity(obj) != listed and mounts_token(spec, account):
            found.add(entity(obj))
    return found


def unlabelled(objects: Objects) -> set[str]:
    """Namespaces whose pods are not held to a level."""
    return {
        entity(obj)
        for obj in objects
        if obj.get("kind") == "Namespace"
        and obj["metadata"]["name"] not in EMPTY
        and (obj["metadata"].get("labels") or {}).get(_ENFORCE) not in _LEVELS
    }


def keeps_capabilities(container: Obj) -> bool:
    """Not all dropped, or one added that is not on the list."""
    found = security(container).get("capabilities") or {}
    return "ALL" not in (found.get("drop") or ()) or not set(found.get("add") or ()) <= _ADDED


def _selects_all(policy: Obj) -> bool:
    spec = policy.get("spec") or {}
    selector = spec.get("podSelector") or {}
    types = spec.get("policyTypes")
    ingress = types is None or not types or "Ingress" in types
    return ingress and not selector.get("matchLabels") and not selector.get("matchExpressions")


def open_namespaces(objects: Objects) -> set[str]:
    """Namespaces without a policy that selects all of their pods for what comes in."""
    closed = {namespace(obj) for obj in objects if obj.get("kind") == "NetworkPolicy" and _selects_all(obj)}
    return {f"cluster/Namespace/{name}" for name in _names(objects, EMPTY) if name not in closed}


def secret_in_environment(container: Obj) -> bool:
    """A secret is a variable of the container, alone or with all the others of its Secret."""
    single = any("secretKeyRef" in (item.get("valueFrom") or {}) for item in container.get("env") or ())
    return single or any("secretRef" in item for item in container.get("envFrom") or ())


def loosely_run(spec: Obj) -> bool:
    """Some container may run as root, write to its root or gain privileges."""
    inherited = (spec.get("securityContext") or {}).get("runAsNonRoot")
    for container in containers(spec):
        own = security(container)
        plain = own.get("runAsNonRoot", inherited) is True
        if not (
            plain
            and own.get("readOnlyRootFilesystem") is True
            and own.get("allowPrivilegeEscalation") is False
        ):
            return True
    return False


JUDGES = {
    "ko-05": default_accounts,
    "ko-06": tokens,
    "ko-09": unlabelled,
    "ko-10": pods(lambda spec: bool(spec.get("hostNetwork"))),
    "ko-11": each(keeps_capabilities),
    "ko-12": open_namespaces,
    "ko-13": each(secret_in_environment),
    "ko-14": pods(loosely_run),
}
