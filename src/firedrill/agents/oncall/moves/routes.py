"""Routes and listeners of gateways: to lead to Services and ports that are there, in time."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from typing import Any

from firedrill.agents.oncall.earlier import key_of
from firedrill.agents.oncall.fields import writes
from firedrill.agents.oncall.steps import Obj, Scene, Step, patch
from firedrill.agents.sleuth.case import Body, listing, mapping

_KINDS = ("HTTPRoute", "GRPCRoute", "TCPRoute")


def mend(scene: Scene, entity: str, why: str) -> Iterator[Step]:
    """A route that somebody wrote, made to lead to Services and ports that are there again."""
    found = scene.get(entity)
    if found is None or found[1]["kind"] not in (*_KINDS, "Gateway"):
        return
    obj = found[1]
    if not writes(obj, scene.before.base):
        return
    wanted = copy.deepcopy(dict(obj))
    said = _listeners(scene, wanted) if obj["kind"] == "Gateway" else _rules(scene, wanted)
    action = patch(scene, obj, wanted)
    if action is not None:
        yield Step(entity, f"{entity}: {'; '.join(said)}", why, (action,), guessed=True)


def _rules(scene: Scene, route: Obj) -> list[str]:
    said = []
    namespace = key_of(route)[1]
    for rule in listing(route, "spec", "rules"):
        if isinstance(rule, dict) and rule.get("timeouts"):
            rule.pop("timeouts")
            said.append("let the gateway wait as long as it usually does")
        for backend in listing(rule, "backendRefs"):
            if isinstance(backend, dict):
                said += _backend(scene, namespace, route, backend)
    return list(dict.fromkeys(said))


def _backend(scene: Scene, namespace: str, route: Obj, backend: Obj) -> list[str]:
    space, name = str(backend.get("namespace") or namespace), str(backend.get("name"))
    service: Body | None = scene.at("Service", space, name)
    meant = _front(scene, space, route)
    if service is None or (meant is not None and _stranger(scene, space, name, meant)):
        if meant is None:
            return []
        backend["name"], service = key_of(meant)[2], meant
    said = [f"lead to {backend['name']}"] if backend["name"] != name else []
    ports = [port.get("port") for port in listing(service, "spec", "ports")]
    if ports and backend.get("port") not in ports:
        backend["port"] = _plain(ports)
        said.append(f"lead to port {backend['port']}")
    return said


def _plain(ports: list[Any]) -> Any:
    """The port that a Service is asked on by browsers, or its first."""
    return next((port for port in (80, 8080, 9080, 443) if port in ports), ports[0])


def _front(scene: Scene, namespace: str, route: Obj) -> Body | None:
    """The Service that a route is for: of its name, or the one that no program of the namespace asks."""
    name = key_of(route)[2]
    found = scene.of("Service", namespace=namespace)
    for service in found:
        if key_of(service)[2] == name or name.startswith(f"{key_of(service)[2]}-"):
            return service
    texts = " ".join(
        str(entry.get("value") or "")
        for item in scene.of("Deployment", "StatefulSet", namespace=namespace)
        for box in listing(item, "spec", "template", "spec", "containers")
        for entry in listing(box, "env")
    )
    unasked = [
        service
        for service in found
        if key_of(service)[2] not in texts
        and mapping(service, "spec", "selector")
        and "gateway" not in key_of(service)[2]
    ]
    return unasked[0] if len(unasked) == 1 else None


def _stranger(scene: Scene, namespace: str, name: str, meant: Mapping[str, Any]) -> bool:
    """Whether a backend is none that a route of this name would lead to."""
    return key_of(meant)[2] != name


def _listeners(scene: Scene, gateway: Obj) -> list[str]:
    """Ports on which the gateway's own Service is asked."""
    namespace, name = key_of(gateway)[1:]
    said: list[str] = []
    listeners = listing(gateway, "spec", "listeners")
    usual = {"HTTP": 80, "HTTPS": 443, "TLS": 443}
    for listener in listeners:
        port = usual.get(str(listener.get("protocol")))
        if isinstance(listener, dict) and port and listener.get("port") != port and len(listeners) == 1:
            listener["port"] = port
            said.append(f"listen on port {port} at {namespace}/{name}")
    return said
