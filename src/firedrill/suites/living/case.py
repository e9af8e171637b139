"""What an incident is made of: a world, and what breaks in it at which moments.

A case is all that a simulation needs: the same case gives the same incident on every machine.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from firedrill.core.scenario import Modality
from firedrill.world.sim.clock import EPOCH_MS

WARM_MS = 15 * 60_000
"""From the start until caches are warm and rates are known."""
BASELINE_MS = 15 * 60_000
ALERT_LIMIT_MS = 20 * 60_000
"""How long after the first fault an alert has to fire."""
INCIDENT_MS = 20 * 60_000
"""How long an incident is looked at after its first alert."""
LATEST_MS = 6 * 60 * 60_000
"""The last moment for a first fault, after the start."""
HEALTHY_MS = WARM_MS + BASELINE_MS
"""The first moment at which anything may break, after the start."""
MODALITIES: tuple[Modality, ...] = (
    "alerts",
    "events",
    "objects",
    "logs",
    "traces",
    "metrics",
    "topology",
)


@dataclass(frozen=True, slots=True)
class Waiter:
    """Something that is done before or after an injection without being a fault.

    Attributes:
        id: `restart-kubernetes-workload`, `scale-kubernetes-workload`, `delete-workload-pods` or
            `pause-execution`.
        args: `namespace`, `kind` and `name` of a workload; `replicas`; `seconds`.
    """

    id: str
    args: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CaseFault:
    """One fault.

    Attributes:
        id: of the mechanism.
        args: of it.
        at_ms: when, in ms after the world's start.
        after: what is done right after it, in order.
    """

    id: str
    args: Mapping[str, Any]
    at_ms: int = HEALTHY_MS
    after: tuple[Waiter, ...] = ()


@dataclass(frozen=True, slots=True)
class Case:
    """One incident before it happens.

    Attributes:
        package: name of an application that ships with Firedrill.
        faults: in order of their moments.
        seed: of the world.
        load: factor of the usual number of users.
        users: how many users instead, 0 for the usual number.
        life: level of background life, 0 for none.
        red_herrings: innocent changes shortly before the first fault.
        nodes: of the cluster.
        start: of the world, in ms since the Unix epoch.
        prepare: what is done while the world warms up.
        modalities: what an agent may see.
        limit_ms: how long after the first fault an alert has to fire.
        incident_ms: how long the incident lasts after its first alert.
    """

    package: str
    faults: tuple[CaseFault, ...]
    seed: int = 0
    load: float = 1.0
    users: int = 0
    life: int = 0
    red_herrings: int = 0
    nodes: int = 4
    start: int = EPOCH_MS
    prepare: tuple[Waiter, ...] = ()
    modalities: tuple[Modality, ...] = MODALITIES
    limit_ms: int = ALERT_LIMIT_MS
    incident_ms: int = INCIDENT_MS

    @property
    def breaks_ms(self) -> int:
        """When the first fault comes, in ms after the start."""
        return min(item.at_ms for item in self.faults)

    @property
    def world_key(self) -> tuple[Any, ...]:
        """What two cases have in common whose worlds are the same until something breaks."""
        return (
            self.package,
            self.seed,
            self.load,
            self.users,
            self.life,
            self.red_herrings,
            self.nodes,
            self.start,
            tuple((item.id, json.dumps(item.args, sort_keys=True, default=str)) for item in self.prepare),
        )


__all__ = [
    "ALERT_LIMIT_MS",
    "BASELINE_MS",
    "HEALTHY_MS",
    "INCIDENT_MS",
    "LATEST_MS",
    "MODALITIES",
    "WARM_MS",
    "Case",
    "CaseFault",
    "Waiter",
]
