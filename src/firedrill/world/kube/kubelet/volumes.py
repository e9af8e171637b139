"""Volumes of pods: what is missing, and what a container sees under its mounts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from firedrill.world.kube.kubelet.environment import data_of
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
    for source, optional in _sources(volume):
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


def _sources(volume: Mapping[str, Any]) -> list[tuple[tuple[str, str, tuple[str, ...]], bool]]:
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


def files(world: World, pod: Obj, container: Mapping[str, Any]) -> dict[str, str]:
    """The mounted files of a container whose contents are known, by path."""
    volumes = {item.get("name"): item for item in pod["spec"].get("volumes") or ()}
    out: dict[str, str] = {}
    for mount in container.get("volumeMounts") or ():
        content = contents(world, pod, volumes.get(mount.get("name")) or {})
        base = str(mount.get("mountPath") or "").rstrip("/")
        part = str(mount.get("subPath") or "")
        for name, text in content.items():
            if part:
                if name == part:
                    out[base] = text
            else:
                out[f"{base}/{name}"] = text
    return out


def contents(world: World, pod: Obj, volume: Mapping[str, Any]) -> dict[str, str]:
    """File contents of a volume, by path in it."""
    namespace = namespace_of(pod)
    out: dict[str, str] = {}
    for item in (volume, *(dig(volume, "projected", "sources") or ())):
        for key, resource, naming in (
            ("configMap", "configmaps", "name"),
            ("secret", "secrets", "secretName" if item is volume else "name"),
        ):
            ref = item.get(key)
            found = world.cluster.store.get(resource, namespace, str(ref.get(naming))) if ref else None
            if found is None:
                continue
            data = data_of(found)
            chosen = ref.get("items")
            if chosen:
                out |= {str(e.get("path")): data[e["key"]] for e in chosen if e.get("key") in data}
            else:
                out |= data
        if item.get("serviceAccountToken"):
            path = str(item["serviceAccountToken"].get("path") or "token")
            out[path] = "eyJhbGciOiJSUzI1NiJ9." + world.rng.hexadecimal(
                64, "sa.token", pod["metadata"]["uid"]
            )
        if item.get("downwardAPI"):
            for entry in item["downwardAPI"].get("items") or ():
                where = str(dig(entry, "fieldRef", "fieldPath", default=""))
                if where == "metadata.namespace":
                    out[str(entry.get("path"))] = namespace
    return out
