"""The rest of an incident's way: services that suffer because of others that do, read off what deviates."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from firedrill.suites.living.deviating import FEWER, fronts
from firedrill.world.app.traffic import Traffic

if TYPE_CHECKING:
    from firedrill.suites.living.groups import Groups
    from firedrill.world.app.model import Application
    from firedrill.world.world import World

Step = Callable[[str, str, str, str], None]
"""Called with (source, target, condition, effect)."""


def spread(
    world: World, groups: Groups, step: Step, wrong: Mapping[str, Sequence[str]], unled: Sequence[str]
) -> None:
    """Add steps to services that deviate and have no group yet.

    From a cause that leads nowhere so far to the services that suffer although nothing that they call does;
    from a service that suffers to its callers; and from one that fails to those that it asks less therefore.

    Args:
        world: before the faults.
        groups: that there are.
        step: adds one.
        wrong: what is wrong, by entity.
        unled: the causes that lead nowhere so far.
    """
    graph = world.cluster.part(Traffic).graph
    if graph is None:
        return
    callees = _callees(graph.app, fronts(world))
    suffering = [entity for entity, what in wrong.items() if entity in callees and set(what) - {FEWER}]
    first = [
        entity
        for entity in suffering
        if not groups.known(entity) and not any(other in suffering for other in callees[entity])
    ]
    for cause in unled:
        for entity in first:
            step(cause, entity, f"{_named(cause)} acts on it", _told(wrong[entity]))
    _upwards(groups, step, wrong, suffering, callees)
    fewer = [entity for entity, what in wrong.items() if FEWER in what and entity in callees]
    _downwards(groups, step, fewer, callees)


def _callees(app: Application, named: Mapping[str, str]) -> dict[str, list[str]]:
    """By service, what it calls or sends messages to."""
    consumers = {queue.name: [call.service for call in queue.consumers] for queue in app.queues}
    out: dict[str, list[str]] = {}
    for service in app.services:
        called = out.setdefault(named[service.name], [])
        for call in (call for operation in service.operations for call in operation.calls):
            names = [call.service, *consumers.get(call.publishes, ())]
            called += [named[name] for name in names if named[name] not in called]
    return out


def _upwards(
    groups: Groups,
    step: Step,
    wrong: Mapping[str, Sequence[str]],
    suffering: Sequence[str],
    callees: Mapping[str, Sequence[str]],
) -> None:
    found = True
    while found:
        found = False
        for entity in suffering:
            if groups.known(entity):
                continue
            callee = next((c for c in callees[entity] if c in suffering and groups.known(c)), None)
            if callee is not None:
                step(callee, entity, f"{_named(entity)} calls {_named(callee)}", _told(wrong[entity]))
                found = True


def _downwards(
    groups: Groups, step: Step, fewer: Sequence[str], callees: Mapping[str, Sequence[str]]
) -> None:
    found = True
    while found:
        found = False
        for entity in fewer:
            if groups.known(entity):
                continue
            callers = (caller for caller, asked in callees.items() if entity in asked)
            caller = next((item for item in callers if item != entity and groups.known(item)), None)
            if caller is not None:
                step(caller, entity, f"{_named(caller)} fails before it asks {_named(entity)}", FEWER)
                found = True


def _named(entity: str) -> str:
    return entity.split("/", 2)[2]


def _told(what: Sequence[str]) -> str:
    return " and ".join(dict.fromkeys(what))


__all__ = ["spread"]
