"""How programs find each other: selectors, ports, protocols, addresses, routes."""

from __future__ import annotations

import difflib
from collections.abc import Iterator

from firedrill.agents.sleuth.case import Body, Case, Thing, ident, listing, mapping
from firedrill.agents.sleuth.families.common import clues, container_ports, kubectl, undo, workload_of
from firedrill.agents.sleuth.graph import addresses, service_named, settings
from firedrill.agents.sleuth.model import Ground, Hypothesis
from firedrill.agents.sleuth.symptoms import wanted

ROUTES = ("Ingress", "HTTPRoute", "VirtualService", "GRPCRoute", "TCPRoute")
"""Kinds that lead requests to Services."""


def services(case: Case) -> Iterator[Hypothesis]:
    """A Service that no pod fits, or whose port leads nowhere."""
    can_tell = case.records("Pod") or case.records("Deployment")
    for service in case.all("Service"):
        selector = service.spec.get("selector")
        if not can_tell or not isinstance(selector, dict) or not selector:
            continue
        behind = workload_of(case, service)
        if not behind:
            yield _nobody(case, service, selector)
        else:
            yield from _ports(service, behind)


def _nobody(case: Case, service: Thing, selector: Body) -> Hypothesis:
    twin = [
        thing
        for thing in case.workloads
        if thing.namespace == service.namespace
        and (
            thing.name == service.name
            or any(value in thing.pod_labels.values() for value in selector.values())
        )
    ]
    labels = {str(key): str(value) for key, value in sorted(selector.items())}
    near = f"; {twin[0].kind} {twin[0].name} carries {dict(twin[0].pod_labels)}" if twin else ""
    return Hypothesis(
        service.id,
        "services",
        Ground.CONTRADICTION,
        f"its selector {labels} fits no pod{near}",
        strength=1.0 if twin else 0.5,
        explains=tuple(thing.id for thing in twin),
        evidence=clues(
            service.clue(f"selector {labels}"), twin[0].clue("pod labels differ") if twin else None
        ),
        fix=(kubectl(service.id, "edit"),),
    )


def _ports(service: Thing, behind: list[Thing]) -> Iterator[Hypothesis]:
    ports = listing(service.spec, "ports")
    problems = {number: _problem(port, behind) for number, port in enumerate(ports)}
    works = any(not problem for problem in problems.values())
    for number, problem in problems.items():
        if not problem:
            continue
        port = ports[number]
        text = f"port {port.get('port')} leads to target port {_target(port)}: {problem}"
        # beside a port that works, another may lead to one that pods need not declare
        sure = not works or "forwards" in problem
        yield Hypothesis(
            service.id,
            "services",
            Ground.CONTRADICTION if sure else Ground.ODDITY,
            text,
            strength=1.0 if sure else 0.5,
            explains=tuple(thing.id for thing in behind),
            evidence=clues(service.clue(text)),
            fix=(kubectl(service.id, "edit"),),
        )


def _target(port: Body) -> object:
    return port.get("targetPort", port.get("port"))


def _problem(port: Body, behind: list[Thing]) -> str:
    """Why a port of a Service leads nowhere, empty when it leads somewhere."""
    entries = [entry for thing in behind for box in thing.containers for entry in listing(box, "ports")]
    declared = set().union(*(container_ports(thing) for thing in behind))
    target = _target(port)
    if isinstance(target, str) and not target.isdigit():
        known = not entries or target in {entry.get("name") for entry in entries}
        return "" if known else f"no container port is called {target}"
    if declared and str(target).isdigit() and int(str(target)) not in declared:
        return f"its pods listen on {sorted(declared)}, not on {target}"
    spoken = {
        str(entry.get("protocol") or "TCP")
        for entry in entries
        if str(entry.get("containerPort")) == str(target)
    }
    protocol = str(port.get("protocol") or "TCP")
    if spoken and protocol not in spoken:
        return f"it forwards {protocol}, but its pods speak {', '.join(sorted(spoken))}"
    return ""


def settings_addresses(case: Case) -> Iterator[Hypothesis]:
    """A workload is told an address, or a port of it, that no Service offers."""
    missing: dict[tuple[str, str], list[tuple[Thing, str, str]]] = {}
    for thing in case.workloads:
        if not case.records("Service", thing.namespace):
            continue
        for _, name, value in settings(thing):
            for host, port in addresses(value):
                service = service_named(case, thing.namespace, host)
                if service is None and _means_service(case, thing, name, host, port):
                    missing.setdefault((thing.namespace, host.split(".")[0]), []).append((thing, name, value))
                elif service is not None and port is not None and not _offers(service, port):
                    offered = [entry.get("port") for entry in listing(service.spec, "ports")]
                    text = f"{name}={value} names port {port}, but Service {service.name} offers {offered}"
                    yield _address(case, thing, service, text)
    for (namespace, host), users in sorted(missing.items()):
        yield from _absent(case, namespace, host, users)


def _address(case: Case, thing: Thing, service: Thing, text: str) -> Hypothesis:
    # several that expect one port, against one Service: then the Service is the one that differs
    return Hypothesis(
        thing.id,
        "addresses",
        Ground.CONTRADICTION,
        text,
        explains=(),
        evidence=clues(thing.clue(text), service.clue("its ports")),
        fix=(undo(thing.id), kubectl(thing.id, "edit")),
        features={"alone": 1.0 / (1 + _others(case, thing, service))},
    )


def _others(case: Case, thing: Thing, service: Thing) -> int:
    """How many other workloads are told a port of the Service that it does not offer."""
    count = 0
    for other in case.workloads:
        if other.id == thing.id or other.namespace != thing.namespace:
            continue
        for _, _, value in settings(other):
            for host, port in addresses(value):
                if (
                    port
                    and service_named(case, other.namespace, host) is service
                    and not _offers(service, port)
                ):
                    count += 1
    return count


def _offers(service: Thing, port: int) -> bool:
    ports = listing(service.spec, "ports")
    return not ports or any(entry.get("port") == port for entry in ports)


def _means_service(case: Case, thing: Thing, variable: str, host: str, port: int | None) -> bool:
    name, _, rest = host.partition(".")
    place = rest.split(".")[0] if rest else thing.namespace
    if place != thing.namespace and not case.records("Service", place):
        return False
    if (rest and not rest.startswith((f"{place}.svc", place))) or name.isdigit() or host == "localhost":
        return False
    if rest and "svc" not in rest and not case.all("Namespace"):
        return False
    if rest and case.get("Namespace", None, place) is None and "svc" not in rest:
        return False
    if port is None:
        suspicious = variable.upper().endswith(("_HOST", "_HOSTNAME", "_SERVICE"))
        return suspicious and any(service.name.startswith(name[:4]) for service in case.all("Service"))
    return any(char.isalpha() for char in name)


def _absent(
    case: Case, namespace: str, host: str, users: list[tuple[Thing, str, str]]
) -> Iterator[Hypothesis]:
    target = ident("Service", namespace, host)
    gone = case.objects.get(target)
    twin = [thing for thing in case.workloads if thing.namespace == namespace and thing.name == host]
    tops = sorted({thing.id for thing, _, _ in users})
    where = ", ".join(sorted({f"{thing.name} ({name}={value})" for thing, name, value in users}))[:240]
    text = f"{where} look for Service {host}, which does not exist"
    evidence = clues(*(thing.clue(f"{name}={value}") for thing, name, value in users[:3]))
    if gone is not None or twin or len(tops) > 1:
        yield Hypothesis(
            target,
            "addresses",
            Ground.CONTRADICTION,
            text,
            explains=(*tops, *(t.id for t in twin)),
            strength=1.0 if gone is not None else 0.9,
            evidence=evidence,
            fix=(
                f"kubectl -n {namespace} get service {host}",
                f"kubectl -n {namespace} apply -f SERVICE_{host}.yaml",
            ),
        )
    elif tops:
        sign = _missed(case, namespace, host, users)
        yield Hypothesis(
            tops[0],
            "addresses",
            Ground.CONTRADICTION if sign else Ground.ODDITY,
            f"{text}; {sign}" if sign else text,
            evidence=evidence,
            strength=1.0 if sign else 0.4,
            fix=(undo(tops[0]), kubectl(tops[0], "edit")),
        )


def _missed(case: Case, namespace: str, host: str, users: list[tuple[Thing, str, str]]) -> str:
    """What shows that somebody misses the Service; without it, the feature may be unused."""
    names = [service.name for service in case.all("Service") if service.namespace == namespace]
    near = difflib.get_close_matches(host, names, n=1, cutoff=0.85)
    if near:
        return f"Service {near[0]} exists"
    mine = {thing.id for thing, _, _ in users}
    wanted = {name for _, name, _ in users}
    for other in case.workloads:
        if other.namespace == namespace and other.id not in mine:
            for _, name, value in settings(other):
                if name in wanted and any(service_named(case, namespace, at) for at, _ in addresses(value)):
                    return f"{other.name} has {name}={value}"
    if any(change.path.endswith(".value") for thing, _, _ in users for change in thing.changes):
        return "its settings were changed"
    if any(host in line.text for line in case.lines):
        return "programs complain of it"
    return ""


def routes(case: Case) -> Iterator[Hypothesis]:
    """An Ingress or route whose backend is no Service, or no port of it."""
    for route in case.all(*ROUTES):
        for name, port in backends(route.spec):
            if not case.records("Service", route.namespace):
                continue
            service = service_named(case, route.namespace, name)
            if service is None and "." not in name:
                text = f"it routes to Service {name}, which does not exist"
            elif service is not None and isinstance(port, int) and not _offers(service, port):
                text = f"it routes to port {port} of Service {name}, which offers no such port"
            else:
                continue
            yield Hypothesis(
                route.id,
                "routes",
                Ground.CONTRADICTION,
                text,
                evidence=clues(route.clue(text)),
                explains=(ident("Service", route.namespace, name),),
                fix=(kubectl(route.id, "edit"),),
            )


def backends(spec: Body) -> Iterator[tuple[str, object]]:
    """``(Service, port)`` of everything that an Ingress or a route leads to."""
    for rule in listing(spec, "rules"):
        for path in listing(rule, "http", "paths"):
            service = mapping(path, "backend", "service")
            if isinstance(service.get("name"), str):
                yield service["name"], mapping(service, "port").get("number")
        for backend in listing(rule, "backendRefs"):
            if isinstance(backend.get("name"), str):
                yield backend["name"], backend.get("port")
    for key in ("http", "tcp", "tls"):
        for entry in listing(spec, key):
            for route in listing(entry, "route"):
                host = mapping(route, "destination").get("host")
                if isinstance(host, str):
                    yield host, mapping(route, "destination", "port").get("number")


def scaled_down(case: Case) -> Iterator[Hypothesis]:
    """A workload that others reach through a Service has no replicas by its own spec."""
    for thing in case.all("Deployment", "StatefulSet", "ReplicaSet"):
        if case.top(thing.id) != thing.id or wanted(thing) != 0 or thing.kind == "ReplicaSet":
            continue
        fronts = tuple(case.service_of.get(thing.id, ()))
        yield Hypothesis(
            thing.id,
            "scaling",
            Ground.CONTRADICTION,
            "it is scaled to zero replicas",
            strength=1.0 if fronts else 0.4,
            explains=fronts,
            evidence=clues(thing.clue("spec.replicas is 0")),
            fix=(kubectl(thing.id, "scale", "--replicas=1"),),
        )
