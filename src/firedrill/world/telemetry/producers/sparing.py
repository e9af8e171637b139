"""Forks that are asked for few alerts: what these do not read is neither measured nor evaluated."""

from __future__ import annotations

from collections.abc import Collection
from functools import cache
from typing import TYPE_CHECKING

from firedrill.world.telemetry.monitoring import Monitoring
from firedrill.world.telemetry.producers import opencost, programs, queues, spanmetrics
from firedrill.world.telemetry.producers.gauges import gauges
from firedrill.world.telemetry.producers.state import Metering, Producer
from firedrill.world.telemetry.promql.inputs import names_of

if TYPE_CHECKING:
    from firedrill.world.world import World

_HEALTH: tuple[Producer, ...] = ("machines", "pods", "programs")
"""Who tells of targets whether they can be scraped."""
_BEGIN: tuple[tuple[str, Producer | None], ...] = (
    ("kube_", None),  # whoever tells of objects does it as they change, and always
    ("ALERTS", None),
    ("apiserver_", "apiserver"),
    ("istio_", "mesh"),
    ("request_result_total", "mesh"),
)


def keep_only(world: World, alerts: Collection[str]) -> None:
    """Go on with nothing but these alerts and what they read; all else stands still.

    For forks that are run for the sake of these alerts: others of their series mean nothing any more.
    """
    watched, part = world.cluster.part(Monitoring), world.cluster.part(Metering)
    watched.rules.keep_only(alerts)
    rules = [rule for group in watched.rules.groups for rule in group.rules]
    recorded = {rule.record for rule in rules if rule.record}
    read: set[str] = set()
    for rule in rules:
        names = names_of(rule.expression)
        if names is None or any("query" in text for _, text in (*rule.labels, *rule.annotations)):
            return
        read |= names - recorded
    needed: set[Producer] = set()
    for name in sorted(read):
        found = _makers(name)
        if found is None:
            return
        needed.update(found)
    part.needed = frozenset(needed)


def _makers(name: str) -> tuple[Producer, ...] | None:
    """Who writes a metric; None where that is not known."""
    if name == "up":
        return _HEALTH
    for begin, producer in _BEGIN:
        if name.startswith(begin):
            return (producer,) if producer is not None else ()
    found = _listed().get(name)
    if found is None:
        found = _listed().get(name.removesuffix("_bucket").removesuffix("_sum").removesuffix("_count"))
    return (found,) if found is not None else None


@cache
def _listed() -> dict[str, Producer]:
    out: dict[str, Producer] = dict.fromkeys(opencost.NAMES, "machines")
    for part in ("containers", "cadvisor", "kubelet", "claims", "node-exporter"):
        out |= dict.fromkeys((one.name for one in gauges(part)), "machines")
    out |= dict.fromkeys(programs.names(), "programs")
    out |= dict.fromkeys(queues.NAMES, "queues")
    return out | dict.fromkeys(spanmetrics.NAMES, "spans")


__all__ = ["keep_only"]
