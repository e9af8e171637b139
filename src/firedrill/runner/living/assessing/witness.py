"""Part e: whoever tells of trouble still does: rules, silences, scraping, and the users themselves."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from firedrill.core.living import Flaw, PartFacts
from firedrill.faults._diff import differences, plain
from firedrill.runner.living.assessing.broken import Broken, entity_of
from firedrill.world.app.traffic import Traffic
from firedrill.world.kube.objects import is_deleting
from firedrill.world.telemetry.monitoring import Monitoring

if TYPE_CHECKING:
    from firedrill.world.telemetry.rules import Silence
    from firedrill.world.world import World

TOTAL = 4.0
"""Rules, silences, what is scraped, and the load generator."""


def silenced(before: World, world: World, broken: Broken) -> PartFacts:
    """What tells less than before the first fault.

    Args:
        before: right before the first fault.
        world: at the end of the verification.
        broken: what the faults did.
    """
    flaws: list[Flaw] = []
    excused: list[Flaw] = []
    for group in (list(_rules(before, world)), list(_silences(before, world)), list(_scraped(before, world))):
        flaws += [flaw.model_copy(update={"weight": round(1.0 / len(group), 9)}) for flaw in group]
    for flaw in _load(before, world):
        (excused if broken.touched(flaw.entity) and flaw.what != "missing" else flaws).append(flaw)
    return PartFacts(total=TOTAL, flaws=tuple(flaws), excused=tuple(excused))


def _rules(before: World, world: World) -> Iterator[Flaw]:
    old, new = (
        {(group.file, group.name): group for group in one.cluster.part(Monitoring).rules.groups}
        for one in (before, world)
    )
    for key in sorted(old):
        if new.get(key) != old[key]:
            what = "changed" if key in new else "missing"
            yield Flaw(entity=f"cluster/RuleGroup/{key[1]}", what=what)


def _silences(before: World, world: World) -> Iterator[Flaw]:
    usual = {item.id for item in active_silences(before)}
    for item in active_silences(world):
        if item.id not in usual:
            text = ", ".join(f"{m.name}{m.op}{m.value}" for m in item.matchers)
            yield Flaw(entity=f"cluster/Silence/{item.id}", what="silenced", detail=text)


def active_silences(world: World) -> list[Silence]:
    """The silences that hold now."""
    silences = world.cluster.part(Monitoring).silences
    return [item for item in silences if item.state(world.now) == "active"]


def _scraped(before: World, world: World) -> Iterator[Flaw]:
    old, new = (
        {dict(target.labels).get("job", "") for target in one.cluster.part(Monitoring).store.targets()}
        for one in (before, world)
    )
    for job in sorted(old - new):
        yield Flaw(entity=f"cluster/Job/{job}", what="not scraped")


def _load(before: World, world: World) -> Iterator[Flaw]:
    """The load generator has to be as it was: it is whom the service is measured by."""
    graph = before.cluster.part(Traffic).graph
    if graph is None:
        return
    resource, name = graph.app.load.workload
    was = before.cluster.store.get(resource, graph.app.namespace, name)
    now = world.cluster.store.get(resource, graph.app.namespace, name)
    if was is None:
        return
    if now is None or is_deleting(now):
        yield Flaw(entity=entity_of(was), what="missing")
        return
    found = [str(leaf.path[-1]) for leaf in differences(plain(was), plain(now))]
    if found:
        yield Flaw(entity=entity_of(was), what="changed", detail=", ".join(found[:5]))


__all__ = ["TOTAL", "active_silences", "silenced"]
