"""What other teams do in namespaces of their own, and what happens to the machines that all share."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final

import yaml

from firedrill.world.kube import effects, events, kubelet, programs
from firedrill.world.kube.api import Client
from firedrill.world.kube.objects import Obj, condition, dig, labels_of, name_of, namespace_of, thaw, uid_of
from firedrill.world.kube.programs import catalogue
from firedrill.world.kube.programs.model import Load
from firedrill.world.kube.programs.reference import parse_reference
from firedrill.world.life import people
from firedrill.world.life.application import DEPLOYMENTS, entity, publish, roll_out
from firedrill.world.life.choosing import graph_of, settled
from firedrill.world.life.state import note
from firedrill.world.sim.clock import rfc3339_micro
from firedrill.world.sim.handlers import handler

if TYPE_CHECKING:
    from firedrill.world.world import World

_SPACES: Final = ("intranet", "reporting")
_LEASES: Final = "leases.coordination.k8s.io"
_PROBE_MS = 11_000
_KEEP_JOBS = 3


@cache
def _parsed() -> tuple[Any, ...]:
    text = files("firedrill.world.life").joinpath("data/neighbours.yaml").read_text("utf-8")
    return tuple(yaml.safe_load_all(text))


def manifests() -> list[Obj]:
    """What other teams run, and who may change what."""
    return [thaw(obj) for obj in _parsed()]


def move_in(world: World) -> None:
    """Let other teams have their things in the cluster.

    Raises:
        InputError: the cluster refuses an object.
    """
    from firedrill.world.build import apply_manifests

    client = Client(world)
    missing = [
        obj
        for obj in manifests()
        if client.find(world.cluster.kinds.of(obj).resource, namespace_of(obj), name_of(obj)) is None
    ]
    programs.learn(world, missing)
    apply_manifests(world, missing, source="neighbours")


def _deployments(world: World) -> list[Obj]:
    return [item for space in _SPACES for item in world.cluster.store.list(DEPLOYMENTS, space)]


def rollout(world: World, n: int) -> bool:
    """Another team's new version."""
    found = [item for item in _deployments(world) if settled(item)]
    if not found:
        return False
    chosen = world.rng.choice(found, "life", "neighbour", n)
    image = str(chosen["spec"]["template"]["spec"]["containers"][0]["image"])
    roll_out(world, people.pipeline(world), chosen, publish(world, image), n)
    return True


def push_late(world: World, n: int) -> bool:
    """Another team's pipeline deploys before the registry has the image: pulls fail until it has."""
    found = [item for item in _deployments(world) if settled(item)]
    if not found:
        return False
    chosen = world.rng.choice(found, "life", "late", n)
    image = str(chosen["spec"]["template"]["spec"]["containers"][0]["image"])
    build = f"{image}-b{world.rng.integer(100, 999, 'life', 'late.build', n)}"
    roll_out(world, people.pipeline(world), chosen, build, n)
    world.schedule(world.rng.integer(25_000, 70_000, "life", "late.ms", n), "life.pushed", image, build)
    return True


@handler("life.pushed")
def _pushed(world: World, image: str, build: str) -> None:
    """The registry has the image now."""
    old, new = parse_reference(image), parse_reference(build)
    repository = catalogue.find(world, new) if new is not None else None
    if old is None or new is None or repository is None:
        return
    program = catalogue.program_of(world, old)
    part = world.cluster.part(catalogue.Catalogue)
    part.repositories[new.repository] = replace(repository, tags=f"{repository.tags}|{re.escape(new.tag)}")
    catalogue.set_variant(world, new, program)


def delete_pod(world: World, n: int) -> bool:
    """A developer deletes a pod of another team's workload, which gets a new one."""
    found = [
        pod
        for space in _SPACES
        for pod in world.cluster.store.list("pods", space)
        if _ready(pod) and not labels_of(pod).get("job-name")
    ]
    if not found:
        return False
    pod = world.rng.choice(found, "life", "delete", n)
    people.developer(world, "delete", n, manager="kubectl").delete("pods", namespace_of(pod), name_of(pod))
    note(world, f"{namespace_of(pod)}/Pod/{name_of(pod)}", "deleted by hand")
    return True


def edit(world: World, n: int) -> bool:
    """Another team edits its configuration."""
    client = people.developer(world, "neighbour.edit", n)
    talk = world.rng.choice(("Lunch talk", "Fire drill", "Quarterly review"), "life", "talk", n)
    day = world.rng.choice(("Monday", "Tuesday", "Thursday"), "life", "day", n)
    client.patch("configmaps", "intranet", "wiki-pages", {"data": {"motd": f"{talk} on {day}"}})
    note(world, "intranet/ConfigMap/wiki-pages", "another team's text")
    return True


def start_job(world: World, n: int) -> bool:
    """Another team starts a job by hand; old ones are cleared away."""
    client = people.developer(world, "job", n, manager="kubectl-create")
    old = [job for job in world.cluster.store.list("jobs.batch", "reporting") if _by_hand(job)]
    for job in old[: -_KEEP_JOBS or None] if len(old) > _KEEP_JOBS else ():
        client.delete("jobs.batch", "reporting", name_of(job), propagation="Background")
    name = f"backfill-{world.rng.suffix(5, 'life', 'job', n)}"
    seconds = world.rng.integer(20, 160, "life", "job.seconds", n)
    container = {
        "name": "backfill",
        "image": "busybox:1.36",
        "command": ["sh", "-c", f"echo backfill; sleep {seconds}; echo done"],
        "resources": {"requests": {"cpu": "10m", "memory": "8Mi"}, "limits": {"memory": "32Mi"}},
    }
    template = {"spec": {"restartPolicy": "OnFailure", "containers": [container]}}
    meta = {"name": name, "namespace": "reporting", "labels": {"run": "backfill"}}
    spec = {"backoffLimit": 1, "template": template}
    client.create({"apiVersion": "batch/v1", "kind": "Job", "metadata": meta, "spec": spec})
    note(world, f"reporting/Job/{name}", "another team's job")
    return True


def _by_hand(job: Obj) -> bool:
    done = condition(job, "Complete")
    return labels_of(job).get("run") == "backfill" and done is not None


def slow_probe(world: World, n: int) -> bool:
    """A pod of another team answers its prober too late, once."""
    found = [
        pod
        for space in _SPACES
        for pod in world.cluster.store.list("pods", space)
        if _ready(pod) and dig(pod, "spec", "containers", 0, "readinessProbe", "httpGet")
    ]
    if not found:
        return False
    pod = world.rng.choice(found, "life", "probe", n)
    place = (namespace_of(pod), name_of(pod), str(pod["spec"]["containers"][0]["name"]))
    kubelet.set_health(world, *place, latency=1600)
    world.schedule(_PROBE_MS, "life.probe_over", *place)
    note(world, f"{place[0]}/Pod/{place[1]}", "slow for some seconds")
    return True


@handler("life.probe_over")
def _probe_over(world: World, namespace: str, pod: str, container: str) -> None:
    try:
        kubelet.set_health(world, namespace, pod, container, latency=0)
    except LookupError:
        return  # it has gone meanwhile


def burden(world: World, n: int) -> bool:
    """Another team's pages are in demand for some minutes: its autoscaler acts."""
    found = [
        pod
        for pod in world.cluster.store.list("pods", "intranet")
        if labels_of(pod).get("app") == "directory"
        and (condition(pod, "Ready") or {}).get("status") == "True"
    ]
    milli = world.rng.integer(22, 32, "life", "burden", n)
    for pod in found:
        kubelet.set_load(world, uid_of(pod), "httpd", Load(milli, 2_000_000, 5))
        world.schedule(420_000, "life.burden_over", uid_of(pod))
    if found:
        note(world, "intranet/Deployment/directory", "more to do for some minutes")
    return bool(found)


@handler("life.burden_over")
def _burden_over(world: World, uid: str) -> None:
    kubelet.set_load(world, uid, "httpd", Load(1, 0, 1))


def renew(world: World, n: int) -> bool:
    """A certificate is renewed."""
    serial = str(world.rng.integer(10_000, 99_999, "life", "serial", n))
    client = people.certificates(world)
    body = {
        "metadata": {"annotations": {"cert-manager.io/issued-at": world.time}},
        "stringData": {"serial": serial},
    }
    client.patch("secrets", "intranet", "wiki-tls", body)
    note(world, "intranet/Secret/wiki-tls", "a renewed certificate")
    return True


def elect(world: World, n: int) -> bool:
    """Another copy of a controller becomes the leader."""
    store = world.cluster.store
    lease = store.get(_LEASES, "delivery", "cert-manager-controller")
    pods = [
        pod
        for pod in store.list("pods", "delivery")
        if labels_of(pod).get("app") == "cert-manager" and dig(pod, "status", "phase") == "Running"
    ]
    holder = str(dig(lease, "spec", "holderIdentity", default=""))
    others = [pod for pod in pods if not holder.startswith(name_of(pod))]
    if lease is None or not others:
        return False
    chosen = name_of(world.rng.choice(others, "life", "leader", n))
    told = f"{chosen}-external-cert-manager-controller"
    moves = int(dig(lease, "spec", "leaseTransitions", default=0)) + 1
    now = rfc3339_micro(world.now)
    spec = {"holderIdentity": told, "leaseTransitions": moves, "acquireTime": now, "renewTime": now}
    client = people.certificates(world)
    client.patch(_LEASES, "delivery", "cert-manager-controller", {"spec": spec})
    events.record(world, lease, "Normal", "LeaderElection", f"{told} became leader", component="cert-manager")
    note(world, "delivery/Lease/cert-manager-controller", "another leader")
    return True


def query(world: World, n: int) -> bool:
    """Somebody's question keeps a database of the application a little busier for some seconds."""
    graph = graph_of(world)
    stores = {
        name
        for service in (graph.app.services if graph is not None else ())
        if service.database
        for _, name in (service.workload, *service.also)
    }
    space = graph.app.namespace if graph is not None else ""
    found = [
        pod
        for pod in world.cluster.store.list("pods", space)
        if any(name_of(pod).startswith(f"{name}-") for name in stores)
        and dig(pod, "status", "phase") == "Running"
    ]
    if not found:
        return False
    pod = world.rng.choice(found, "life", "query", n)
    _disturb(world, f"pod/{uid_of(pod)}", world.rng.integer(20, 60, "life", "query.size", n), 20_000)
    note(world, entity({**pod, "kind": "Pod"}), "a long question")
    return True


def press(world: World, n: int) -> bool:
    """A machine has a little more to do for a while: a back-up, a scan."""
    nodes = [item for item in world.cluster.store.list("nodes") if _ready(item)]
    if not nodes:
        return False
    node = name_of(world.rng.choice(nodes, "life", "press", n))
    length = world.rng.integer(60_000, 200_000, "life", "press.ms", n)
    _disturb(world, f"node/{node}", world.rng.integer(15, 50, "life", "press.size", n), length)
    note(world, f"cluster/Node/{node}", "a little busier")
    return True


def _disturb(world: World, where: str, thousandths: int, length: int) -> None:
    source = f"work on {where} at {world.now}"
    effects.add(world, effects.Effect(where, "cpu_steal", thousandths, source))
    world.schedule(length, "life.work_over", source)


@handler("life.work_over")
def _work_over(world: World, source: str) -> None:
    effects.remove(world, source)


def _ready(obj: Obj) -> bool:
    return (condition(obj, "Ready") or {}).get("status") == "True"
