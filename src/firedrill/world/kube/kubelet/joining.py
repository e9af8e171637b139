"""How a machine joins the cluster: its Node, its lease, and what is said about it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from ipaddress import ip_network
from typing import TYPE_CHECKING, Any

from firedrill.world.kube import quantity
from firedrill.world.kube.api.client import Client
from firedrill.world.kube.api.errors import ApiError
from firedrill.world.kube.api.request import ADMIN
from firedrill.world.kube.kubelet import heartbeat, static
from firedrill.world.kube.kubelet.state import NodeState, keep_node, kubelets
from firedrill.world.kube.objects import Obj, name_of
from firedrill.world.kube.programs import catalogue
from firedrill.world.kube.programs.reference import parse_reference
from firedrill.world.sim.clock import rfc3339_micro

if TYPE_CHECKING:
    from firedrill.world.world import World


def add_node(
    world: World,
    name: str,
    *,
    roles: Sequence[str] = (),
    cpu: str = "8",
    memory: str = "16Gi",
    pods: int = 110,
    labels: Mapping[str, str] | None = None,
    taints: Sequence[Mapping[str, Any]] = (),
    architecture: str = "amd64",
    images: Mapping[str, int] | None = None,
    storage: str = "98Gi",
) -> Obj:
    """Let a machine join the cluster.

    Args:
        world: where.
        name: of the node and its machine.
        roles: as in `control-plane`; such a node also gets the control plane's static pods.
        cpu, memory, storage: capacity, as quantities.
        pods: how many pods it takes.
        labels, taints: besides those that every node has.
        architecture: `amd64` or `arm64`.
        images: bytes by full name of the images that are on it.

    Returns:
        The Node object.

    Raises:
        ApiError: there is a node of that name.
    """
    settings = world.cluster.settings
    number = len(kubelets(world).nodes)
    address = str(ip_network(settings.node_cidr)[number + 2])
    ranges = ip_network(settings.pod_cidr)
    third = int(ranges.network_address) + number * 256
    cidr = f"{third >> 24 & 255}.{third >> 16 & 255}.{third >> 8 & 255}.0/24"
    node = NodeState(
        name,
        number,
        address,
        cidr,
        images=_preloaded(world) | dict(images or {}),
        booted=world.now,
        control_plane="control-plane" in roles,
    )
    obj: Obj = {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "labels": _labels(name, roles, architecture) | dict(labels or {}),
            "annotations": {
                **_subnet(world, name, address),
                "kubeadm.alpha.kubernetes.io/cri-socket": "unix:///run/containerd/containerd.sock",
                "node.alpha.kubernetes.io/ttl": "0",
                "volumes.kubernetes.io/controller-managed-attach-detach": "true",
            },
        },
        "spec": {
            "podCIDR": cidr,
            "podCIDRs": [cidr],
            "providerID": f"kind://docker/kind/{name}",
            **({"taints": [dict(taint) for taint in taints]} if taints else {}),
        },
        "status": _status(world, node, cpu, memory, storage, pods, architecture),
    }
    client = Client(world, ADMIN, manager="kubelet", trusted=True)
    keep_node(world, node)
    try:
        made = client.create(obj)
    except ApiError:
        del kubelets(world).nodes[name]
        raise
    made = client.update_status(made, obj["status"])
    client.create(_lease_of(world, made))
    heartbeat.say_starting(world, name)
    heartbeat.say_registered(world, name)
    heartbeat.tell(world, name, "Normal", "NodeReady", f"Node {name} status is now: NodeReady")
    if node.control_plane:
        static.begin(world, node)
    return made


def _preloaded(world: World) -> dict[str, int]:
    """Images that are on every machine: the control plane's, and those of applications that ran before."""
    texts = [*static.images(world.cluster.settings.git_version), "registry.k8s.io/pause:3.9"]
    out = {}
    for text in [*texts, *catalogue.learned_images(world)]:
        reference = parse_reference(text)
        if reference is not None:
            out[reference.full] = catalogue.size_of(world, reference)
    return out


def _subnet(world: World, name: str, address: str) -> dict[str, str]:
    """What flannel's agent says of its end of the tunnel, whose address is a local one."""
    digits = world.rng.hexadecimal(12, "node.vtep", name)
    digits = f"{int(digits[:2], 16) & 0xFC | 2:02x}{digits[2:]}"
    mac = ":".join(digits[place : place + 2] for place in range(0, 12, 2))
    return {
        "flannel.alpha.coreos.com/backend-data": f'{{"VNI":1,"VtepMAC":"{mac}"}}',
        "flannel.alpha.coreos.com/backend-type": "vxlan",
        "flannel.alpha.coreos.com/kube-subnet-manager": "true",
        "flannel.alpha.coreos.com/public-ip": address,
    }


def _labels(name: str, roles: Sequence[str], architecture: str) -> dict[str, str]:
    out = {
        "beta.kubernetes.io/arch": architecture,
        "beta.kubernetes.io/os": "linux",
        "kubernetes.io/arch": architecture,
        "kubernetes.io/hostname": name,
        "kubernetes.io/os": "linux",
    }
    out |= {f"node-role.kubernetes.io/{role}": "" for role in roles}
    if "control-plane" in roles:
        out["node.kubernetes.io/exclude-from-external-load-balancers"] = ""
    return out


def _status(
    world: World, node: NodeState, cpu: str, memory: str, storage: str, pods: int, architecture: str
) -> Obj:
    settings = world.cluster.settings
    disk, ram = quantity.value(storage), quantity.value(memory)
    common = {"cpu": cpu, "hugepages-1Gi": "0", "hugepages-2Mi": "0", "pods": str(pods)}
    capacity = {**common, "ephemeral-storage": f"{disk // 1024}Ki", "memory": f"{ram // 1024}Ki"}
    left = {
        **common,
        "ephemeral-storage": str(disk * 9 // 10),
        "memory": f"{ram // 1024 - 100 * 1024}Ki",
    }
    name = node.name
    status: Obj = {
        "addresses": [
            {"type": "InternalIP", "address": node.ip},
            {"type": "Hostname", "address": name},
        ],
        "allocatable": dict(sorted(left.items())),
        "capacity": dict(sorted(capacity.items())),
        "daemonEndpoints": {"kubeletEndpoint": {"Port": 10250}},
        "images": heartbeat.images_of(node),
        "nodeInfo": {
            "architecture": architecture,
            "bootID": world.rng.uuid("node.boot", name, 0),
            "containerRuntimeVersion": settings.default_runtime,
            "kernelVersion": "5.15.0-138-generic",
            "kubeProxyVersion": settings.git_version,
            "kubeletVersion": settings.git_version,
            "machineID": world.rng.hexadecimal(32, "node.machine", name),
            "operatingSystem": "linux",
            "osImage": "Ubuntu 22.04.5 LTS",
            "systemUUID": world.rng.uuid("node.system", name),
        },
        "runtimeHandlers": [
            {"name": "", "features": {"recursiveReadOnlyMounts": True, "userNamespaces": False}},
        ],
    }
    status["conditions"] = [
        {
            "type": "NetworkUnavailable",
            "status": "False",
            "lastHeartbeatTime": world.time,
            "lastTransitionTime": world.time,
            "reason": "FlannelIsUp",
            "message": "Flannel is running on this node",
        },
        *[_beat(world, item) for item in heartbeat.conditions(world, node)],
    ]
    return status


def _beat(world: World, item: Obj) -> Obj:
    return {**item, "lastHeartbeatTime": world.time, "lastTransitionTime": world.time}


def _lease_of(world: World, node: Obj) -> Obj:
    moment = rfc3339_micro(world.now)
    return {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {
            "name": name_of(node),
            "namespace": "kube-node-lease",
            "ownerReferences": [
                {"apiVersion": "v1", "kind": "Node", "name": name_of(node), "uid": node["metadata"]["uid"]}
            ],
        },
        "spec": {"holderIdentity": name_of(node), "leaseDurationSeconds": 40, "renewTime": moment},
    }
