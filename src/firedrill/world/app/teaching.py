"""What a graph knows of programs that manifests do not tell: what they use, and what they need to start."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from firedrill.world.app.model import Application, Service
from firedrill.world.kube.objects import Obj, dig, name_of
from firedrill.world.kube.programs import Listen, Program, catalogue
from firedrill.world.kube.programs.model import Protocol
from firedrill.world.kube.programs.reference import Reference, parse_reference

if TYPE_CHECKING:
    from firedrill.world.world import World

_STYLES = {"javascript": "node", "typescript": "node", "kotlin": "java", "csharp": "dotnet", "c++": "cpp"}
_KINDS = {
    "Deployment": "deployments.apps",
    "StatefulSet": "statefulsets.apps",
    "DaemonSet": "daemonsets.apps",
}


def teach(world: World, application: Application, manifests: Sequence[Obj]) -> None:
    """Let the images of an application run the programs that its graph describes; after `programs.learn`.

    Where services share an image, its program needs what all of them need.
    """
    shared: dict[Reference, list[Service]] = {}
    for service in application.services:
        for reference in images_of(service, manifests):
            shared.setdefault(reference, []).append(service)
    for reference, services in shared.items():
        program = catalogue.program_of(world, reference)
        if reference.repository in world.cluster.part(catalogue.Catalogue).repositories:
            catalogue.set_variant(world, reference, _taught(program, services))
            continue
        # A public image: its program is known, but for ports that it is told of, such as a gateway's.
        ports = {item.port for item in program.listens}
        told = tuple(Listen(item.port, _spoken(item)) for item in services if item.port not in ports)
        if told:
            catalogue.set_variant(world, reference, replace(program, listens=(*program.listens, *told)))


def _taught(program: Program, services: Sequence[Service]) -> Program:
    style = _STYLES.get(services[0].language, services[0].language)
    if catalogue.habits_of(style):
        program = replace(program, style=style, **catalogue.habits_of(style))
    for item in services:
        program = replace(program, listens=_listens(program.listens, item))
    return replace(
        program,
        memory=min(item.memory_base for item in services),
        start=services[0].start_ms or program.start,
        needs_env=_needed([(*item.needs.env, *item.needs.secrets) for item in services], services),
        needs_hosts=_needed([item.needs.hosts for item in services], services),
    )


def _listens(known: tuple[Listen, ...], service: Service) -> tuple[Listen, ...]:
    """The ports of a program, with what the service speaks at its own one."""
    return tuple(
        replace(item, protocol=_spoken(service))
        if item.port == service.port and item.protocol != "https"
        else item
        for item in known
    )


def _spoken(service: Service) -> Protocol:
    return service.protocol if service.protocol in ("http", "grpc") else "tcp"


def _needed(names: Sequence[tuple[str, ...]], services: Sequence[Service]) -> tuple[str, ...]:
    """The names that all of the services cannot start without."""
    if any(service.needs.without != "crash" for service in services):
        return ()
    return tuple(name for name in dict.fromkeys(names[0]) if all(name in other for other in names))


def images_of(service: Service, manifests: Sequence[Obj]) -> list[Reference]:
    """The images of a service's program, each once."""
    out: list[Reference] = []
    for workload in (service.workload, *service.also):
        container = container_of(workload, service.container, manifests)
        reference = parse_reference(str(container.get("image") or "")) if container is not None else None
        if reference is not None and reference not in out:
            out.append(reference)
    return out


def container_of(workload: tuple[str, str], name: str, manifests: Sequence[Obj]) -> Obj | None:
    """The container of that name in a workload's pods."""
    for obj in objects_of(manifests):
        if (_KINDS.get(str(obj.get("kind"))), name_of(obj)) != workload:
            continue
        for item in dig(obj, "spec", "template", "spec", "containers", default=()):
            if item.get("name") == name:
                return item  # type: ignore[no-any-return]
    return None


def objects_of(manifests: Sequence[Obj]) -> Iterator[Obj]:
    """The manifests, those in Lists one by one."""
    for obj in manifests:
        items = obj.get("items")
        yield from items if isinstance(items, list) else (obj,)
