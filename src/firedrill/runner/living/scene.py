"""What all episodes of one scenario share: the incident as it stands when somebody is called."""

from __future__ import annotations

import gc
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from firedrill.core.scenario import Scenario
from firedrill.core.topology import Edge, Topology
from firedrill.runner.living.assessing import Yardstick, assess, intervene, steps_of

if TYPE_CHECKING:
    import ssl

    from firedrill.core.entity import EntityId
    from firedrill.core.living import Facts, RequestLine
    from firedrill.suites.living import Firing, Incident
    from firedrill.world.world import World

_LOOKED_MS = 60_000
_NO_REPAIR = "diagnosis-only"
"""The tag of scenarios that no call of the API mends."""
_WARM = (
    "firedrill.gateway.jaeger",
    "firedrill.gateway.loki",
    "firedrill.gateway.prometheus",
    "firedrill.runner.living.episode",
    "firedrill.tools.authority.deciding",
    "uvicorn.protocols.http.h11_impl",
    "uvicorn.protocols.websockets.wsproto_impl",
)
"""What every episode needs, loaded once before the first."""


class Scene:
    """An incident that was simulated, ready to be forked.

    Args:
        scenario: of a living world.

    Raises:
        InputError: the scenario cannot be simulated.
    """

    def __init__(self, scenario: Scenario) -> None:
        from firedrill.gateway.kubernetes import certificates
        from firedrill.suites.living import simulate
        from firedrill.suites.living.writing import case_of
        from firedrill.tools.authority import open_policy

        open_policy(scenario.authority)  # what is wrong with it is told before anything is simulated
        self.scenario = scenario
        case = case_of(scenario)
        last = max(item.at_ms for item in case.faults)
        # what follows the alert is each episode's own; a minute more tells which alerts fire by then
        looked = max(_LOOKED_MS, last - case.breaks_ms)
        self.incident: Incident = simulate(replace(case, incident_ms=looked))
        self.ca, key = certificates.make()
        self.yard = Yardstick(self.incident, steps_of(self.steps), cures=scenario.truth.get("cures") or ())
        self.tls: ssl.SSLContext = certificates.context(self.ca, key)

    def warm(self) -> None:
        """Load and compute what every episode needs, and keep the collector of garbage off all of it."""
        for name in _WARM:
            __import__(name)
        self.yard.prepare()
        gc.collect()
        gc.freeze()

    @cached_property
    def told(self) -> tuple[Firing, ...]:
        """The alerts that somebody is called for: those that the faults brought about and that fire then."""
        now = self.incident.times.noticed
        return tuple(
            item
            for item in self.incident.alerts
            if item.fired <= now and (item.ended is None or item.ended > now)
        )

    @cached_property
    def steps(self) -> tuple[Mapping[str, Any], ...]:
        """What mends it: as the scenario says, or else what its faults say of themselves."""
        if self.scenario.reference.steps:
            return self.scenario.reference.steps
        from firedrill import faults

        found = [faults.repair(self.incident.noticed, item) for item in self.incident.injections]
        return tuple(asdict(step) for steps in found for step in steps or ())

    @property
    def hand_over(self) -> bool:
        """Whether handing over to a person is the best act."""
        return _NO_REPAIR in self.scenario.metadata.tags

    def describe(self) -> dict[str, Any]:
        """What the run has to know of it, as JSON."""
        from firedrill.world.sim.clock import rfc3339

        topology, inventory = mapped(self.incident)
        return {
            "alerts": [
                {
                    "name": item.name,
                    "labels": dict(item.labels),
                    "fired": rfc3339(item.fired),
                    "description": item.description,
                }
                for item in self.told
            ],
            "noticed": self.incident.times.noticed,
            "namespace": self.incident.package.application.namespace,
            "steps": list(self.steps),
            "hand_over": self.hand_over,
            "topology": topology.to_json(),
            "inventory": list(inventory),
            "ca": self.ca.decode("ascii"),
        }

    def facts(
        self,
        world: World,
        *,
        started_ms: int,
        limit_ms: int,
        requests: Sequence[RequestLine],
        prediction: Sequence[str],
        brief: bool = False,
    ) -> Facts:
        """What became of an episode whose agent ends now; see `assessing.assess`."""
        return assess(
            self.yard,
            world,
            started_ms=started_ms,
            limit_ms=limit_ms,
            requests=requests,
            prediction=prediction,
            escalation_expected=self.hand_over,
            brief=brief,
        )

    def renamed(self, known: Mapping[str, Any], prediction: Sequence[str]) -> Facts:
        """The facts of an episode that left the same world, with what this one's agent names as causes."""
        from firedrill.core.living import Facts

        found = Facts.model_validate(known)
        return found.model_copy(update={"intervention": intervene(self.yard.trials, prediction)})


def mapped(incident: Incident) -> tuple[Topology, tuple[str, ...]]:
    """The typed graph of an incident, and the ids of all objects that were there from its fault on."""
    from firedrill.snapshot.relations import KubeObject, Relations, entity_id, reduce

    found: dict[EntityId, KubeObject] = {}
    for world in (incident.before, incident.noticed):
        for kind, obj in _objects(world):
            meta = obj.get("metadata") or {}
            entity = entity_id(kind, meta.get("namespace"), meta.get("name"))
            if entity is not None:
                found[entity] = reduce(entity, obj)
    inventory = {str(entity) for entity in found}
    edges = [*Relations(found.values()).edges(), *_calls(incident.before)]
    return Topology.build(inventory, edges), tuple(sorted(inventory))


def _objects(world: World) -> Iterator[tuple[str, dict[str, Any]]]:
    store, kinds = world.cluster.store, world.cluster.kinds
    by_resource = {kind.resource: kind.kind for kind in kinds.all()}
    for resource in sorted(store.resources()):
        kind = by_resource.get(resource)
        if kind is None or kind == "Event":
            continue
        for obj in store.list(resource):
            yield kind, obj


def _calls(world: World) -> Iterator[Edge]:
    """Who calls whom, by Services where there are any."""
    from firedrill.suites.living.deviating import fronts
    from firedrill.world.app.traffic import Traffic

    graph = world.cluster.part(Traffic).graph
    if graph is None:
        return
    named = fronts(world)
    for service in graph.app.services:
        for operation in service.operations:
            for call in operation.calls:
                if named[call.service] != named[service.name]:
                    yield Edge(named[service.name], named[call.service], "calls")


__all__ = ["Scene", "mapped"]
