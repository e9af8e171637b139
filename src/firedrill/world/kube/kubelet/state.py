"""What kubelets and runtimes know of pods and nodes: values that are replaced, never changed.

The API holds what a kubelet has told; this is what is so, also while the kubelet is down.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self, TypeVar

from firedrill.world.kube.kubelet import history
from firedrill.world.kube.programs.model import HEALTHY, UNLOADED, Health, Load, Plan
from firedrill.world.kube.programs.shell import Progress

if TYPE_CHECKING:
    from firedrill.world.world import World

T = TypeVar("T")
PULLING = frozenset({"ErrImagePull", "ImagePullBackOff"})
"""Why a container waits whose image cannot be had."""

PARTS = ("kubelet", "containerd", "kube-proxy", "network")
"""Parts of a node that can be stopped."""


def having(item: T, name: str, value: Any) -> T:
    """A copy of a dataclass with slots and one other field: a third of the time of `dataclasses.replace`."""
    made = object.__new__(type(item))
    put = object.__setattr__
    for one in type(item).__slots__:  # type: ignore[attr-defined]
        put(made, one, getattr(item, one))
    put(made, name, value)
    return made


@dataclass(frozen=True, slots=True)
class Run:
    """One run of a container. Times in ms.

    Attributes:
        attempt: 0 for the first run.
        id: hex digits of the container.
        started: -1 where it could not be started.
        finished: -1 while it runs.
        code, reason, message: how it ended.
        plan: how it was to go.
        env: its variables, as they were when it started.
        said: (ms, text) that a script has written so far, besides the lines of the plan.
        script: how far that has come.
    """

    attempt: int
    id: str
    started: int
    plan: Plan
    finished: int = -1
    code: int = 0
    reason: str = ""
    message: str = ""
    env: Mapping[str, str] = field(default_factory=dict)
    said: tuple[tuple[int, str], ...] = ()
    script: Progress | None = None

    @property
    def running(self) -> bool:
        """Whether it runs now."""
        return self.finished < 0


@dataclass(frozen=True, slots=True)
class Probing:
    """What a prober remembers: the current verdict and how often in a row the last answer came."""

    good: bool
    last: bool = False
    row: int = 0
    due: int = -1
    held: bool = False


@dataclass(frozen=True, slots=True)
class Container:
    """One container of a pod.

    Attributes:
        name: in the pod.
        waiting, message: why it does not run now; empty where it runs or has ended.
        run, previous: the newest run and the one before.
        image_id: once the image is there.
        image: the name by which the image of its newest run was asked for.
        health: of the program, as faults change it.
        load: of the program, as its requests make it.
        started: it has passed its start-up probe.
        ready: as its readiness probe says.
        probes: by kind: startup, readiness, liveness.
        killing: what it will be killed with; empty where it is not being killed.
        renew: the kubelet has ended its run itself and is about to begin the next.
        told: (reason, message) of a failing pull, as the API was told: with every pass the kubelet first
            tells what the pass before has come to.
        back_off, back_off_at: of restarts: the pause and when it was set.
        pull_back_off, pull_failed: of pulls: the pause and when the last one failed.
        pulls: how often its image was asked for.
    """

    name: str
    waiting: str = "ContainerCreating"
    message: str = ""
    run: Run | None = None
    previous: Run | None = None
    image_id: str = ""
    health: Health = HEALTHY
    load: Load = UNLOADED
    started: bool = False
    ready: bool = False
    probes: Mapping[str, Probing] = field(default_factory=dict)
    killing: str = ""
    renew: bool = False
    told: tuple[str, str] = ("", "")
    back_off: int = 0
    back_off_at: int = 0
    pull_back_off: int = 0
    pull_failed: int = -1
    pulls: int = 0
    image: str = ""

    @property
    def running(self) -> bool:
        """Whether its newest run goes on."""
        return self.run is not None and self.run.finished < 0

    @property
    def ended(self) -> bool:
        """Whether its newest run has come to an end."""
        return self.run is not None and self.run.finished >= 0


@dataclass(frozen=True, slots=True)
class PodState:
    """One pod on its node.

    Attributes:
        uid, namespace, name, node: which pod, and where.
        admitted: when the kubelet took it, in ms.
        ip: once its sandbox is there.
        sandbox: `none`, `creating` or `ready`.
        sandboxes: how many have been asked for.
        mounted: its volumes are there.
        mount_tries: how often that failed.
        containers: by name, init containers included.
        busy: the container whose image is pulled or that is being created now.
        verdict: (phase, reason, message) where the kubelet has ended the pod; else empty.
        stopping: its containers are being stopped; by when they must be gone, in ms; 0 for not.
        gone: its containers have ended and it is being removed.
        shown: what ConfigMaps, Secrets and labels in its volumes say to its containers: by volume, by path.
        written: files that its containers have written, by volume or container, and path.
    """

    uid: str
    namespace: str
    name: str
    node: str
    admitted: int
    ip: str = ""
    sandbox: str = "none"
    sandboxes: int = 0
    mounted: bool = False
    mount_tries: int = 0
    mount_retry: int = 0
    containers: Mapping[str, Container] = field(default_factory=dict)
    busy: str = ""
    verdict: tuple[str, str, str] = ("", "", "")
    stopping: int = 0
    gone: bool = False
    shown: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    written: Mapping[str, str] = field(default_factory=dict)

    def having(self, container: Container) -> PodState:
        """The state with that container in it."""
        return having(self, "containers", {**self.containers, container.name: container})


@dataclass(frozen=True, slots=True)
class NodeState:
    """One node.

    Attributes:
        name, number, ip, cidr: of the node; `cidr` is for its pods.
        next_ip: number of the next pod address.
        images: bytes by full name.
        down: the parts that do not run now.
        silent_since: when the kubelet stopped to report, in ms; -1 while it reports.
        booted: when the node came up, in ms.
        pressure: `memory`, `disk`, `pid`.
        boots: how often it was booted.
        unschedulable: as the kubelet saw it last.
        static_down: the static pods whose manifest has been taken away.
        control_plane: it runs the static pods of the control plane.
    """

    name: str
    number: int
    ip: str
    cidr: str
    next_ip: int = 2
    images: Mapping[str, int] = field(default_factory=dict)
    down: frozenset[str] = frozenset()
    silent_since: int = -1
    booted: int = 0
    pressure: frozenset[str] = frozenset()
    boots: int = 0
    unschedulable: bool = False
    static_down: frozenset[str] = frozenset()
    control_plane: bool = False

    def runs(self, *parts: str) -> bool:
        """Whether all these parts run."""
        return self.down.isdisjoint(parts)


class Kubelets:
    """All nodes and the pods on them."""

    __slots__ = ("names", "nodes", "pods")

    def __init__(self) -> None:
        self.nodes: dict[str, NodeState] = {}
        self.pods: dict[str, PodState] = {}
        self.names: dict[tuple[str, str], str] = {}

    def fork(self) -> Self:
        """An independent copy."""
        twin = type(self)()
        twin.nodes = self.nodes.copy()
        twin.pods = self.pods.copy()
        twin.names = self.names.copy()
        return twin

    def state(self) -> object:
        """All of it as plain data."""
        return [
            [_plain(self.nodes[name]) for name in sorted(self.nodes)],
            [self.pods[uid] for uid in sorted(self.pods)],
        ]


def _plain(node: NodeState) -> list[object]:
    sets = [sorted(node.down), sorted(node.pressure), sorted(node.static_down), sorted(node.images.items())]
    numbers = [node.next_ip, node.silent_since, node.booted, node.boots, node.unschedulable]
    return [node.name, node.ip, node.cidr, *sets, *numbers]


def kubelets(world: World) -> Kubelets:
    """The nodes and pods of a world."""
    return world.cluster.part(Kubelets)


def node_of(world: World, name: str) -> NodeState | None:
    """The node of that name."""
    return kubelets(world).nodes.get(name)


def going_on(world: World, uid: str, name: str, attempt: int) -> tuple[PodState, Container, Run] | None:
    """A container and its run of that number, while it lasts; handlers that were set on it ask."""
    state = kubelets(world).pods.get(uid)
    found = state.containers.get(name) if state is not None else None
    if state is None or found is None or found.run is None:
        return None
    return (state, found, found.run) if found.running and found.run.attempt == attempt else None


def find_pod(world: World, namespace: str, name: str) -> PodState | None:
    """What is so of the pod of that name, or None where no kubelet has taken it."""
    part = kubelets(world)
    uid = part.names.get((namespace, name))
    return part.pods.get(uid) if uid is not None else None


def keep(world: World, state: PodState) -> PodState:
    """Remember a new state of a pod."""
    part = kubelets(world)
    history.note(world, part.pods.get(state.uid), state)
    part.pods[state.uid] = state
    part.names[state.namespace, state.name] = state.uid
    return state


def keep_node(world: World, node: NodeState) -> NodeState:
    """Remember a new state of a node."""
    kubelets(world).nodes[node.name] = node
    return node
