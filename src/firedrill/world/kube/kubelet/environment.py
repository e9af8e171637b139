"""The environment of a container: literal values, references, and the Services of its namespace."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from firedrill.world.kube import quantity
from firedrill.world.kube.kubelet.state import NodeState, PodState
from firedrill.world.kube.objects import Obj, dig, name_of, namespace_of
from firedrill.world.kube.programs.scripts import expand

if TYPE_CHECKING:
    from firedrill.world.world import World


class ConfigError(Exception):
    """A container's configuration cannot be made: what the kubelet says about it."""


def resolve(
    world: World, pod: Obj, container: Mapping[str, Any], state: PodState, node: NodeState
) -> dict[str, str]:
    """All variables of a container, in order.

    Raises:
        ConfigError: something that it refers to is missing.
    """
    namespace = namespace_of(pod)
    image = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
    base = {**image, "HOSTNAME": name_of(pod) if not dig(pod, "spec", "hostNetwork") else node.name}
    links = _service_links(world, pod)
    out = _from_sources(world, namespace, container)
    for item in container.get("env") or ():
        name = str(item.get("name"))
        source = item.get("valueFrom")
        if source:
            value = _from(world, pod, container, state, node, source)
            if value is not None:
                out[name] = value
        else:
            out[name] = expand(str(item.get("value") or ""), {**links, **out})
    return {**base, **out, **{key: value for key, value in links.items() if key not in out}}


def _from_sources(world: World, namespace: str, container: Mapping[str, Any]) -> dict[str, str]:
    out: dict[str, str] = {}
    for source in container.get("envFrom") or ():
        prefix = str(source.get("prefix") or "")
        for key, kind in (("configMapRef", "configmap"), ("secretRef", "secret")):
            ref = source.get(key)
            if not ref:
                continue
            found = world.cluster.store.get(f"{kind}s", namespace, str(ref.get("name")))
            if found is None:
                if ref.get("optional"):
                    continue
                raise ConfigError(f'{kind} "{ref.get("name")}" not found')
            out |= {prefix + name: value for name, value in sorted(data_of(found).items())}
    return out


def _from(
    world: World,
    pod: Obj,
    container: Mapping[str, Any],
    state: PodState,
    node: NodeState,
    source: Mapping[str, Any],
) -> str | None:
    if "fieldRef" in source:
        return field(pod, str(source["fieldRef"].get("fieldPath") or ""), state, node)
    if "resourceFieldRef" in source:
        return resource_of(pod, container, source["resourceFieldRef"], world)
    namespace = namespace_of(pod)
    for key, kind, title in (
        ("configMapKeyRef", "configmap", "ConfigMap"),
        ("secretKeyRef", "secret", "Secret"),
    ):
        ref = source.get(key)
        if not ref:
            continue
        name, wanted = str(ref.get("name")), str(ref.get("key"))
        found = world.cluster.store.get(f"{kind}s", namespace, name)
        if found is None:
            if ref.get("optional"):
                return None
            raise ConfigError(f'{kind} "{name}" not found')
        data = data_of(found)
        if wanted not in data:
            if ref.get("optional"):
                return None
            raise ConfigError(f"couldn't find key {wanted} in {title} {namespace}/{name}")
        return data[wanted]
    return None


def data_of(found: Mapping[str, Any]) -> dict[str, str]:
    """The contents of a ConfigMap or Secret as text."""
    if found.get("kind") != "Secret":
        plain = {str(key): str(value) for key, value in (found.get("data") or {}).items()}
        return plain | {
            str(key): f"({len(value)} bytes)" for key, value in (found.get("binaryData") or {}).items()
        }
    out = {}
    for key, value in (found.get("data") or {}).items():
        try:
            out[str(key)] = b64decode(str(value), validate=True).decode("utf-8", "replace")
        except ValueError:
            out[str(key)] = ""
    return out


def field(pod: Obj, path: str, state: PodState, node: NodeState) -> str:
    """What a `fieldRef` names."""
    if path.startswith(("metadata.labels['", "metadata.annotations['")):
        kind, _, key = path[9:-2].partition("['")
        return str(dig(pod, "metadata", kind, key, default=""))
    known = {
        "metadata.name": name_of(pod),
        "metadata.namespace": namespace_of(pod),
        "metadata.uid": state.uid,
        "spec.nodeName": node.name,
        "spec.serviceAccountName": str(dig(pod, "spec", "serviceAccountName", default="default")),
        "status.hostIP": node.ip,
        "status.hostIPs": node.ip,
        "status.podIP": state.ip,
        "status.podIPs": state.ip,
    }
    if path in {"metadata.labels", "metadata.annotations"}:
        items = dig(pod, "metadata", path.rpartition(".")[2], default={})
        return "\n".join(f'{key}="{items[key]}"' for key in sorted(items))
    return known.get(path, "")


def resource_of(pod: Obj, container: Mapping[str, Any], ref: Mapping[str, Any], world: World) -> str:
    """What a `resourceFieldRef` names, in units of its divisor."""
    name = str(ref.get("containerName") or container.get("name"))
    chosen = next((c for c in pod["spec"].get("containers") or () if c.get("name") == name), container)
    group, _, kind = str(ref.get("resource") or "").partition(".")
    text = dig(chosen, "resources", group, kind)
    if text is None and group == "limits":
        node = world.cluster.store.get("nodes", "", str(pod["spec"].get("nodeName")))
        text = dig(node, "status", "allocatable", kind)
    if text is None:
        return "0"
    divisor = quantity.parse(ref.get("divisor") or "1") or quantity.parse("1")
    return str(-((-quantity.parse(text)) // divisor))


def _service_links(world: World, pod: Obj) -> dict[str, str]:
    out: dict[str, str] = {}
    store = world.cluster.store
    own = namespace_of(pod)
    services = [item for item in store.list("services", "default") if name_of(item) == "kubernetes"]
    if dig(pod, "spec", "enableServiceLinks") is not False:
        services += [item for item in store.list("services", own) if item not in services]
    for service in services:
        address = str(dig(service, "spec", "clusterIP", default=""))
        ports = dig(service, "spec", "ports", default=())
        if address in {"", "None"} or not ports:
            continue
        prefix = name_of(service).upper().replace("-", "_")
        first = ports[0]
        out[f"{prefix}_SERVICE_HOST"] = address
        out[f"{prefix}_SERVICE_PORT"] = str(first["port"])
        for port in ports:
            if port.get("name"):
                named = str(port["name"]).upper().replace("-", "_")
                out[f"{prefix}_SERVICE_PORT_{named}"] = str(port["port"])
        scheme = str(first.get("protocol") or "TCP").lower()
        out[f"{prefix}_PORT"] = f"{scheme}://{address}:{first['port']}"
        for port in ports:
            protocol = str(port.get("protocol") or "TCP")
            stem = f"{prefix}_PORT_{port['port']}_{protocol}"
            out[stem] = f"{protocol.lower()}://{address}:{port['port']}"
            out[f"{stem}_PROTO"] = protocol.lower()
            out[f"{stem}_PORT"] = str(port["port"])
            out[f"{stem}_ADDR"] = address
    return out
