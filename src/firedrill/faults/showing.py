"""What is seen of a mechanism: whether a world shows what `Fault.shows` names."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from firedrill.faults import fitting
from firedrill.faults._seen import SYMPTOMS
from firedrill.faults.base import Fault
from firedrill.world.kube import effects
from firedrill.world.kube.api import ApiError, Client
from firedrill.world.kube.controllers.disruption import may_evict
from firedrill.world.kube.kubelet.nettools import route_from
from firedrill.world.kube.kubelet.state import find_pod
from firedrill.world.kube.network.services import backends_of
from firedrill.world.kube.objects import Obj, condition, dig, labels_of, name_of, namespace_of
from firedrill.world.kube.selectors import selects

if TYPE_CHECKING:
    from firedrill.world import World

Args = Mapping[str, Any]
_BINDINGS = "rolebindings.rbac.authorization.k8s.io"


class Look:
    """One world, looked at for the symptom of one mechanism."""

    def __init__(self, world: World, args: Args, namespace: str, healthy: World) -> None:
        self.world, self.args, self.namespace, self.healthy = world, args, namespace, healthy
        self.store = world.cluster.store
        self.space = str(args.get("namespace") or namespace)

    def pods(self, world: World | None = None) -> list[Obj]:
        """The pods of the application and of Kubernetes itself."""
        store = (world or self.world).cluster.store
        return [*store.list("pods", self.namespace), *store.list("pods", "kube-system")]

    def statuses(self, world: World | None = None) -> list[Mapping[str, Any]]:
        """How the containers of these pods are."""
        return [
            status
            for pod in self.pods(world)
            for key in ("initContainerStatuses", "containerStatuses")
            for status in dig(pod, "status", key, default=())
        ]

    def workload(self) -> Obj:
        """The workload that the arguments name."""
        kind = f"{str(self.args.get('kind') or 'Deployment').lower()}s.apps"
        found = self.store.get(kind, self.space, str(self.args["name"]))
        return found or self.healthy.cluster.store.get(kind, self.space, str(self.args["name"])) or {}

    def own(self) -> list[Obj]:
        """Its pods."""
        wanted = dig(self.workload(), "spec", "selector")
        return [pod for pod in self.store.list("pods", self.space) if selects(wanted, labels_of(pod))]

    # --- kinds of symptoms

    def event(self, reason: str) -> bool:
        """More events with that reason than before."""

        def count(world: World) -> int:
            told = world.cluster.store.list("events")
            return sum(int(item.get("count") or 1) for item in told if item["reason"] == reason)

        return count(self.world) > count(self.healthy)

    def waiting(self, reason: str) -> bool:
        """A container waits for that reason."""
        found = [dig(item, "state", "waiting", "reason") for item in self.statuses()]
        return reason in found

    def ended(self, reason: str) -> bool:
        """A container ended for that reason."""
        return any(
            dig(item, key, "terminated", "reason") == reason
            for item in self.statuses()
            for key in ("state", "lastState")
        )

    def restarts(self, _: str) -> bool:
        """A container has been started more often than any was before."""
        now = max((int(item["restartCount"]) for item in self.statuses()), default=0)
        return now > max((int(item["restartCount"]) for item in self.statuses(self.healthy)), default=0)

    def stuck(self, _: str) -> bool:
        """A container cannot be made, or a volume not be mounted."""
        return self.waiting("CreateContainerConfigError") or self.event("FailedMount")

    def node(self, type_: str) -> bool:
        """The node is not ready, or has that condition."""
        found = self.store.get("nodes", "", str(self.args["node"]))
        if found is None:
            return True
        if type_ == "NotReady":
            return bool((condition(found, "Ready") or {}).get("status") != "True")
        return bool((condition(found, type_) or {}).get("status") == "True")

    def endpoints(self, _: str) -> bool:
        """A Service has no endpoints that had some."""
        for service in self.store.list("services", self.space):
            port = service["spec"]["ports"][0]
            old = self.healthy.cluster.store.get("services", self.space, name_of(service))
            asked = (str(port.get("name") or ""), str(port.get("protocol") or "TCP"))
            had = old is not None and backends_of(self.healthy.cluster.store, old, *asked)
            if had and not backends_of(self.store, service, *asked):
                return True
        return False

    def claim(self, _: str) -> bool:
        """The claim is not bound."""
        found = self.store.get("persistentvolumeclaims", self.space, str(self.args["name"]))
        return found is not None and dig(found, "status", "phase") != "Bound"

    def effect(self, _: str) -> bool:
        """Something acts on the node, or on all pods of the workload."""
        on = [f"node/{self.args['node']}"] if "node" in self.args else []
        if not on:
            on = [f"pod/{pod['metadata']['uid']}" for pod in self.own()]
        kinds: tuple[effects.Parameter, ...] = ("delay_ms", "loss", "cpu_steal")
        return all(any(effects.total(self.world, (item,), kind) for kind in kinds) for item in on)

    def dns(self, _: str) -> bool:
        """Names of Services do not resolve."""
        pod = next(pod for pod in self.store.list("pods", self.namespace) if dig(pod, "status", "podIP"))
        service = self.store.list("services", self.namespace)[0]
        return route_from(self.world, pod, name_of(service), 80).result == "dns_timeout"

    def refused(self, _: str) -> bool:
        """A quota refuses the next object."""
        client = Client(self.world.fork())
        wanted = [
            {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {"name": "next"},
                "spec": {
                    "containers": [
                        {
                            "name": "c",
                            "image": "nginx:1.27",
                            "resources": {
                                "requests": {"cpu": "1", "memory": "1Gi"},
                                "limits": {"cpu": "1", "memory": "1Gi"},
                            },
                        }
                    ]
                },
            },
            {
                "apiVersion": "v1",
                "kind": "Service",
                "metadata": {"name": "next"},
                "spec": {"ports": [{"port": 80}]},
            },
            {
                "apiVersion": "v1",
                "kind": "PersistentVolumeClaim",
                "metadata": {"name": "next"},
                "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "9Gi"}}},
            },
        ]
        for obj in wanted:
            try:
                client.create({**obj, "metadata": {"name": "next", "namespace": self.space}}, dry_run=True)
            except ApiError as refusal:
                if refusal.code == 403 and "exceeded quota" in refusal.message:
                    return True
        return False

    def forbidden(self, _: str) -> bool:
        """Somebody may not what the binding allowed."""
        binding = self.healthy.cluster.store.get(_BINDINGS, self.space, str(self.args["name"]))
        role = dig(binding, "roleRef", "name", default="")
        kind = "roles" if dig(binding, "roleRef", "kind") == "Role" else "clusterroles"
        where = self.space if kind == "roles" else ""
        found = self.healthy.cluster.store.get(f"{kind}.rbac.authorization.k8s.io", where, str(role))
        rule = dig(found, "rules", 0, default={})
        for subject in dig(binding, "subjects", default=()):
            who = f"system:serviceaccount:{subject.get('namespace') or self.space}:{subject['name']}"
            if may(self.healthy, who, self.space, rule) and not may(self.world, who, self.space, rule):
                return True
        return False

    def pending_next(self, _: str) -> bool:
        """One copy more of the workload finds no node."""
        twin = self.world.fork()
        name = str(self.args.get("name") or name_of(self.store.list("deployments.apps", self.namespace)[0]))
        kind = f"{str(self.args.get('kind') or 'Deployment').lower()}s.apps"
        owner = Client(twin).get(kind, self.space, name)
        more = int(dig(owner, "spec", "replicas", default=1)) + 1
        Client(twin).patch(kind, self.space, name, {"spec": {"replicas": more}})
        twin.run_for(20_000)
        return any(
            not dig(pod, "spec", "nodeName")
            for pod in twin.cluster.store.list("pods", self.space)
            if dig(pod, "status", "phase") == "Pending"
        )

    def denied(self, _: str) -> bool:
        """Somebody's password was refused in the last few seconds."""
        from firedrill.world.app import rows, traffic

        if not len(self.world.cluster.part(traffic.Traffic).history):
            return False
        return bool((traffic.rows_of(self.world).kind == rows.AUTH).any())

    def undrainable(self, _: str) -> bool:
        """A pod of the workload cannot be evicted."""
        found = [may_evict(self.world.fork(), pod) for pod in self.own()[:1]]
        return any(refusal is not None and refusal.code == 429 for refusal in found)

    def stale_node(self, _: str) -> bool:
        """A Service that is made now cannot be reached from the node."""
        return any(
            self._late(self.world).get(name) != "ok" == good
            for name, good in self._late(self.healthy).items()
        )

    def _late(self, world: World) -> dict[str, str]:
        """By pod of the node: what comes of a connection to a Service that is made now."""
        twin = world.fork()
        target = next(
            pod
            for pod in twin.cluster.store.list("pods", self.namespace)
            if pod["spec"]["containers"][0].get("ports")
            and (condition(pod, "Ready") or {}).get("status") == "True"
        )
        port = int(target["spec"]["containers"][0]["ports"][0]["containerPort"])
        service = {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "late", "namespace": self.namespace},
            "spec": {"selector": dict(labels_of(target)), "ports": [{"port": port}]},
        }
        Client(twin).create(service)
        twin.run_for(10_000)
        return {
            name_of(pod): route_from(twin, pod, "late", port).result
            for pod in twin.cluster.store.pods_on(str(self.args["node"]))
            if namespace_of(pod) == self.namespace
        }

    def unreachable_service(self, _: str) -> bool:
        """Nobody gets through to the Service."""
        service = self.healthy.cluster.store.get("services", self.space, str(self.args["name"]))
        if service is None:
            return False
        port = int(service["spec"]["ports"][0]["port"])
        for world, good in ((self.healthy, True), (self.world, False)):
            pod = next(
                p
                for p in world.cluster.store.list("pods", self.space)
                if (condition(p, "Ready") or {}).get("status") == "True"
            )
            if (route_from(world, pod, name_of(service), port).result == "ok") != good:
                return False
        return True

    def unreachable_workload(self, _: str) -> bool:
        """A pod of the workload cannot be reached at its address."""
        own = [pod for pod in self.own() if dig(pod, "status", "podIP")]
        others = [pod for pod in self.store.list("pods", self.space) if dig(pod, "status", "podIP")]
        source = next((pod for pod in others if pod not in own), None)
        if source is None or not own:
            return False
        target = own[0]
        port = int(target["spec"]["containers"][0]["ports"][0]["containerPort"])
        return route_from(self.world, source, str(target["status"]["podIP"]), port).result == "dropped"

    def unreachable_address(self, _: str) -> bool:
        """What a variable names cannot be reached."""
        for pod in self.own():
            state = find_pod(self.world, self.space, name_of(pod))
            for found in state.containers.values() if state is not None else ():
                text = found.run.env.get(str(self.args["variable"]), "") if found.run is not None else ""
                host, _colon, port = text.rpartition("://")[2].partition("/")[0].rpartition(":")
                if host and port.isdecimal() and route_from(self.world, pod, host, int(port)).result != "ok":
                    return True
        return False


def may(world: World, account: str, namespace: str, rule: Mapping[str, Any]) -> bool:
    """Whether an account may do the first thing that a rule allows."""
    attributes = {
        "namespace": namespace,
        "verb": dig(rule, "verbs", 0, default="list"),
        "group": dig(rule, "apiGroups", 0, default=""),
        "resource": dig(rule, "resources", 0, default="configmaps"),
    }
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {"user": account, "resourceAttributes": attributes},
    }
    return bool(dig(Client(world.fork()).create(review), "status", "allowed"))


def shows(world: World, healthy: World, fault: Fault, args: Args) -> bool:
    """Whether the symptom of a mechanism is there now.

    Args:
        world: looked at; a symptom that only the next copy shows is looked for in a fork.
        healthy: the world right before the injection.
        fault: the mechanism.
        args: that it was injected with.
    """
    spaces = fitting.namespaces(healthy)
    look = Look(world, args, spaces[0] if spaces else "default", healthy)
    return any(_one(look, way) for way in fault.shows.split("|"))


def _one(look: Look, way: str) -> bool:
    kind, _, detail = way.partition(":")
    if kind in SYMPTOMS:
        return SYMPTOMS[kind](look, detail)
    found: Callable[[str], bool] = getattr(look, kind.replace("-", "_"))
    return found(detail)


def seen(world: World, healthy: World, fault: Fault, args: Args, within: int) -> bool:
    """Whether the symptom comes within so many ms; the world stands at the moment it does."""
    step = 5_000
    for _ in range(within // step + 1):
        if shows(world, healthy, fault, args):
            return True
        if within:
            world.run_for(step)
    return False
