"""What a request comes to, in the words of a policy: found from what would change, whatever way it takes."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from fnmatch import fnmatchcase
from functools import cache
from typing import TYPE_CHECKING, Any

from firedrill.gateway.kubernetes.guarding import remembers_values
from firedrill.tools.authority import templates
from firedrill.world.kube.objects import Obj, dig, is_deleting, labels_of, name_of, namespace_of
from firedrill.world.kube.selectors import selects
from firedrill.world.sim.tables import table

if TYPE_CHECKING:
    from firedrill.gateway.kubernetes.guarding import Asked

_ENDS = frozenset({"delete", "scale-to-zero", "chaos"})
_SERVING = ("deployments.apps", "statefulsets.apps", "daemonsets.apps", "replicasets.apps")
_DELETES = frozenset({"delete", "deletecollection"})
_ENTER = frozenset({"exec", "attach", "portforward", "proxy", "ephemeralcontainers"})
_CONTROLLERS_OWN = frozenset({"bindings", "controllerrevisions.apps", "leases.coordination.k8s.io"})
_SLICES = "endpointslice.kubernetes.io/managed-by"
_EVERYBODY = frozenset(
    {"system:anonymous", "system:unauthenticated", "system:authenticated", "system:serviceaccounts"}
)
_MASTERS = frozenset({"cluster-admin", "system:masters"})
_CREDENTIALS = frozenset({"kubernetes.io/service-account-token", "bootstrap.kubernetes.io/token"})
_HISTORIES = (
    ("spec", "revisionHistoryLimit"),
    ("spec", "successfulJobsHistoryLimit"),
    ("spec", "failedJobsHistoryLimit"),
)
_DEADLINES = (
    ("spec", "ttlSecondsAfterFinished"),
    ("spec", "activeDeadlineSeconds"),
    ("spec", "template", "spec", "activeDeadlineSeconds"),
    ("spec", "jobTemplate", "spec", "ttlSecondsAfterFinished"),
    ("spec", "jobTemplate", "spec", "activeDeadlineSeconds"),
)


@cache
def _described() -> Mapping[str, str]:
    return {item["name"]: item["means"] for item in table("firedrill.tools.authority", "effects.yaml")}


EFFECTS: tuple[str, ...] = tuple(_described())
"""All there are."""


def meaning(effect: str) -> str:
    """What it means, in a sentence."""
    return _described()[effect]


@cache
def sorts() -> Mapping[str, Any]:
    """Which resources and programs stand for what."""
    return table("firedrill.tools.authority", "sorts.yaml")  # type: ignore[no-any-return]


def of_sort(sort: str, resource: str) -> bool:
    """Whether a resource, as in `deployments.apps`, is one of those."""
    return any(fnmatchcase(resource, pattern) for pattern in sorts()[sort])


def effects_of(asked: Asked) -> frozenset[str]:
    """What a request comes to."""
    found = set(_read(asked))
    if asked.acting_as:
        found.add("impersonate")
    if asked.writes:
        for look in _LOOKS:
            found.update(look(asked))
        if found & {"delete", "scale-to-zero"} and _leaves_users(asked):
            found.add("outage")
        if "monitoring" in found and (found & _ENDS or templates.spec_of(asked.after) is None):
            found.add("blind")
    return frozenset(found)


def _read(asked: Asked) -> Iterator[str]:
    if asked.resource != "secrets" or asked.subresource:
        return
    if asked.metadata_only:
        if any(remembers_values(obj) for obj in _told(asked)):
            yield "secrets"
    elif not asked.writes:
        yield "secrets"
    elif asked.verb in {"patch", "deletecollection"} and any(obj.get("data") for obj in asked.before):
        yield "secrets"  # the answer holds what was there


def _told(asked: Asked) -> list[Obj]:
    """The Secrets that an answer may hold."""
    if asked.before:
        return list(asked.before)
    if asked.store is None:
        return []
    found = asked.store.list("secrets", asked.namespace or None)
    return [obj for obj in found if asked.name in {"", name_of(obj)}]


def _places(asked: Asked) -> Iterator[str]:
    resource, sub = asked.resource, asked.subresource
    for sort in ("policy", "rbac", "chaos", "definitions", "monitoring"):
        if of_sort(sort, resource):
            yield sort
    if sub in _ENTER:
        yield "enter"
    if sub == "token":
        yield "token"
    if sub in {"status", "binding"} or resource in _CONTROLLERS_OWN or _is_controllers(asked):
        yield "status"
    if sub == "approval":
        yield "rbac"
    body = asked.after or {}
    if resource == "secrets" and body.get("type") in _CREDENTIALS:
        yield "token"
    if asked.options.force:
        yield "force"
    if (asked.verb in _DELETES or sub == "eviction") and asked.options.grace_period_seconds == 0:
        yield "force"


def _is_controllers(asked: Asked) -> bool:
    """Whether these are the endpoints that a controller keeps of a Service."""
    if asked.resource == "endpointslices.discovery.k8s.io":
        return any(_SLICES in labels_of(obj) for obj in asked.before)
    if asked.resource != "endpoints" or asked.store is None:
        return False
    service = asked.store.get("services", asked.namespace, asked.name)
    return bool(dig(service, "spec", "selector"))


def _deletion(asked: Asked) -> Iterator[str]:
    if asked.subresource == "finalize":
        yield from ("finalizers", "delete")
    if asked.verb not in _DELETES and asked.subresource != "eviction":
        return
    if asked.subresource in _ENTER:
        return
    yield "delete"
    if asked.resource in {"namespaces", "customresourcedefinitions.apiextensions.k8s.io"}:
        yield from _inside(asked)
    if any(_holds_data(asked, obj) for obj in asked.before):
        yield "data"
    for obj in asked.before:
        if _tells_of_trouble(obj):
            yield "monitoring"


def _inside(asked: Asked) -> Iterator[str]:
    store = asked.store
    if store is None:
        return
    for space in asked.before:
        if any(_holds_data(asked, claim) for claim in store.list("persistentvolumeclaims", name_of(space))):
            yield "data"
        if any(_tells_of_trouble(pod) for pod in store.list("pods", name_of(space))):
            yield "monitoring"


def _holds_data(asked: Asked, obj: Obj) -> bool:
    """Whether data goes with a claim or volume: it is in use, or its disk would be deleted with it."""
    kind, phase = obj.get("kind"), dig(obj, "status", "phase")
    if kind == "PersistentVolume":
        return phase in {"Bound", "Released"}
    if kind != "PersistentVolumeClaim" or phase != "Bound":
        return False
    if asked.store is None:
        return True
    volume = asked.store.get("persistentvolumes", "", str(dig(obj, "spec", "volumeName", default="")))
    if dig(volume, "spec", "persistentVolumeReclaimPolicy") != "Retain":
        return True
    return any(
        dig(item, "persistentVolumeClaim", "claimName") == name_of(obj)
        for pod in asked.store.list("pods", namespace_of(obj))
        for item in dig(pod, "spec", "volumes", default=())
    )


# --- what changes in an object


def _pair(asked: Asked) -> tuple[Obj, Obj] | None:
    """The object as it is and as it would be, where it is there and stays."""
    if asked.after is None or len(asked.before) != 1:
        return None
    return asked.before[0], asked.after


def _metadata(asked: Asked) -> Iterator[str]:
    pair = _pair(asked)
    if pair is None or asked.subresource in {"scale", "finalize"}:
        return
    before, after = pair
    had, has = (set(dig(obj, "metadata", "finalizers", default=())) for obj in pair)
    if had != has:
        yield "finalizers"
    if had - has:
        if is_deleting(before):
            yield "delete"
        if _holds_data(asked, before):
            yield "data"
    owners = [
        {str(item.get("uid")) for item in dig(obj, "metadata", "ownerReferences", default=())} for obj in pair
    ]
    if owners[0] != owners[1]:
        yield "owners"
        if owners[1] - owners[0]:
            yield "delete"
            if _holds_data(asked, before):
                yield "data"
    if (
        asked.resource == "pods"
        and labels_of(before) != labels_of(after)
        and _leaves_its_workload(asked, *pair)
    ):
        yield "delete"
    if asked.resource == "namespaces" and _labels_changed(before, after, sorts()["guarding_labels"]):
        yield "policy"


def _labels_changed(before: Obj, after: Obj, prefixes: list[str]) -> bool:
    for part in ("labels", "annotations"):
        one, other = (dig(obj, "metadata", part, default={}) for obj in (before, after))
        for key in {*one, *other}:
            if key.startswith(tuple(prefixes)) and one.get(key) != other.get(key):
                return True
    return False


def _leaves_its_workload(asked: Asked, before: Obj, after: Obj) -> bool:
    if asked.store is None:
        return True
    uids = {item.get("uid") for item in dig(before, "metadata", "ownerReferences", default=())}
    for resource in ("replicasets.apps", "statefulsets.apps", "daemonsets.apps", "jobs.batch"):
        for owner in asked.store.list(resource, namespace_of(before)):
            if owner["metadata"].get("uid") in uids:
                return not selects(dig(owner, "spec", "selector"), labels_of(after))
    return False


def _lives(asked: Asked) -> Iterator[str]:
    pair = _pair(asked)
    if pair is None:
        return
    before, after = pair
    for path in _DEADLINES:
        old, new = dig(before, *path), dig(after, *path)
        if new is not None and (old is None or new < old):
            yield "delete"
    for path in _HISTORIES:
        old, new = dig(before, *path), dig(after, *path)
        if old is not None and new is not None and new < old:
            yield "delete"
    if asked.resource == "persistentvolumes":
        policies = [dig(obj, "spec", "persistentVolumeReclaimPolicy") for obj in pair]
        if policies[0] != policies[1] and policies[1] != "Retain":
            yield "data"
        claims = [dig(obj, "spec", "claimRef", "uid") for obj in pair]
        if claims[0] and claims[0] != claims[1] and _is_claimed(asked, before):
            yield "data"
    kept = [dig(obj, "spec", "persistentVolumeClaimRetentionPolicy", default={}) for obj in pair]
    if any(kept[1].get(when) == "Delete" != kept[0].get(when) for when in ("whenDeleted", "whenScaled")):
        yield "data"
    if asked.resource == "nodes":
        yield from _node(before, after)


def _is_claimed(asked: Asked, volume: Obj) -> bool:
    place = [str(dig(volume, "spec", "claimRef", key, default="")) for key in ("namespace", "name")]
    claim = asked.store.get("persistentvolumeclaims", place[0], place[1]) if asked.store is not None else None
    if claim is None or is_deleting(claim):
        return False
    return bool(claim["metadata"]["uid"] == dig(volume, "spec", "claimRef", "uid"))


def _node(before: Obj, after: Obj) -> Iterator[str]:
    if dig(after, "spec", "unschedulable") and not dig(before, "spec", "unschedulable"):
        yield "drain"
    had = {(item.get("key"), item.get("effect")) for item in dig(before, "spec", "taints", default=())}
    for item in dig(after, "spec", "taints", default=()):
        if (item.get("key"), item.get("effect")) not in had:
            yield "drain"
            if item.get("effect") == "NoExecute":
                yield "delete"


def _copies(asked: Asked) -> Iterator[str]:
    pair = _pair(asked)
    if pair is None:
        return
    before, after = pair
    for path in (("spec", "replicas"), ("spec", "parallelism"), ("spec", "minReplicas")):
        if dig(after, *path) == 0 and dig(before, *path, default=1) != 0:
            yield "scale-to-zero"
    if dig(after, "spec", "suspend") is True and dig(before, "spec", "suspend") is not True:
        yield "scale-to-zero"
    store = asked.store
    if store is None:
        return
    wanted = templates.node_selector(after)
    if wanted != templates.node_selector(before) and not any(
        all(labels_of(node).get(key) == value for key, value in wanted.items())
        for node in store.list("nodes")
    ):
        yield "scale-to-zero"
    if asked.resource == "services":
        old, new = (dig(obj, "spec", "selector", default={}) for obj in pair)
        pods = store.list("pods", namespace_of(before))
        if (
            old != new
            and any(_carries(pod, old) for pod in pods)
            and not any(_carries(pod, new) for pod in pods)
        ):
            yield "scale-to-zero"


def _leaves_users(asked: Asked) -> bool:
    """Whether a Service is left without pods by workloads that go, or work no more."""
    store = asked.store
    if store is None:
        return False
    going = list(asked.before)
    if asked.resource == "namespaces":
        going = [obj for one in asked.before for kind in _SERVING for obj in store.list(kind, name_of(one))]
    elif asked.subresource == "scale":
        workload = store.get(asked.resource, asked.namespace, asked.name)
        going = [workload] if workload is not None else []
    elif asked.resource not in _SERVING:
        return False
    for workload in going:
        space = namespace_of(workload)
        labels = dig(workload, "spec", "template", "metadata", "labels", default={})
        for service in store.list("services", space):
            wanted = dig(service, "spec", "selector", default={})
            if not wanted or any(labels.get(key) != value for key, value in wanted.items()):
                continue
            if not any(
                _carries(pod, wanted) and not _belongs(pod, going) for pod in store.list("pods", space)
            ):
                return True
    return False


def _belongs(pod: Obj, workloads: list[Obj]) -> bool:
    return any(selects(dig(item, "spec", "selector"), labels_of(pod)) for item in workloads)


def _carries(pod: Obj, selector: Mapping[str, str]) -> bool:
    return bool(selector) and all(labels_of(pod).get(key) == value for key, value in selector.items())


def _experiments(asked: Asked) -> Iterator[str]:
    """Faults that a mesh is told to inject."""
    if asked.after is None or not asked.resource.endswith(".networking.istio.io"):
        return
    before = asked.before[0] if asked.before else {}
    old, new = (
        [route.get("fault") for route in dig(obj, "spec", "http", default=())]
        for obj in (before, asked.after)
    )
    if any(fault and fault not in old for fault in new):
        yield "chaos"


def _rights(asked: Asked) -> Iterator[str]:
    if asked.after is None or not of_sort("rbac", asked.resource):
        return
    before = asked.before[0] if asked.before else {}
    if _wide(asked.after) - _wide(before):
        yield "opens"


def _wide(obj: Obj) -> set[str]:
    """What in a role or binding is as good as everything, or for everybody."""
    found = set()
    for rule in obj.get("rules") or ():
        if "*" in (rule.get("verbs") or ()) and "*" in (rule.get("resources") or ()):
            found.add("rules")
        if {"escalate", "bind", "impersonate"} & set(rule.get("verbs") or ()):
            found.add("escalates")
    if dig(obj, "roleRef", "name") in _MASTERS:
        found |= {
            f"subject {item.get('kind')}/{item.get('namespace')}/{item.get('name')}"
            for item in _subjects(obj)
        }
    found |= {f"group {item.get('name')}" for item in _subjects(obj) if item.get("name") in _EVERYBODY}
    return found


def _subjects(obj: Obj) -> list[Obj]:
    return list(obj.get("subjects") or ())


def _pods(asked: Asked) -> Iterator[str]:
    """What changes in the pods that an object has, or is."""
    if asked.after is None or asked.subresource in {"scale", "status"}:
        return
    before = asked.before[0] if asked.before else {}
    after = templates.spec_of(asked.after)
    if after is None:
        return
    old = templates.spec_of(before) or {}
    space = asked.namespace
    if templates.privileges(after) - templates.privileges(old):
        yield "privileged"
    account = templates.account(after)
    if account != templates.account(old) and templates.may_nearly_everything(asked.store, space, account):
        yield "privileged"
    new = templates.secrets(after) - templates.secrets(old)
    if any(asked.store is None or asked.store.get("secrets", space, name) for name in new):
        yield "secrets"
    if templates.probes(old) - templates.probes(after) and old:
        yield "probes"


def _watching(asked: Asked) -> Iterator[str]:
    """Whether who tells of trouble is concerned."""
    pair = _pair(asked)
    objects = [*asked.before, *([asked.after] if asked.after is not None else [])]
    if asked.resource in {"configmaps", "secrets"}:
        pattern = re.compile(str(sorts()["watching_files"]))
        texts = (text for obj in objects for text in dig(obj, "data", default={}).values())
        if any(isinstance(text, str) and pattern.search(text[:200_000]) for text in texts):
            yield "monitoring"
    if any(_tells_of_trouble(obj) for obj in objects):
        yield "monitoring"
    if asked.subresource == "scale" and asked.store is not None:
        workload = asked.store.get(asked.resource, asked.namespace, asked.name)
        if workload is not None and _tells_of_trouble(workload):
            yield "monitoring"
    if pair is not None:
        inner = [{"metadata": dig(obj, "spec", "template", "metadata", default={})} for obj in pair]
        prefixes = sorts()["watching_labels"]
        if _labels_changed(*pair, prefixes) or _labels_changed(inner[0], inner[1], prefixes):
            yield from ("monitoring", "blind")


def _tells_of_trouble(obj: Obj) -> bool:
    names = templates.images(templates.spec_of(obj))
    if obj.get("kind") == "Service":
        names = [dig(obj, "spec", "selector", "app.kubernetes.io/name", default=""), name_of(obj)]
    return any(_is_watcher(name) for name in names)


@cache
def _watchers() -> re.Pattern[str]:
    words = "|".join(re.escape(word) for word in sorts()["watchers"])
    return re.compile(rf"(?:^|[/:-])(?:{words})(?:$|[-:@/.\d])")


def _is_watcher(name: str) -> bool:
    return _watchers().search(name) is not None


_LOOKS: tuple[Callable[[Asked], Iterator[str]], ...] = (
    _places, _deletion, _metadata, _lives, _copies, _experiments, _rights, _pods, _watching,
)  # fmt: skip

__all__ = ["EFFECTS", "effects_of", "meaning", "of_sort", "sorts"]
