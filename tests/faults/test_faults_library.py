"""Every mechanism of the library: what it causes is seen, nothing gives it away, and it can be taken back."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from random import Random
from typing import Any

import orjson
import pytest

from firedrill import faults
from firedrill.core.errors import InputError
from firedrill.world import World
from firedrill.world.kube import effects
from firedrill.world.kube.api import Client
from firedrill.world.kube.kubelet.databases import logins
from firedrill.world.kube.kubelet.state import find_pod
from firedrill.world.kube.objects import Obj, condition, dig, labels_of, name_of
from firedrill.world.kube.selectors import selects

pytestmark = pytest.mark.slow

Fresh = Callable[[str], tuple[World, str]]
FAULTS = tuple(faults.library())
APPS = ("online-boutique", "market")
TELLTALE = re.compile(r"(?<!de)fault|inject|chaos|firedrill|experiment|sabotage", re.IGNORECASE)
GREEDY = "7500m"
_SMALL = frozenset({"shippingservice", "redis-cart", "productcatalogservice", "market-cache"})
_SLOW = frozenset({"adservice", "emailservice", "recommendationservice", "catalog", "mailer"})


class Targets:
    """What of an application a mechanism can be aimed at; the choice is drawn by a seed."""

    def __init__(self, world: World, namespace: str, seed: int) -> None:
        self.world, self.namespace, self.draw = world, namespace, Random(seed)
        self.store = world.cluster.store

    def deployment(self, fits: Callable[[Obj], bool] = lambda _: True) -> Obj | None:
        found = [
            item
            for item in self.store.list("deployments.apps", self.namespace)
            if dig(item, "spec", "replicas", default=1) and fits(item)
        ]
        found.sort(key=name_of)
        return self.draw.choice(found) if found else None

    def workload(self, fits: Callable[[Obj], bool] = lambda _: True) -> dict[str, Any] | None:
        found = self.deployment(fits)
        return None if found is None else {"namespace": self.namespace, "name": name_of(found)}

    def pods(self, owner: Obj) -> list[Obj]:
        return [
            pod
            for pod in self.store.list("pods", self.namespace)
            if selects(owner["spec"]["selector"], labels_of(pod))
        ]

    def node(self) -> dict[str, Any]:
        nodes = sorted({str(p["spec"]["nodeName"]) for p in self.store.list("pods", self.namespace)})
        return {"node": self.draw.choice([name for name in nodes if name != "control-plane"])}

    def service(self) -> dict[str, Any] | None:
        found = [
            item
            for item in self.store.list("services", self.namespace)
            if dig(item, "spec", "clusterIP") != "None"
            and any(
                selects({"matchLabels": dict(item["spec"]["selector"])}, labels_of(pod))
                for pod in self.store.list("pods", self.namespace)
            )
        ]
        return {"namespace": self.namespace, "name": name_of(self.draw.choice(found))} if found else None

    def address(self, pattern: str) -> dict[str, Any] | None:
        """A Deployment with a variable whose literal value is an address of that form."""

        def names(owner: Obj) -> list[str]:
            env = owner["spec"]["template"]["spec"]["containers"][0].get("env") or ()
            return [str(item["name"]) for item in env if re.fullmatch(pattern, str(item.get("value") or ""))]

        found = self.deployment(lambda owner: bool(names(owner)))
        if found is None:
            return None
        chosen = self.draw.choice(names(found))
        return {"namespace": self.namespace, "name": name_of(found), "variable": chosen}

    def logging_in(self) -> dict[str, Any] | None:
        """A Deployment that opens a database with what a Secret says."""
        for owner in sorted(self.store.list("deployments.apps", self.namespace), key=name_of):
            container = owner["spec"]["template"]["spec"]["containers"][0]
            state = find_pod(self.world, self.namespace, name_of(self.pods(owner)[0]))
            run = state.containers[container["name"]].run if state is not None else None
            for item in container.get("env") or ():
                ref = dig(item, "valueFrom", "secretKeyRef")
                if ref and run is not None and list(logins(run.env)):
                    key = {"secret": ref["name"], "key": ref["key"]}
                    return {"namespace": self.namespace, "name": name_of(owner), **key}
        return None

    def reading(self, kind: str) -> dict[str, Any] | None:
        """A Deployment that mounts or reads a ConfigMap."""
        found = self.deployment(lambda owner: bool(_named(owner, kind)))
        if found is None:
            return None
        name = _named(found, kind)[0]
        return {"namespace": self.namespace, "name": name_of(found), "config_map": name}


def _named(owner: Obj, kind: str) -> list[str]:
    text = orjson.dumps(owner["spec"]["template"]["spec"]).decode()
    return re.findall(rf'"{kind}(?:Ref|KeyRef)?":\{{[^{{}}]*?"name":"([^"]+)"', text)


def _has_http(owner: Obj) -> bool:
    first = owner["spec"]["template"]["spec"]["containers"][0]
    return "httpGet" in (first.get("readinessProbe") or {})


def _learned(owner: Obj) -> bool:
    return "registry.example.net" in owner["spec"]["template"]["spec"]["containers"][0]["image"]


def _is_store(owner: Obj) -> bool:
    first = owner["spec"]["template"]["spec"]["containers"][0]
    return "redis" in first["image"]


def suitable(world: World, namespace: str, fault: str, seed: int) -> dict[str, Any] | None:
    """Arguments for a mechanism, drawn by the seed; None where the application offers no target."""
    targets = Targets(world, namespace, seed)
    names = set(faults.library()[fault].parameters)
    if fault == "kube-scheduler-unavailable":
        return {}
    if fault == "network-policy-blocks" and world.cluster.store.list(
        "networkpolicies.networking.k8s.io", namespace
    ):
        return None  # policies only ever allow: others let the traffic through
    if fault == "oom-killed":
        chosen = targets.workload(lambda owner: name_of(owner) not in _SMALL)
        return None if chosen is None else {**chosen, "memory": "12Mi"}
    if fault.endswith("-capacity-mismatch") and world.cluster.store.list("limitranges", namespace):
        return None if not fault.startswith("pvc-") else {"namespace": namespace, "name": "archive"}
    if fault == "liveness-probe-incorrect-timing":
        return targets.workload(lambda owner: name_of(owner) in _SLOW)
    if fault in {"node-network-delay", "node-network-packet-loss"} or names == {"node"}:
        return targets.node()
    if fault.startswith("cluster-dns"):
        return {}
    if fault.startswith("namespace-"):
        low = {"hard": "1Gi"} if "storage" in fault else {"hard": "1"}
        return {"namespace": namespace, **low}
    if fault.startswith(("pvc-", "pv-")):
        return {"namespace": namespace, "name": "archive"}
    if fault.startswith("service-") and "variable" not in names:
        return targets.service()
    if fault == "service-env-var-address-mismatch":
        return targets.address(r"(?:http://)?[a-z][a-z-]*:\d+")
    if fault in {"wrong-database-credentials", "missing-secret-key"}:
        return targets.logging_in()
    if fault == "database-address-mismatch":
        return targets.address(r"(?:jdbc:)?(?:mysql|postgresql)://.*")
    if fault == "missing-config-map":
        return targets.reading("configMap")
    if fault == "permissions-revoked":
        found = world.cluster.store.list("rolebindings.rbac.authorization.k8s.io", namespace)
        return {"namespace": namespace, "name": name_of(found[0])} if found else None
    if fault == "autoscaler-target-missing":
        scalers = world.cluster.store.list("horizontalpodautoscalers.autoscaling", namespace)
        return {"namespace": namespace, "name": name_of(scalers[0])} if scalers else None
    if fault == "priority-preemption":
        return {"namespace": "default", "cpu": GREEDY, "replicas": 4}
    if fault == "volume-mount-permission-denied":
        space = world.cluster.store.get("namespaces", "", namespace)
        if space is None or "pod-security.kubernetes.io/enforce" in labels_of(space):
            return None  # folders of the node are forbidden here
        return targets.workload(_is_store)
    if fault == "readiness-probe-incorrect-path":
        return targets.workload(_has_http)
    if fault == "invalid-arguments":
        return targets.workload(_learned)
    if fault.startswith("liveness-"):
        return targets.workload(lambda o: "livenessProbe" in o["spec"]["template"]["spec"]["containers"][0])
    if fault == "pod-anti-affinity-conflict":
        chosen = targets.workload()
        return None if chosen is None else {**chosen, "replicas": 9}
    return targets.workload()


def aimed(fresh: Fresh, fault: str) -> Iterator[tuple[World, str, dict[str, Any]]]:
    """Worlds with arguments for the mechanism, of every application that offers a target."""
    for app in ("travel",) if fault == "database-address-mismatch" else APPS:
        world, namespace = fresh(app)
        args = suitable(world, namespace, fault, seed=len(fault))
        if args is not None:
            yield world, namespace, args


@pytest.mark.parametrize("fault", FAULTS)
def test_what_it_causes_is_seen_and_it_can_be_taken_back(
    fresh: Fresh, seen_in: Callable[..., bool], fault: str
) -> None:
    mechanism = faults.find(fault)
    tried = 0
    for world, namespace, args in aimed(fresh, fault):
        tried += 1
        before = _texts(world)
        assert not seen_in(world.fork(), mechanism, args, namespace, world, 0), "seen before it happened"
        healthy = world.fork()
        injection = faults.inject(world, mechanism, args)
        for cause in injection.causes:
            _assert_exists(world, healthy, cause)
        assert seen_in(world, mechanism, args, namespace, healthy, mechanism.within), (fault, args)
        assert not [text for text in _texts(world) - before if TELLTALE.search(text)]
        faults.revert(world, injection)
        assert world.run_until(lambda now, space=namespace: _whole(now, space), 12 * 60_000), (  # type: ignore[misc]
            fault,
            args,
            _unready(world, namespace),
        )
        assert not world.cluster.part(effects.Effects).rows
    assert tried, f"no application offers a target for {fault}"


def _assert_exists(world: World, healthy: World, cause: str) -> None:
    """A cause is an object, now or before it was taken away."""
    space, kind, name = cause.split("/")
    for kinds in world.cluster.kinds.all():
        if kinds.kind == kind:
            where = "" if space == "cluster" else space
            if any(item.cluster.store.get(kinds.resource, where, name) for item in (world, healthy)):
                return
    raise AssertionError(f"{cause} is not there")


def _unready(world: World, namespace: str) -> list[str]:
    out = []
    for space in (namespace, "kube-system"):
        for pod in world.cluster.store.list("pods", space):
            ready = (condition(pod, "Ready") or {}).get("status") == "True"
            if dig(pod, "status", "phase") not in {"Succeeded", "Failed"} and not ready:
                out.append(name_of(pod))
    for node in world.cluster.store.list("nodes"):
        if (condition(node, "Ready") or {}).get("status") != "True":
            out.append(name_of(node))
    return out


def _whole(world: World, namespace: str) -> bool:
    if _unready(world, namespace):
        return False
    return all(
        dig(owner, "status", "readyReplicas", default=0) >= dig(owner, "spec", "replicas", default=1)
        and dig(owner, "status", "updatedReplicas", default=0) >= dig(owner, "spec", "replicas", default=1)
        for owner in world.cluster.store.list("deployments.apps", namespace)
    )


def _texts(world: World) -> set[str]:
    """All that a cluster tells of who did what: names, labels, annotations, managers, agents, messages."""
    out: set[str] = set()
    for resource in world.cluster.store.resources():
        for obj in world.cluster.store.list(resource):
            meta = obj["metadata"]
            for part in ("labels", "annotations"):
                out.update(f"{key}={text}" for key, text in (meta.get(part) or {}).items())
            out.add(f"name {meta['name']}")
            out.update(f"manager {item.get('manager')}" for item in meta.get("managedFields") or ())
            out.add(f"message {obj.get('message')}")
            out.add(f"component {dig(obj, 'source', 'component')}")
    for entry in world.cluster.audit:
        out.add(
            f"agent {dig(entry, 'userAgent') if isinstance(entry, dict) else getattr(entry, 'agent', '')}"
        )
    return out


@pytest.mark.parametrize("fault", FAULTS)
def test_it_happens_the_same_way_every_time(fresh: Fresh, fault: str) -> None:
    for world, namespace, args in aimed(fresh, fault):
        twin = world.fork()
        assert suitable(twin, namespace, fault, seed=len(fault)) == args
        one = faults.inject(world, faults.find(fault), args)
        two = faults.inject(twin, faults.find(fault), args)
        assert one == two
        for item in (world, twin):
            item.run_for(20_000)
        assert world.digest() == twin.digest()
        return


@pytest.mark.parametrize("fault", FAULTS)
def test_wrong_targets_are_refused_with_a_mend(fresh: Fresh, fault: str) -> None:
    mechanism = faults.find(fault)
    world, _, args = next(aimed(fresh, fault))
    before = world.cluster.store.rv
    with pytest.raises(InputError) as unknown:
        faults.inject(world, mechanism, {**args, "nmae": "x"})
    assert unknown.value.field == "nmae" and unknown.value.mend
    for name, parameter in mechanism.parameters.items():
        if parameter.default is None:
            with pytest.raises(InputError) as missing:
                faults.inject(world, mechanism, {key: item for key, item in args.items() if key != name})
            assert missing.value.field == name and missing.value.mend
    aim = next((name for name in ("name", "node", "namespace") if name in args), None)
    if aim is not None and fault != "priority-preemption":
        wrong = {**args, aim: "nowhere"}
        if fault.startswith("namespace-"):
            wrong = {**args, "namespace": "nowhere"}
        with pytest.raises(InputError) as gone:
            faults.inject(world, mechanism, wrong)
        assert "nowhere" in str(gone.value) and gone.value.mend
        assert gone.value.field
    assert world.cluster.store.rv == before


def test_ids_and_other_names_are_one_to_one() -> None:
    names = [name for fault in faults.library().values() for name in (fault.id, *fault.aliases)]
    assert len(names) == len(set(names))
    for fault in faults.library().values():
        assert fault.title and fault.title[0].islower() and not fault.title.endswith(".")
        assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", fault.id)
        for alias in fault.aliases:
            assert faults.find(alias) is fault
    with pytest.raises(InputError) as unknown:
        faults.find("no-such-thing")
    assert unknown.value.mend


def test_the_client_of_the_library_is_a_person_with_a_terminal(fresh: Fresh) -> None:
    world, namespace = fresh("market")
    faults.inject(world, faults.find("invalid-command"), {"namespace": namespace, "name": "mailer"})
    owner = Client(world).get("deployments.apps", namespace, "mailer")
    managers = {item["manager"] for item in owner["metadata"]["managedFields"]}
    assert managers <= {"kubectl", "kubectl-client-side-apply", "kube-controller-manager"}
