"""Routes and listeners of gateways: to lead to Services and ports that are there, in time."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

from firedrill.agents.oncall.earlier import key_of
from firedrill.agents.oncall.fields import writes
from firedrill.agents.oncall.steps import Obj, Scene, Step, patch
from firedrill.agents.sleuth.case import listing

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
    """Lead to a Service to which the gateway led before, at a port that it offers."""
    space, name = str(backend.get("namespace") or namespace), str(backend.get("name"))
    led = _led(scene, route)
    said = []
    if (led and name not in led) or scene.at("Service", space, name) is None:
        meant = next((one for one in led if scene.at("Service", space, one) is not None), None)
        if meant is None:
            return []
        backend["name"] = name = meant
        said.append(f"lead to {name}, as before")
    service = scene.at("Service", space, name)
    ports = [port.get("port") for port in listing(service, "spec", "ports")]
    if ports and backend.get("port") not in ports:
        backend["port"] = _plain(ports)
        said.append(f"lead to port {backend['port']}")
    return said


def _led(scene: Scene, route: Obj) -> list[str]:
    """The Services that the route's gateways called before the onset, the busiest first."""
    gateways = [str(parent.get("name")) for parent in listing(route, "spec", "parentRefs")]
    weight: dict[str, float] = {}
    for one in scene.found.metrics:
        labels, points = one.get("metric") or {}, one.get("values") or ()
        source, callee = str(labels.get("source_workload") or ""), labels.get("destination_service_name")
        before = [float(value) for at, value in points if float(at) < scene.onset]
        if callee and len(before) > 1 and any(source in (name, f"{name}-istio") for name in gateways):
            weight[str(callee)] = weight.get(str(callee), 0.0) + before[-1] - before[0]
    return sorted((name for name in weight if weight[name] > 0), key=lambda name: (-weight[name], name))


def _plain(ports: list[Any]) -> Any:
    """The port that a Service is asked on by browsers, or its first."""
    return next((port for port in (80, 8080, 9080, 443) if port in ports), ports[0])


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
