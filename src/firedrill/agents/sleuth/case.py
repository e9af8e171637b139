"""What the investigator knows of one incident: objects, events, alerts, graph and signals, read once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

from firedrill.agents.sleuth.model import Clue, Signal
from firedrill.agents.sleuth.quantity import quantity
from firedrill.core.entity import CLUSTER
from firedrill.core.topology import Topology

if TYPE_CHECKING:
    from firedrill.tools.evidence import Evidence

WORKLOADS = ("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Job", "CronJob", "Rollout")
"""Kinds that make pods."""

Body = Mapping[str, Any]
_HARMLESS = (
    ".replicas",
    "metadata.labels",
    "metadata.annotations",
    "caBundle",
    "renewTime",
    "holderIdentity",
    "nodeName",
)
_BOUNDS = ("spec.hard.", "maxReplicas", "resources.limits.")
"""Settings that hurt when they become smaller."""


def ident(kind: str, namespace: str | None, name: str) -> str:
    """The entity id of an object."""
    return f"{namespace or CLUSTER}/{kind}/{name}"


def parts(entity: str) -> tuple[str, str, str]:
    """Namespace (``cluster`` when there is none), kind and name of an entity id."""
    namespace, _, rest = entity.partition("/")
    kind, _, name = rest.partition("/")
    return namespace, kind, name


def at(value: object, *path: str | int) -> Any:
    """What lies at ``path`` in nested mappings and lists; None where anything is missing or odd."""
    for key in path:
        if isinstance(key, int):
            if not isinstance(value, list) or not -len(value) <= key < len(value):
                return None
            value = value[key]
        elif isinstance(value, (dict, Mapping)):  # most are dicts, and known as such at once
            value = value.get(key)
        else:
            return None
    return value


def mapping(value: object, *path: str | int) -> Body:
    """The mapping at ``path``, empty when there is none."""
    found = at(value, *path)
    return found if isinstance(found, (dict, Mapping)) else {}


def listing(value: object, *path: str | int) -> list[Body]:
    """The mappings in the list at ``path``, empty when there is none."""
    found = at(value, *path)
    return [item for item in found if isinstance(item, (dict, Mapping))] if isinstance(found, list) else []


@dataclass(frozen=True)
class Change:
    """One change of an object's meaning: when it was first seen, the path, and the values, as text."""

    time: datetime | None
    path: str
    before: str
    after: str

    @property
    def grave(self) -> bool:
        """Whether such a change can hurt: not of size or labels, and no bound that was widened."""
        if any(mark in self.path for mark in _HARMLESS):
            return self.path.endswith(".replicas") and self.after == "0"
        if any(mark in self.path for mark in _BOUNDS):
            before, after = quantity(self.before), quantity(self.after)
            return before is None or after is None or after < before
        return True

    def __str__(self) -> str:
        return f"{self.path}: {self.before or '(nothing)'} -> {self.after or '(nothing)'}"


@dataclass(frozen=True)
class Thing:
    """One recorded object: its last state, and how it changed while it was recorded."""

    id: str
    body: Body
    file: str = ""
    time: datetime | None = None
    changes: tuple[Change, ...] = ()
    gone: bool = False
    """It was recorded, and then no more while its peers still were."""
    appeared: bool = False
    """It was first recorded later than its peers."""
    first: datetime | None = None

    @cached_property
    def names(self) -> tuple[str, str, str]:
        """Namespace, kind and name."""
        return parts(self.id)

    @property
    def namespace(self) -> str:
        """``cluster`` for cluster-scoped objects."""
        return self.names[0]

    @property
    def kind(self) -> str:
        """The canonical kind."""
        return self.names[1]

    @property
    def name(self) -> str:
        """The name without namespace and kind."""
        return self.names[2]

    @property
    def fresh(self) -> bool:
        """Whether it appeared, vanished or changed in earnest while it was recorded."""
        return self.gone or self.appeared or any(change.grave for change in self.changes)

    @property
    def spec(self) -> Body:
        """``.spec``, empty when absent."""
        return mapping(self.body, "spec")

    @property
    def status(self) -> Body:
        """``.status``, empty when absent."""
        return mapping(self.body, "status")

    @property
    def labels(self) -> Body:
        """``.metadata.labels``, empty when absent."""
        return mapping(self.body, "metadata", "labels")

    @property
    def pod_spec(self) -> Body:
        """The spec of the pods that it is or makes, empty for other kinds."""
        if self.kind == "Pod":
            return self.spec
        if self.kind == "CronJob":
            return mapping(self.spec, "jobTemplate", "spec", "template", "spec")
        return mapping(self.spec, "template", "spec")

    @property
    def pod_labels(self) -> Body:
        """The labels of the pods that it is or makes."""
        if self.kind == "Pod":
            return self.labels
        return mapping(self.spec, "template", "metadata", "labels")

    @property
    def containers(self) -> list[Body]:
        """The containers of its pods, without the initialising ones."""
        return listing(self.pod_spec, "containers")

    def clue(self, text: str) -> Clue:
        """Evidence from this object's recorded state."""
        return Clue(self.file, self.time, f"{self.id}: {text}")


@dataclass(frozen=True)
class Happening:
    """One event of Kubernetes, repeats folded together."""

    entity: str
    type: str
    reason: str
    message: str
    first: datetime | None
    last: datetime | None
    count: int = 1
    file: str = ""
    host: str = ""

    def clue(self) -> Clue:
        """The event as evidence."""
        return Clue(
            self.file, self.last, f"{self.entity}: {self.reason} (x{self.count}): {self.message[:300]}"
        )


@dataclass(frozen=True)
class Alarm:
    """One alert that fired, repeats folded together. ``entity`` is what it is about, when it says so."""

    name: str
    entity: str | None
    time: datetime | None
    severity: str = ""
    text: str = ""
    file: str = ""
    labels: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Symptom:
    """Something that is wrong and wants an explanation. ``weight`` is 0..1."""

    entity: str
    text: str
    time: datetime | None
    weight: float = 1.0


@dataclass(frozen=True)
class Line:
    """One log line that a family may want: what a node's own programs say, or a program's complaint."""

    time: datetime | None
    entity: str | None
    service: str
    node: str
    text: str
    file: str

    def clue(self) -> Clue:
        """The line as evidence."""
        return Clue(self.file, self.time, self.text[:300])


@dataclass
class Case:
    """Everything that the families look at. Built by :func:`firedrill.agents.sleuth.reading.read_case`."""

    evidence: Evidence | None = None
    objects: dict[str, Thing] = field(default_factory=dict)
    events: tuple[Happening, ...] = ()
    alarms: tuple[Alarm, ...] = ()
    signals: tuple[Signal, ...] = ()
    lines: tuple[Line, ...] = ()
    topology: Topology = field(default_factory=Topology)
    modalities: frozenset[str] = frozenset()
    symptoms: tuple[Symptom, ...] = ()
    onset: datetime | None = None
    onset_clue: Clue | None = None
    end: datetime | None = None
    start: datetime | None = None
    """When recording began, where objects were listed again and again; None for a single look."""

    def all(self, *kinds: str) -> list[Thing]:
        """Objects of these kinds that are there, sorted by id."""
        return [thing for kind in kinds for thing in self._by_kind.get(kind, ()) if not thing.gone]

    def get(self, kind: str, namespace: str | None, name: object) -> Thing | None:
        """The object, when it is recorded and was not removed."""
        if not isinstance(name, str):
            return None
        thing = self.objects.get(ident(kind, namespace, name))
        return None if thing is None or thing.gone else thing

    def records(self, kind: str, namespace: str | None = None) -> bool:
        """Whether objects of this kind are recorded (in that namespace), so that an absent one is missing."""
        return any(
            namespace is None or thing.namespace in (namespace, CLUSTER)
            for thing in self._by_kind.get(kind, ())
        )

    @cached_property
    def _by_kind(self) -> dict[str, list[Thing]]:
        table: dict[str, list[Thing]] = defaultdict(list)
        for key in sorted(self.objects):
            table[self.objects[key].kind].append(self.objects[key])
        return table

    @cached_property
    def _events_of(self) -> dict[str, list[Happening]]:
        table: dict[str, list[Happening]] = defaultdict(list)
        for event in self.events:
            table[event.entity].append(event)
        return table

    def events_of(self, entity: str) -> Sequence[Happening]:
        """Events about this very object."""
        return self._events_of.get(entity, ())

    @cached_property
    def owner(self) -> dict[str, str]:
        """Owned entity -> the one that controls it."""
        table = {
            edge.target: edge.source
            for edge in self.topology.edges
            if edge.type == "owns" and parts(edge.target)[1] not in ("Endpoints", "EndpointSlice")
        }
        for thing in self.objects.values():
            for reference in listing(thing.body, "metadata", "ownerReferences"):
                if isinstance(reference.get("kind"), str) and isinstance(reference.get("name"), str):
                    table[thing.id] = ident(reference["kind"], thing.namespace, reference["name"])
        return table

    def top(self, entity: str) -> str:
        """The outermost owner of an entity, itself when nothing owns it."""
        seen = {entity}
        while (above := self.owner.get(entity)) is not None and above not in seen:
            if parts(above)[1] == "Node":
                break
            seen.add(above)
            entity = above
        return entity

    @cached_property
    def pods_of(self) -> dict[str, list[Thing]]:
        """Outermost owner -> its recorded pods."""
        table: dict[str, list[Thing]] = defaultdict(list)
        for pod in self.all("Pod"):
            table[self.top(pod.id)].append(pod)
        return table

    @cached_property
    def workloads(self) -> list[Thing]:
        """Objects that make pods and that nothing owns, and pods that nothing owns."""
        return [thing for thing in self.all(*WORKLOADS, "Pod") if self.top(thing.id) == thing.id]

    def events_about(self, workload: str) -> Iterator[Happening]:
        """Events about an object or anything below it."""
        for event in self.events:
            if event.entity == workload or self.top(event.entity) == workload:
                yield event

    @cached_property
    def service_of(self) -> dict[str, list[str]]:
        """Workload id -> the Services that select its pods."""
        table: dict[str, list[str]] = defaultdict(list)
        for edge in self.topology.edges:
            if edge.type == "selects":
                top = self.top(edge.target)
                if edge.source not in table[top]:
                    table[top].append(edge.source)
        return table
