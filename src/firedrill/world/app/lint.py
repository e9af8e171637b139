"""Looking over an application package: what would not work, or not as its author thinks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal, NamedTuple

from firedrill.world.app.address import parse_address
from firedrill.world.app.graph import compile_graph
from firedrill.world.app.model import Call, Service
from firedrill.world.app.packages import Package
from firedrill.world.app.teaching import container_of, objects_of
from firedrill.world.kube import quantity
from firedrill.world.kube.objects import Obj, dig, name_of

_MIB = 1024 * 1024


class Finding(NamedTuple):
    """One remark.

    Attributes:
        level: `error`: it will not work; `warning`: it is probably not what was meant.
        where: part of the package, such as `services.cart.operations.get`.
        problem, mend: what is wrong, and what to do about it.
    """

    level: Literal["error", "warning"]
    where: str
    problem: str
    mend: str


def lint(package: Package) -> list[Finding]:
    """All remarks on a package that can be read, errors first.

    Raises:
        InputError: the graph cannot be compiled.
    """
    graph = compile_graph(package.application)
    found = [*_workloads(package), *_calls(package), *_flags(package), *_unused(package)]
    if graph.depth >= package.application.depth:
        mend = "raise `depth`, or cut the cycle"
        found.append(Finding("warning", "depth", f"chains of calls are cut after {graph.depth} levels", mend))
    return sorted(found, key=lambda item: item.level != "error")


def _workloads(package: Package) -> Iterator[Finding]:
    application = package.application
    load = application.load
    places = [
        (f"services.{item.name}", workload, item.container)
        for item in application.services
        for workload in (item.workload, *item.also)
    ]
    for where, workload, name in [*places, ("load", load.workload, load.container)]:
        if container_of(workload, name, package.manifests) is None:
            kind = workload[0].partition(".")[0]
            problem = f"no manifest has the container {name!r} in {kind}/{workload[1]}"
            yield Finding("error", where, problem, "correct `workload` and `container`, or add the manifest")
    for service in application.services:
        container = container_of(service.workload, service.container, package.manifests)
        if container is not None:
            yield from _container(service, container)


def _container(service: Service, container: Obj) -> Iterator[Finding]:
    where = f"services.{service.name}"
    env = {str(item.get("name")) for item in container.get("env") or ()}
    if not container.get("envFrom"):
        for name in (*service.needs.env, *service.needs.secrets, *service.needs.hosts):
            if name not in env:
                mend = "correct `needs`, or set the variable in the manifest"
                yield Finding("error", f"{where}.needs", f"the manifest does not set {name}", mend)
    for name in service.needs.secrets:
        source: Obj = next((item for item in container.get("env") or () if item.get("name") == name), {})
        if name in env and not dig(source, "valueFrom", "secretKeyRef"):
            mend = "take it from a Secret, or move it to `needs.env`"
            yield Finding("warning", f"{where}.needs.secrets", f"{name} comes from no Secret", mend)
    ports = [int(item.get("containerPort") or 0) for item in container.get("ports") or ()]
    if ports and service.port not in ports:
        problem = f"the manifest opens {', '.join(map(str, ports))}, not {service.port}"
        yield Finding("warning", f"{where}.port", problem, "correct one of the two")
    limit = dig(container, "resources", "limits", "memory")
    if limit is not None and _bytes(limit) < service.memory_base:
        problem = f"it uses {service.memory_base // _MIB} MiB when idle and may use {limit}"
        yield Finding("error", f"{where}.memory", problem, "raise the limit, or lower `base_mb`")


def _bytes(text: object) -> int:
    try:
        return quantity.value(str(text))
    except ValueError:
        return 1 << 62


def _named_calls(package: Package) -> Iterator[tuple[str, str, Call]]:
    """(place, name of the service that makes it, call); an empty name is the load generator."""
    application = package.application
    for number, entry in enumerate(application.load.entries):
        yield f"load.entries[{number}]", "", entry.call
    for queue in application.queues:
        for number, call in enumerate(queue.consumers):
            yield f"queues.{queue.name}.consumers[{number}]", call.service, call
    for service in application.services:
        for operation in service.operations:
            for number, call in enumerate(operation.calls):
                where = f"services.{service.name}.operations.{operation.name}.calls[{number}]"
                yield where, service.name, call


def _calls(package: Package) -> Iterator[Finding]:
    application = package.application
    services = {item.name: item for item in application.services}
    exposed = {name_of(obj): obj for obj in objects_of(package.manifests) if obj.get("kind") == "Service"}
    queues = {queue.name for queue in application.queues}
    published = {call.publishes for _, _, call in _named_calls(package) if call.publishes}
    for name in sorted(queues - published):
        yield Finding("warning", f"queues.{name}", "nobody publishes into it", "add `publishes` to a call")
    for where, maker, call in _named_calls(package):
        own = services.get(maker)
        workload = own.workload if own is not None else application.load.workload
        name = own.container if own is not None else application.load.container
        container = container_of(workload, name, package.manifests)
        if container is None:
            continue
        text = call.host
        if call.address:
            item = next((one for one in container.get("env") or () if one.get("name") == call.address), None)
            if item is None:
                if not container.get("envFrom"):
                    problem = f"the manifest does not set {call.address}"
                    yield Finding("error", where, problem, "correct `address`, or set the variable")
                continue
            text = str(item.get("value") or "")
        if text and "$(" not in text and not where.startswith("queues."):
            yield from _address(where, text, services[call.service], exposed)


def _address(where: str, text: str, target: Service, exposed: Mapping[str, Obj]) -> Iterator[Finding]:
    address = parse_address(text, target.port)
    if not address.host:
        yield Finding("error", where, f"{text!r} names no host", "write host:port, an URL, or Host=…;Port=…")
        return
    found = exposed.get(address.host.partition(".")[0])
    foreign = "." in address.host and not address.host.endswith((".svc", ".local"))
    if found is None or foreign:
        if address.host.count(".") < 2:
            problem = f"no Service in the manifests is called {address.host}"
            yield Finding("warning", where, problem, "correct the address, or add the Service")
        return
    ports = [int(item.get("port") or 0) for item in dig(found, "spec", "ports", default=())]
    if ports and address.port not in ports:
        problem = f"the Service {name_of(found)} has no port {address.port}"
        yield Finding("error", where, problem, f"use one of {', '.join(map(str, ports))}")


def _flags(package: Package) -> Iterator[Finding]:
    services = {item.name: item for item in package.application.services}
    for number, flag in enumerate(package.application.flags):
        where = f"flags[{number}]"
        for name in filter(None, (flag.service, flag.provider, flag.target)):
            if name not in services:
                yield Finding("error", where, f"no service is called {name!r}", "correct the name")
        names = [item.name for item in services[flag.service].operations] if flag.service in services else []
        if flag.operation and names and flag.operation not in names:
            mend = f"use one of {', '.join(names)}"
            yield Finding("error", where, f"{flag.service} has no operation {flag.operation!r}", mend)
        if flag.parameter == "unreachable" and not flag.target:
            yield Finding("error", where, "it says not what cannot be reached", "add `target`")
        if flag.file and not _has_file(package, flag.file):
            problem = f"no ConfigMap has the file {flag.file}"
            yield Finding("warning", where, problem, "correct `file`, or add it to a ConfigMap")


def _has_file(package: Package, name: str) -> bool:
    maps = [obj for obj in objects_of(package.manifests) if obj.get("kind") == "ConfigMap"]
    return any(name in (obj.get("data") or {}) for obj in maps)


def _unused(package: Package) -> Iterator[Finding]:
    reached = {(call.service, call.operation) for _, _, call in _named_calls(package)}
    for service in package.application.services:
        if not any((service.name, item.name) in reached for item in service.operations):
            where = f"services.{service.name}"
            yield Finding("warning", where, "nothing ever calls it", "add a call, or remove it")
