"""Making a world: nodes, the control plane, what every cluster runs, and the applications it starts with."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from ipaddress import ip_network
from string import Template
from typing import TYPE_CHECKING, Any

import yaml

from firedrill.core.errors import InputError
from firedrill.world import mesh
from firedrill.world.kube import chaos, kubelet, programs, scheduler, volumes
from firedrill.world.kube.api import ApiError, Client
from firedrill.world.kube.cluster import Settings
from firedrill.world.kube.controllers import base
from firedrill.world.kube.objects import Obj, dig, name_of, thaw, with_path
from firedrill.world.kube.rbac_defaults import default_objects
from firedrill.world.sim.clock import EPOCH_MS
from firedrill.world.world import World

if TYPE_CHECKING:
    from firedrill.world.app.model import Application

_LOOPS = (chaos, mesh, scheduler, volumes)  # importing these rooms registers their controllers
_DAY = 86_400_000
_SETTLE = 300_000
_RESTLESS = frozenset({"HorizontalPodAutoscaler", "CronJob", "Schedule"})
"""What does something every few seconds or minutes: nobody waits until it has done so for days."""
_RECENT = 3_600_000
_ORDER = (
    "CustomResourceDefinition",
    "Namespace",
    "PriorityClass",
    "StorageClass",
    "ResourceQuota",
    "LimitRange",
    "ServiceAccount",
    "Secret",
    "ConfigMap",
    "PersistentVolume",
    "PersistentVolumeClaim",
    "ClusterRole",
    "Role",
    "ClusterRoleBinding",
    "RoleBinding",
    "Service",
)
_KEEP_OFF = {"key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule"}


def make_world(
    seed: int = 0,
    *,
    nodes: int | Sequence[str] = 4,
    settings: Settings | None = None,
    manifests: Sequence[Obj] = (),
    namespace: str = "default",
    start: int = EPOCH_MS,
    age_days: int = 12,
    settle: bool = True,
    application: Application | None = None,
) -> World:
    """A running cluster, with these manifests applied to it a while ago.

    Args:
        seed: of every draw.
        nodes: how many, or their names; the first is the control plane, tainted where there are others.
        settings: version and other constants.
        manifests: objects that are deployed, in any order.
        namespace: of objects that name none.
        start: when the world begins for whoever looks at it, in ms since the Unix epoch.
        age_days: for how many days the cluster has been running by then.
        settle: let the applications start before the world begins; else they are applied at its very start.
        application: whose services are among the manifests: its users come from a while before the start on.

    Raises:
        InputError: an object is refused by the API.
    """
    world = World(seed, settings=settings, start=start - age_days * _DAY)
    system = _system_objects(world.cluster.settings)
    programs.learn(world, [*system, *manifests])
    if application is not None:
        from firedrill.world.app.teaching import teach

        teach(world, application, manifests)
    client = Client(world, manager="kubeadm", trusted=True)
    first = [obj for obj in system if obj["kind"] == "Namespace"]
    for obj in [*first, *default_objects()]:
        client.create(obj)
    names = _node_names(nodes) if isinstance(nodes, int) else tuple(nodes)
    for name in names:
        taints = [_KEEP_OFF] if name == names[0] and len(names) > 1 else []
        kubelet.add_node(world, name, roles=("control-plane",) if name == names[0] else (), taints=taints)
    for obj in system:
        if obj["kind"] != "Namespace":
            client.create(obj)
    base.resync_all(world)
    world.run_for(_SETTLE)
    if not settle:
        world.run_until_ms(start)
    elif any(obj.get("kind") in _RESTLESS for obj in manifests):
        world.run_until_ms(max(start - _RECENT, world.now))
    apply_manifests(world, manifests, namespace=namespace)
    if settle and manifests:
        world.run_for(2 * _SETTLE)
    if application is not None:
        from firedrill.world import telling
        from firedrill.world.app import traffic

        world.run_until_ms(start - 2 * _SETTLE)
        traffic.start(world, application)
        telling.begin(world)
    world.run_until_ms(start)
    world.start = start
    return world


def _node_names(count: int) -> tuple[str, ...]:
    return ("control-plane", *(f"worker-{number:02d}" for number in range(1, count)))


@cache
def _system_text() -> str:
    return files("firedrill.world").joinpath("data/cluster.yaml").read_text("utf-8")


@cache
def _parsed(settings: Settings) -> tuple[Any, ...]:
    network = ip_network(settings.service_cidr)
    text = Template(_system_text()).safe_substitute(
        api_ip=str(network[1]),
        dns_ip=str(network[10]),
        domain=settings.cluster_domain,
        pod_cidr=settings.pod_cidr,
        git_version=settings.git_version,
    )
    loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return tuple(yaml.load_all(text, Loader=loader))


def _system_objects(settings: Settings) -> list[Obj]:
    return [thaw(obj) for obj in _parsed(settings)]


def apply_manifests(
    world: World, manifests: Sequence[Obj], *, namespace: str = "default", source: str = "manifests"
) -> list[Obj]:
    """Create objects in an order in which each finds what it needs; namespaces that are missing are made.

    Raises:
        InputError: an object has no kind that the cluster serves, or is refused; the objects before it stay.
    """
    client = Client(world, manager="kubectl-client-side-apply")
    made = []
    flat = [item for obj in manifests for item in (obj["items"] if _is_list(obj) else [obj])]
    wanted = sorted({str(dig(obj, "metadata", "namespace", default=namespace)) for obj in flat})
    for space in wanted:
        known = any(obj.get("kind") == "Namespace" and name_of(obj) == space for obj in flat)
        if not known and client.find("namespaces", "", space) is None:
            client.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": space}})
    for obj in sorted(flat, key=_place):
        where = f"{obj.get('kind')} {name_of(obj)}"
        kind = world.cluster.kinds.of(obj)
        if kind is None:
            raise InputError(
                f"the cluster serves no {obj.get('kind')} of {obj.get('apiVersion')}",
                source=source,
                field=where,
                mend="correct apiVersion and kind, or add the CustomResourceDefinition",
            )
        space = dig(obj, "metadata", "namespace", default=namespace if kind.namespaced else None)
        placed = with_path(obj, ("metadata", "namespace"), space) if space else obj
        try:
            made.append(client.create(placed))
        except ApiError as refusal:
            raise InputError(
                refusal.message, source=source, field=where, mend="correct the manifest and try again"
            ) from None
    return made


def _is_list(obj: Obj) -> bool:
    return str(obj.get("kind") or "").endswith("List") and isinstance(obj.get("items"), list)


def _place(obj: Obj) -> int:
    kind = str(obj.get("kind"))
    return _ORDER.index(kind) if kind in _ORDER else len(_ORDER)
