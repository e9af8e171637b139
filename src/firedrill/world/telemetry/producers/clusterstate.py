"""The producer of what kube-state-metrics tells: series of each object, read anew when it has changed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from firedrill.world.kube.objects import Obj, name_of, namespace_of
from firedrill.world.kube.store import Ref, TooOldError
from firedrill.world.telemetry import labels as label_sets
from firedrill.world.telemetry.monitoring import Monitoring
from firedrill.world.telemetry.producers.families import Family, Found, families, fill
from firedrill.world.telemetry.producers.state import Held, Metering

if TYPE_CHECKING:
    from firedrill.world.telemetry.store import SeriesStore
    from firedrill.world.world import World

TARGET = "kube-state-metrics"
_LABELS = {"job": TARGET, "instance": f"{TARGET}.monitoring.svc:8080"}
_NONE = Held(-1, ())


def begin(world: World, store: SeriesStore) -> None:
    """Let the objects of the world be scraped."""
    store.add_target(TARGET, _LABELS, world.now, offset_ms=0)
    for groups in families().values():
        for family in (one for group in groups for one in group):
            store.describe(family.name, family.kind, _help(family))
            store.steadiness.follow(TARGET, [family.name])


def _help(family: Family) -> str:
    return family.name.removeprefix("kube_").replace("_", " ").capitalize() + "."


def update(world: World) -> int:
    """Write the series of all objects that have changed since the last call; returns how many these were."""
    part, objects = world.cluster.part(Metering), world.cluster.store
    if part.rv == objects.rv:
        return 0
    known = families()
    changed: dict[Ref, Obj | None] = {}
    try:
        for change in objects.since(part.rv):
            if change.resource in known:
                ref = (change.resource, namespace_of(change.obj), name_of(change.obj))
                changed[ref] = None if change.type == "DELETED" else change.obj
    except TooOldError:
        changed = _everything(world, part)
    part.rv = objects.rv
    store = world.cluster.part(Monitoring).store
    for ref, obj in changed.items():
        _write(part, store, ref, obj, world.now)
    return len(changed)


def _everything(world: World, part: Metering) -> dict[Ref, Obj | None]:
    objects = world.cluster.store
    out: dict[Ref, Obj | None] = dict.fromkeys(part.objects)
    for resource in families():
        out |= {(resource, namespace_of(obj), name_of(obj)): obj for obj in objects.list(resource)}
    return out


def _write(part: Metering, store: SeriesStore, ref: Ref, obj: Obj | None, now: int) -> None:
    groups = families()[ref[0]]
    before = part.objects.pop(ref, None) or (_NONE,) * len(groups)
    if obj is None:
        for held in before:
            if held.block >= 0:
                store.retire(held.block, now)
        return
    part.objects[ref] = tuple(
        _write_group(store, group, obj, held, now) for group, held in zip(groups, before, strict=True)
    )


def _write_group(store: SeriesStore, group: tuple[Family, ...], obj: Obj, held: Held, now: int) -> Held:
    found: Found = {}
    for family in group:
        fill(family, obj, found)
    series = tuple(found)
    if series != held.series:
        if held.block >= 0:
            store.retire(held.block, now)
        held = Held(store.block(TARGET, series, now) if series else -1, series)
    if held.block >= 0:
        row, values = store.values(held.block), list(found.values())
        if row.tolist() != values:
            row[:] = values
            store.steadiness.note({label_sets.metric(one) for one in series}, now)
    return held
