"""What a grader knows of an incident: read off the simulation, in the forms in which truths are published."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from firedrill.suites.living.deviating import FEWER, Deviation, deviations, fronts, workload_of
from firedrill.suites.living.groups import Document, Groups, longest
from firedrill.suites.living.observing import owner_of
from firedrill.suites.living.spreading import spread
from firedrill.world.app.traffic import Traffic

if TYPE_CHECKING:
    from firedrill.faults import Fault, Hop, Injection, Step
    from firedrill.suites.living.incident import Firing, Incident

_OBJECTS = {
    "deployment": "Deployment",
    "statefulset": "StatefulSet",
    "daemonset": "DaemonSet",
    "horizontalpodautoscaler": "HorizontalPodAutoscaler",
    "persistentvolumeclaim": "PersistentVolumeClaim",
    "resourcequota": "ResourceQuota",
    "poddisruptionbudget": "PodDisruptionBudget",
    "job_name": "Job",
}
_SERVICE = re.compile(r"service|destination|workload")
_SERVICES = ("service_name", "destination_workload", "destination_service_name")
_MEANINGS = {
    "HighRequestErrorRate": "its requests fail",
    "HighRequestLatency": "its requests are slow",
    "LatencyBudgetBurn": "its requests are slow",
    "JvmGarbageCollectionPauses": "its requests are slow",
    "NoRequestsReceived": FEWER,
}
EASY, MEDIUM = 1.7, 2.8
"""Up to these complexities a scenario is easy, and medium."""


@dataclass(frozen=True, slots=True)
class Told:
    """The truth of an incident.

    Attributes:
        v1, v2: documents as published; v1 is in the wrapped form.
        affected: what deviated, in order of moments.
        repairs: for each injection what an operator does, or None where no call of the API mends it.
        technologies: of the programs that the faults hit first.
        path: groups on the longest way from a cause.
        complexity: the cube root of the path's length, the repair's steps and the technologies, multiplied.
    """

    v1: Document
    v2: Document
    affected: tuple[Deviation, ...]
    repairs: tuple[tuple[Step, ...] | None, ...]
    technologies: tuple[str, ...]
    path: int
    complexity: float

    @property
    def difficulty(self) -> str:
        """`easy`, `medium` or `hard`."""
        return "easy" if self.complexity <= EASY else "medium" if self.complexity <= MEDIUM else "hard"

    @property
    def steps(self) -> tuple[Step, ...]:
        """The repair of everything, the last fault first."""
        return tuple(step for repair in reversed(self.repairs) for step in repair or ())


def tell(incident: Incident, name: str) -> Told:
    """The truth of an incident, under a scenario's name."""
    return _Teller(incident).told(name)


class _Teller:
    def __init__(self, incident: Incident) -> None:
        self._incident = incident
        self._affected = deviations(incident)
        self._groups = Groups()
        self._steps: dict[tuple[str, str], Document] = {}
        self._aliases: list[list[str]] = []

    def told(self, name: str) -> Told:
        from firedrill import faults

        incident = self._incident
        mechanisms = [faults.find(item.fault) for item in incident.injections]
        repairs = tuple(faults.repair(incident.noticed, item) for item in incident.injections)
        described = [self._fault(*pair) for pair in zip(mechanisms, incident.injections, strict=True)]
        hit: list[str] = []
        for injection in incident.injections:
            hit += self._way(injection)
        spread(self._incident.before, self._groups, self._plain, self._wrong, self._unled())
        alerts = self._alerts()
        body = {
            "alerts": alerts,
            "aliases": self._aliases,
            "fault": [item for items in described for item in items],
            "groups": self._groups.documents(),
            "propagations": list(self._steps.values()),
            "recommendedActions": _actions(mechanisms, repairs),
        }
        roots = [self._groups.of(cause) for item in incident.injections for cause in item.causes]
        path = max(1, longest(roots, self._steps))
        technologies = self._technologies(hit)
        count = sum(len(repair) if repair else 1 for repair in repairs)
        complexity = float(path * max(count, 1) * max(len(technologies), 1)) ** (1 / 3)
        return Told(
            v1={
                "apiVersion": "itbench.io/v1",
                "kind": "GroundTruth",
                "metadata": {"name": name},
                "spec": body,
            },
            v2=self._v2(name, alerts, mechanisms, repairs),
            affected=self._affected,
            repairs=repairs,
            technologies=technologies,
            path=path,
            complexity=round(complexity, 2),
        )

    # -- what is known of the application

    @cached_property
    def _fronts(self) -> dict[str, str]:
        """By workload, the entity by which it is called."""
        graph = self._incident.before.cluster.part(Traffic).graph
        if graph is None:
            return {}
        named = fronts(self._incident.before)
        return {workload_of(graph.app.namespace, item): named[item.name] for item in graph.app.services}

    @cached_property
    def _wrong(self) -> dict[str, list[str]]:
        """What is wrong, by entity."""
        out: dict[str, list[str]] = {}
        for item in self._affected:
            out.setdefault(item.entity, []).append(item.what)
        for firing in self._incident.alerts:
            # alerts look at longer windows than deviations do
            service = self._service_of(firing.labels) if firing.name in _MEANINGS else ""
            if service:
                out.setdefault(service, []).append(_MEANINGS[firing.name])
        return out

    def _owner(self, pod: str) -> str:
        """The workload of a pod that was there at some time."""
        namespace, _, name = pod.split("/", 2)
        for world in (self._incident.noticed, self._incident.world, self._incident.before):
            found = world.cluster.store.get("pods", namespace, name)
            if found is not None:
                return owner_of(world, {**found, "kind": "Pod"})
        return pod

    # -- causes

    def _fault(self, mechanism: Fault, injection: Injection) -> list[Document]:
        out = []
        first = injection.causes[0]
        for cause in injection.causes:
            _, kind, name = cause.split("/", 2)
            if kind != first.split("/", 2)[1]:
                # another name for the same cause, such as the namespace of a quota
                self._aliases.append([self._groups.of(first), self._groups.of(cause)])
                continue
            root = self._groups.of(cause, root=True)
            if cause in self._fronts:
                self._aliases.append([root, self._groups.pods_of(cause)])
            out.append(
                {
                    "category": mechanism.category,
                    "condition": mechanism.text or mechanism.title,
                    "entity": {"group_id": root, "kind": kind, "name": name},
                    "fault_mechanism": mechanism.id,
                }
            )
        return out

    # -- the way

    def _way(self, injection: Injection) -> list[str]:
        """Add the steps of a fault's way that can be seen; returns the workloads next to its causes."""
        from firedrill import faults

        hops = faults.propagation(self._incident.noticed, injection)
        made = []
        for hop in hops:
            source, target = self._place(hop.source, injection), self._place(hop.target, injection)
            if source != target:
                made.append((source, target, hop))
        seen = self._reached(injection, [(source, target) for source, target, _ in made])
        for source, target, hop in made:
            if target in seen and (source in seen or source in injection.causes):
                self._step(source, target, hop)
        causes = set(injection.causes)
        behind = {front: workload for workload, front in self._fronts.items()}
        near = [hop.target for hop in hops if hop.source in causes]
        own = [behind.get(entity, entity) for entity in injection.causes]
        next_to = [behind.get(entity, entity) for entity in near]
        return [item for item in own if item in self._fronts] or [i for i in next_to if i in self._fronts]

    def _place(self, entity: str, injection: Injection) -> str:
        """What stands for an entity: pods for one pod, a Service for a workload that is only called."""
        kind = entity.split("/", 2)[1]
        if kind == "Pod":
            return f"{self._owner(entity)}#pods"
        if entity in self._fronts and entity not in injection.causes and entity not in self._wrong:
            return self._fronts[entity]
        return entity

    def _reached(self, injection: Injection, pairs: Sequence[tuple[str, str]]) -> set[str]:
        """The places on a way from a cause to something that deviates."""
        wrong = {place for pair in pairs for place in pair if place.removesuffix("#pods") in self._wrong}
        keep = set(wrong)
        here = sorted(wrong)
        while here:
            place = here.pop()
            for source, target in pairs:
                if target == place and source not in keep and source not in injection.causes:
                    keep.add(source)
                    here.append(source)
        return keep

    def _group_of(self, place: str) -> str:
        if place.endswith("#pods"):
            return self._groups.pods_of(place.removesuffix("#pods"))
        return self._groups.of(place)

    def _step(self, source: str, target: str, hop: Hop) -> None:
        ends = (self._group_of(source), self._group_of(target))
        if ends in self._steps:
            return
        seen = self._wrong.get(target.removesuffix("#pods"))
        effect = " and ".join(dict.fromkeys(seen)) if seen else hop.effect
        self._steps[ends] = {
            "source": ends[0],
            "target": ends[1],
            "condition": hop.condition,
            "effect": effect,
        }

    def _unled(self) -> list[str]:
        """The causes from which no step leads anywhere yet."""
        led = {source for source, _ in self._steps}
        causes = dict.fromkeys(cause for item in self._incident.injections for cause in item.causes)
        return [cause for cause in causes if self._groups.of(cause) not in led]

    def _plain(self, source: str, target: str, condition: str, effect: str) -> None:
        ends = (self._group_of(source), self._group_of(target))
        self._steps[ends] = {"source": ends[0], "target": ends[1], "condition": condition, "effect": effect}

    # -- alerts

    def _alerts(self) -> list[Document]:
        found: dict[tuple[str, str], Document] = {}
        for firing in self._incident.alerts:
            group = self._alert_group(firing)
            document = {
                "id": firing.name,
                "group_id": group,
                "metadata": {"description": firing.description},
            }
            found.setdefault((firing.name, group), document)
        return list(found.values())

    def _alert_group(self, firing: Firing) -> str:
        labels = firing.labels
        namespace = labels.get("namespace", "")
        if labels.get("pod"):
            return self._groups.pods_of(self._owner(f"{namespace}/Pod/{labels['pod']}"))
        for label, kind in _OBJECTS.items():
            if labels.get(label):
                return self._groups.of(f"{namespace}/{kind}/{labels[label]}")
        service = self._service_of(labels)
        if service:
            return self._groups.of(service)
        if labels.get("node"):
            return self._groups.of(f"cluster/Node/{labels['node']}")
        if namespace:
            return self._groups.of(f"cluster/Namespace/{namespace}")
        return self._groups.of(self._incident.injections[0].causes[0])

    def _service_of(self, labels: Mapping[str, str]) -> str:
        """The entity of the service that an alert names; empty where it names none."""
        named = fronts(self._incident.before)
        names = {entity.split("/", 2)[2]: entity for entity in named.values()} | named
        told = [label for label in sorted(labels) if _SERVICE.search(label)]
        found = [labels[label] for label in (*_SERVICES, *told) if label in labels]
        known = next((names[name] for name in found if name in names), "")
        if known or not labels.get("service_name"):
            return known
        graph = self._incident.before.cluster.part(Traffic).graph
        namespace = graph.app.namespace if graph is not None else "default"
        return f"{namespace}/Service/{labels['service_name']}"

    # -- the rest

    def _technologies(self, hit: Sequence[str]) -> tuple[str, ...]:
        graph = self._incident.before.cluster.part(Traffic).graph
        if graph is None:
            return ()
        found = [
            item.database or item.language
            for item in graph.app.services
            if workload_of(graph.app.namespace, item) in hit
        ]
        return tuple(dict.fromkeys(name for name in found if name))

    def _v2(
        self,
        name: str,
        alerts: Sequence[Document],
        mechanisms: Sequence[Fault],
        repairs: Sequence[tuple[Step, ...] | None],
    ) -> Document:
        causes = dict.fromkeys(cause for item in self._incident.injections for cause in item.causes)
        parts = [
            [{"steps": [{"text": step.text, "command": step.command()} for step in repair]}]
            for repair in repairs
            if repair
        ]
        missing = [
            [{"steps": [{"text": _without_calls(mechanism)}]}]
            for mechanism, repair in zip(mechanisms, repairs, strict=True)
            if not repair
        ]
        spec = {
            "alerts": [{"name": item, "labels": {}} for item in dict.fromkeys(a["id"] for a in alerts)],
            "entities": [self._reference(cause) for cause in causes],
            "solutions": parts + missing,
        }
        return {
            "apiVersion": "itbench.io/v2",
            "kind": "GroundTruth",
            "metadata": {"name": name},
            "spec": spec,
        }

    def _reference(self, entity: str) -> Document:
        namespace, kind, name = entity.split("/", 2)
        known = self._incident.world.cluster.kinds.all()
        version = next((item.api_version for item in known if item.kind == kind), "v1")
        meta = {"name": name} if namespace == "cluster" else {"name": name, "namespace": namespace}
        return {"apiVersion": version, "kind": kind, "metadata": meta}


def _without_calls(mechanism: Fault) -> str:
    return mechanism.diagnosis or f"No call of the API mends it: {mechanism.title}"


def _actions(
    mechanisms: Sequence[Fault], repairs: Sequence[tuple[Step, ...] | None]
) -> list[Mapping[str, Any]]:
    out: list[Mapping[str, Any]] = []
    for mechanism, repair in zip(mechanisms, repairs, strict=True):
        actions = [f"{step.text}: {step.command()}" for step in repair or ()]
        out.append({"solution": {"id": mechanism.id, "actions": actions or [_without_calls(mechanism)]}})
    return out


__all__ = ["EASY", "MEDIUM", "Told", "tell"]
