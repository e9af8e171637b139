"""Volumes of pods: what is missing, and what a container sees under its mounts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from firedrill.world.kube.kubelet.environment import data_of, field, resource_of
from firedrill.world.kube.kubelet.state import PodState, node_of
from firedrill.world.kube.objects import Obj, dig, namespace_of

if TYPE_CHECKING:
    from firedrill.world.world import World

_CHECKED = {"Directory": "is not a directory", "File": "is not a file", "Socket": "is not a socket"}
_SHOWN = {"configMap", "secret", "projected", "downwardAPI"}
_WRITTEN = ("/var/run", "/run", "/var/cache/nginx", "/var/lib")
_HOST_PATHS = (
    "/", "/bin", "/boot", "/dev", "/etc", "/home", "/lib", "/mnt", "/opt", "/proc", "/root", "/run", "/sys",
    "/usr", "/var",
)  # fmt: skip


def problems(world: World, pod: Obj) -> list[tuple[str, str]]:
    """(volume, what the kubelet says) for every volume that cannot be mounted now."""
    out = []
    for volume in pod["spec"].get("volumes") or ():
        said = _problem(world, pod, volume)
        if said:
            out.append((str(volume.get("name")), said))
    return out


def _problem(world: World, pod: Obj, volume: Mapping[str, Any]) -> str:
    namespace, name = namespace_of(pod), volume.get("name")
    setup = f'MountVolume.SetUp failed for volume "{name}" : '
    for source, optional in sources(volume):
        said = _missing(world, namespace, source, optional)
        if said:
            return setup + said
    claim = dig(volume, "persistentVolumeClaim", "claimName")
    if claim:
        found = world.cluster.store.get("persistentvolumeclaims", namespace, claim)
        if found is None:
            return f'persistentvolumeclaim "{claim}" not found'
        if dig(found, "status", "phase") != "Bound":
            return f'PVC "{namespace}/{claim}" is not bound'
    host = volume.get("hostPath")
    if host and host.get("type") in _CHECKED and not _host_has(world, str(host.get("path") or "")):
        return f"{setup}hostPath type check failed: {host.get('path')} {_CHECKED[host['type']]}"
    return ""


def sources(volume: Mapping[str, Any]) -> list[tuple[tuple[str, str, tuple[str, ...]], bool]]:
    """((resource, name, keys), optional) of each ConfigMap or Secret that a volume shows."""
    listed = [volume, *(dig(volume, "projected", "sources") or ())]
    out = []
    for item in listed:
        for key, resource, naming in (
            ("configMap", "configmaps", "name"),
            ("secret", "secrets", "secretName" if item is volume else "name"),
        ):
            ref = item.get(key)
            if ref:
                keys = tuple(str(entry.get("key")) for entry in ref.get("items") or ())
                out.append(((resource, str(ref.get(naming) or ""), keys), bool(ref.get("optional"))))
    return out


def _missing(world: World, namespace: str, source: tuple[str, str, tuple[str, ...]], optional: bool) -> str:
    resource, name, keys = source
    found = world.cluster.store.get(resource, namespace, name)
    if found is None:
        return "" if optional else f'{resource[:-1]} "{name}" not found'
    have = {**(found.get("data") or {}), **(found.get("binaryData") or {})}
    for key in keys:
        if key not in have and not optional:
            return (
                "references non-existent config key: " + key
                if resource == "configmaps"
                else ("references non-existent secret key: " + key)
            )
    return ""


def _host_has(world: World, path: str) -> bool:
    """Whether the machine has that path: what machines have, and what an administrator has prepared."""
    top = "/" + path.strip("/").partition("/")[0]
    return top in _HOST_PATHS or path == "/"


def denied(world: World, pod: Obj, container: Mapping[str, Any], user: int) -> frozenset[str]:
    """The mounted folders that a user cannot write to."""
    volumes = {item.get("name"): item for item in pod["spec"].get("volumes") or ()}
    group = dig(pod, "spec", "securityContext", "fsGroup")
    out = set()
    for mount in container.get("volumeMounts") or ():
        volume = volumes.get(mount.get("name")) or {}
        path = str(mount.get("mountPath") or "")
        fixed = mount.get("readOnly") or volume.keys() & _SHOWN
        read_only = fixed or dig(volume, "persistentVolumeClaim", "readOnly")
        foreign = user > 0 and group is None and _owned_by_root(world, namespace_of(pod), volume)
        if read_only or foreign:
            out.add(path)
    if dig(container, "securityContext", "readOnlyRootFilesystem"):
        mounted = {str(mount.get("mountPath")) for mount in container.get("volumeMounts") or ()}
        out |= {path for path in _WRITTEN if path not in mounted}
    return frozenset(out)


def _owned_by_root(world: World, namespace: str, volume: Mapping[str, Any]) -> bool:
    """Folders that an administrator made belong to root; those that a provisioner made are open to all."""
    if volume.keys() & {"hostPath", "nfs"}:
        return True
    claim = dig(volume, "persistentVolumeClaim", "claimName")
    found = world.cluster.store.get("persistentvolumeclaims", namespace, claim) if claim else None
    name = dig(found, "spec", "volumeName")
    bound = world.cluster.store.get("persistentvolumes", "", name) if name else None
    if bound is None or "pv.kubernetes.io/provisioned-by" in (bound["metadata"].get("annotations") or {}):
        return False
    return bool(bound["spec"].keys() & {"hostPath", "nfs", "local"})


def shows(world: World, pod: Obj, state: PodState) -> dict[str, Mapping[str, str]]:
    """What the volumes of a pod show now, by volume."""
    out: dict[str, Mapping[str, str]] = {}
    for volume in pod["spec"].get("volumes") or ():
        if volume.keys() & _SHOWN:
            out[str(volume.get("name"))] = contents(world, pod, volume, state)
    return out


def begin(world: World, pod: Obj, state: PodState, item: Mapping[str, Any]) -> PodState:
    """A container starts: single files that it mounts stay as they are from now on."""
    shown = dict(state.shown)
    for mount in item.get("volumeMounts") or ():
        name = str(mount.get("name"))
        if mount.get("subPath") and name in shown:
            shown[f"{item['name']}@{name}"] = shown[name]
    return replace(state, shown=shown) if len(shown) != len(state.shown) or shown != state.shown else state


def contents(world: World, pod: Obj, volume: Mapping[str, Any], state: PodState) -> dict[str, str]:
    """File contents of a volume, by path in it."""
    out: dict[str, str] = {}
    for item in (volume, *(dig(volume, "projected", "sources") or ())):
        out |= _from_object(world, pod, item, "secretName" if item is volume else "name")
        if item.get("serviceAccountToken"):
            path = str(item["serviceAccountToken"].get("path") or "token")
            out[path] = "eyJhbGciOiJSUzI1NiJ9." + world.rng.hexadecimal(
                64, "sa.token", pod["metadata"]["uid"]
            )
        for entry in dig(item, "downwardAPI", "items", default=()) or ():
            out[str(entry.get("path"))] = _downward(world, pod, entry, state)
    return out


def _from_object(world: World, pod: Obj, item: Mapping[str, Any], naming: str) -> dict[str, str]:
    out: dict[str, str] = {}
    for key, resource, name in (("configMap", "configmaps", "name"), ("secret", "secrets", naming)):
        ref = item.get(key)
        found = world.cluster.store.get(resource, namespace_of(pod), str(ref.get(name))) if ref else None
        if found is None:
            continue
        data = data_of(found)
        if ref and ref.get("items"):
            out |= {str(e.get("path")): data[e["key"]] for e in ref["items"] if e.get("key") in data}
        else:
            out |= data
    return out


def _downward(world: World, pod: Obj, entry: Mapping[str, Any], state: PodState) -> str:
    node = node_of(world, state.node)
    if entry.get("resourceFieldRef"):
        return resource_of(pod, {}, entry["resourceFieldRef"], world)
    path = str(dig(entry, "fieldRef", "fieldPath", default=""))
    return field(pod, path, state, node) if node is not None else ""
