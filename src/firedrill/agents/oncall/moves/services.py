"""Services: to select the pods that are there, and to lead to the ports on which they listen."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from firedrill.agents.oncall.earlier import key_of
from firedrill.agents.oncall.fields import touches, writes
from firedrill.agents.oncall.steps import Action, Obj, Scene, Step, changed, patch
from firedrill.agents.sleuth.case import Body, listing, mapping, parts
from firedrill.agents.sleuth.graph import addresses

_WORKLOADS = ("Deployment", "StatefulSet", "DaemonSet")
_HEADLESS = "None"


def mend(scene: Scene, entity: str, why: str) -> Iterator[Step]:
    """A Service whose selector, ports or policy somebody wrote, made to fit its pods again."""
    found = scene.get(entity)
    if found is None or found[1]["kind"] != "Service":
        if found is None and parts(entity)[1] == "Service":
            yield from create(scene, entity, why)
        return
    obj = found[1]
    written = writes(obj, scene.before.base)
    wanted: Obj = dict(obj)
    said = []
    selector = _selector(scene, obj, touched=touches(written, "spec", "selector"))
    if selector is not None:
        wanted = changed(wanted, "spec", "selector", value=selector)
        said.append(f"select {selector}")
    ports = _ports(scene, wanted)
    if ports is not None:
        wanted = changed(wanted, "spec", "ports", value=ports)
        said.append("lead to the ports on which its pods listen")
    for field, usual in (("internalTrafficPolicy", "Cluster"), ("sessionAffinity", "None")):
        if touches(written, "spec", field) and mapping(obj, "spec").get(field) != usual:
            wanted = changed(wanted, "spec", field, value=usual)
            said.append(f"set {field} to {usual}")
    action = patch(scene, obj, wanted)
    if action is not None:
        yield Step(entity, f"{entity}: {', and '.join(said)}", why, (action,), guessed=True)


def _selected(scene: Scene, namespace: str, selector: Mapping[str, Any]) -> list[Obj]:
    """The workloads whose pods a selector fits."""
    return [
        item
        for item in scene.of(*_WORKLOADS, namespace=namespace)
        if selector
        and all(
            mapping(item, "spec", "template", "metadata", "labels").get(k) == v for k, v in selector.items()
        )
    ]


def _selector(scene: Scene, obj: Mapping[str, Any], *, touched: bool) -> Obj | None:
    """A selector that fits the pods of the workload that it means; None where it does, or none is meant."""
    _, namespace, name = key_of(obj)
    selector = mapping(obj, "spec", "selector")
    behind = _selected(scene, namespace, selector)
    meant = _meant(scene, namespace, name, selector)
    if meant is None or not (selector or touched):
        return None
    if behind and not (touched and key_of(meant) not in {key_of(item) for item in behind}):
        return None
    labels = mapping(meant, "spec", "template", "metadata", "labels")
    kept = {key: value for key, value in selector.items() if labels.get(key) == value}
    return kept if kept else dict(mapping(meant, "spec", "selector", "matchLabels"))


def _meant(scene: Scene, namespace: str, name: str, selector: Mapping[str, Any]) -> Obj | None:
    """The workload that a Service is for: that of its name, or the one that shares most of its selector."""
    found = scene.of(*_WORKLOADS, namespace=namespace)
    for item in found:
        if key_of(item)[2] == name:
            return item
    best: tuple[int, Obj | None] = (0, None)
    for item in found:
        labels = mapping(item, "spec", "template", "metadata", "labels")
        shared = sum(labels.get(key) == value for key, value in selector.items())
        shared += 2 * (key_of(item)[2].startswith(f"{name}-")) + (name in labels.values())
        if shared > best[0]:
            best = shared, item
    return best[1]


def _containers(obj: Mapping[str, Any]) -> list[Body]:
    spec = mapping(obj, "spec", "template", "spec")
    native = [box for box in listing(spec, "initContainers") if box.get("restartPolicy") == "Always"]
    return [*listing(spec, "containers"), *native]


def _ports(scene: Scene, obj: Mapping[str, Any]) -> list[Obj] | None:
    """Ports that lead to what the pods listen on, by number and protocol; None where they do."""
    _, namespace, name = key_of(obj)
    behind = _selected(scene, namespace, mapping(obj, "spec", "selector"))
    declared = [entry for item in behind for box in _containers(item) for entry in listing(box, "ports")]
    asked = _asked(scene, namespace, name)
    ports = [dict(port) for port in listing(obj, "spec", "ports")]
    written = writes(obj, scene.before.base)
    if not declared or not touches(written, "spec", "ports"):
        return None
    numbers = {entry.get("containerPort") for entry in declared}
    names = {entry.get("name"): entry for entry in declared if entry.get("name")}
    for port in ports:
        target = port.get("targetPort", port.get("port"))
        entry = names.get(target) if isinstance(target, str) else None
        if target not in numbers and entry is None:
            entry = _fitting(port, declared)
            port["targetPort"] = entry.get("containerPort")
        elif entry is None:
            entry = next(item for item in declared if item.get("containerPort") == target)
        spoken = {str(item.get("protocol") or "TCP") for item in declared if item is entry}
        if str(port.get("protocol") or "TCP") not in spoken:
            port["protocol"] = sorted(spoken)[0]
        wrong = "appProtocol" in port and touches(written, "spec", "ports")
        if wrong and port["appProtocol"] not in ("http", "grpc", "tcp", "kubernetes.io/h2c"):
            port.pop("appProtocol")
    offered = {port.get("port") for port in ports}
    missing = [number for number, _ in asked.most_common() if number not in offered]
    stray = [port for port in ports if port.get("port") not in asked]
    if missing and len(stray) == 1:
        stray[0]["port"] = missing[0]
    return ports if ports != listing(obj, "spec", "ports") else None


def _fitting(port: Mapping[str, Any], declared: list[Body]) -> Body:
    """The container port that a port of a Service means: of its name, of its number, or the first."""
    for entry in declared:
        if port.get("name") and entry.get("name") == port.get("name"):
            return entry
    for entry in declared:
        if entry.get("containerPort") == port.get("port"):
            return entry
    return declared[0]


def _asked(scene: Scene, namespace: str, name: str) -> Counter[int]:
    """The ports under which programs look for a Service, by what they are told."""
    out: Counter[int] = Counter()
    for item in scene.of(*_WORKLOADS, "ConfigMap"):
        space = key_of(item)[1]
        texts = [str(value) for value in mapping(item, "data").values()]
        for box in [*_containers(item), *listing(item, "spec", "template", "spec", "initContainers")]:
            texts += [str(entry.get("value") or "") for entry in listing(box, "env")]
            texts += [str(text) for key in ("args", "command") for text in box.get(key) or ()]
        for text in texts:
            for host, port in addresses(text):
                first, _, rest = host.partition(".")
                if (
                    first == name
                    and port
                    and (rest.split(".")[0] == namespace if rest else space == namespace)
                ):
                    out[port] += 1
    return out


def create(scene: Scene, entity: str, why: str) -> Iterator[Step]:
    """A Service that is gone and that programs look for, made again for the workload of its name."""
    namespace, _, name = parts(entity)
    meant = _meant(scene, namespace, name, {})
    asked = _asked(scene, namespace, name)
    if meant is None or any(scene.index.get(("Service", namespace, name), ())):
        return
    declared = [entry for box in _containers(meant) for entry in listing(box, "ports")]
    numbers = [number for number, _ in sorted(asked.items())] or [
        entry["containerPort"] for entry in declared if isinstance(entry.get("containerPort"), int)
    ]
    if not numbers:
        return
    ports = []
    for number in numbers:
        entry = _fitting({"port": number}, declared) if declared else {}
        port: Obj = {
            "port": number,
            "targetPort": entry.get("containerPort", number),
            "protocol": entry.get("protocol") or "TCP",
        }
        told = str(entry.get("name") or "")
        ports.append({"name": told or f"port-{number}", **port})
    if len({port["name"] for port in ports}) < len(ports):
        ports = [{**port, "name": f"port-{port['port']}"} for port in ports]
    labels = mapping(meant, "spec", "selector", "matchLabels")
    marks = dict(mapping(meant, "metadata", "labels"))
    body = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": namespace, "labels": marks},
        "spec": {"selector": dict(labels), "ports": ports},
    }
    action = Action("create", "services", namespace, name, body)
    yield Step(entity, f"{entity}: make it again for {key_of(meant)[2]}", why, (action,), guessed=True)
