"""Building in a world what was recorded on a real cluster: same application, same fault, same age.

What a recording tells of the objects as they were asked for (images, probes, resources, ports, replicas),
of ages and of the nodes that pods were placed on is read from it, and what it tells of the faulty object
becomes the arguments of the fault. Events, statuses and states of the experiment are not read: those must
come by themselves. The head of `likeness_notes.yaml` lists what is rebuilt from what.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from firedrill import faults
from firedrill.core.errors import InputError
from firedrill.world import World
from firedrill.world.app import load_application
from firedrill.world.build import apply_manifests, make_world
from firedrill.world.kube import programs
from firedrill.world.kube.api import Client
from firedrill.world.kube.objects import Obj
from likeness_history import deeds, relive, traces
from likeness_templates import PROXY, described_pods, hashes, is_meshed, known, mesh
from likeness_text import age_seconds, table

NAMESPACE = "boutique"
NODES = ("master", "worker-01", "worker-02", "worker-03")
_MS = 1000


@dataclass(frozen=True, slots=True)
class Case:
    """One recording: its folder and the texts by file name without suffix."""

    fault: str
    number: str
    folder: Path
    texts: Mapping[str, str]

    def described(self, kind: str) -> dict[str, str]:
        """The texts of `kubectl describe` for a kind (plural), by the object's name."""
        head = f"describe-{kind}-"
        return {name.removeprefix(head): text for name, text in self.texts.items() if name.startswith(head)}

    def target(self, kind: str = "deployments") -> str:
        """The object that the recording is about."""
        return next(iter(self.described(kind)), "")


def cases(root: Path) -> list[Case]:
    """All recordings below a folder."""
    out = []
    for folder in sorted(path for path in root.glob("*/*") if path.is_dir()):
        texts = {file.stem: file.read_text("utf-8") for file in sorted(folder.glob("*.txt"))}
        out.append(Case(folder.parent.name, folder.name, folder, texts))
    return out


def age_of_application(case: Case) -> int:
    """For how many seconds the application had been deployed when its Deployments were listed."""
    ages = [age_seconds(row["AGE"]) for row in table(case.texts["get-deployments"])]
    return max(ages, default=100)


def build(case: Case, seed: int = 11, *, history: bool = True) -> World:
    """The situation of a recording, at the age at which it was recorded.

    Args:
        case: the recording.
        seed: of the world.
        history: whether what earlier experiments did to the nodes is done before.
    """
    age = age_of_application(case)
    world = _cluster(seed).fork()
    _other_volumes(world, case)
    earlier = deeds(list(traces(case.texts, NODES[0])), age) if history else []
    relive(world, earlier, age + 16, NODES[0])
    manifests = [_like_recorded(case, obj) for obj in load_application("online-boutique")]
    _RECIPES[case.fault](world, case, manifests, age)
    return world


@cache
def _cluster(seed: int) -> World:
    """The cluster before: its nodes have run the application in earlier experiments and have its images."""
    world = make_world(seed, nodes=NODES, settle=False)
    client = Client(world)
    client.patch("nodes", "", NODES[0], {"spec": {"unschedulable": True, "taints": None}})
    application = load_application("online-boutique")
    additions = _additions()
    programs.learn(world, [*application, *additions])
    apply_manifests(world, additions, namespace="kube-system")
    _pull_before(world, application)
    return world


def _additions() -> list[Obj]:
    """What else ran in the recorded cluster's kube-system, as its events and node descriptions name it."""
    registry = "easzlab.io.local:5000"
    scraper = f"{registry}/kubernetesui/metrics-scraper:v1.0.8"
    return [
        _addition(
            "DaemonSet", "node-local-dns", "node-cache", f"{registry}/easzlab/k8s-dns-node-cache:1.23.1"
        ),
        _addition(
            "Deployment",
            "kubernetes-dashboard",
            "kubernetes-dashboard",
            f"{registry}/kubernetesui/dashboard:v2.7.0",
        ),
        _addition("Deployment", "dashboard-metrics-scraper", "dashboard-metrics-scraper", scraper),
    ]


def _addition(kind: str, name: str, container: str, image: str, init: list[Obj] | None = None) -> Obj:
    labels = {"app": name}
    spec: Obj = {
        "containers": [{"name": container, "image": image}],
        "tolerations": [{"operator": "Exists"}] if kind == "DaemonSet" else [],
        "hostNetwork": kind == "DaemonSet",
    }
    if init:
        spec["initContainers"] = init
    return {
        "apiVersion": "apps/v1",
        "kind": kind,
        "metadata": {"name": name},
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": spec},
        },
    }


def _pull_before(world: World, application: list[Obj]) -> None:
    """One pod on each worker runs every image for a while, and is gone again."""
    client = Client(world)
    images = [item["image"] for obj in application if obj["kind"] == "Deployment" for item in _all(obj)]
    images.append(PROXY)
    containers = [{"name": f"c{number}", "image": image} for number, image in enumerate(images)]
    for node in NODES[1:]:
        client.create(
            {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {"name": f"earlier-{node}", "namespace": "default"},
                "spec": {"nodeName": node, "containers": containers},
            }
        )
    world.run_for(120 * _MS)
    for node in NODES[1:]:
        client.delete("pods", "default", f"earlier-{node}", grace=0)
    world.run_for(2 * 3600 * _MS)


# --- reading what the recording tells of the faulty object

_PROBE = re.compile(
    r"(grpc <pod>:(?P<grpc>\d+)|http-get https?://:(?P<http>\d+)(?P<path>/\S*)|tcp-socket :(?P<tcp>\d+))"
    r".*?delay=(?P<delay>\d+)s timeout=(?P<timeout>\d+)s period=(?P<period>\d+)s"
    r" #success=\d+ #failure=(?P<failure>\d+)"
)


def read_probe(text: str) -> Obj | None:
    """A probe as `describe` prints it, as an object."""
    match = _PROBE.search(text)
    if match is None:
        return None
    probe: Obj = {
        "initialDelaySeconds": int(match["delay"]),
        "timeoutSeconds": int(match["timeout"]),
        "periodSeconds": int(match["period"]),
        "failureThreshold": int(match["failure"]),
    }
    if match["grpc"]:
        probe["grpc"] = {"port": int(match["grpc"])}
    elif match["http"]:
        probe["httpGet"] = {"port": int(match["http"]), "path": match["path"]}
    else:
        probe["tcpSocket"] = {"port": int(match["tcp"])}
    return probe


def _containers(text: str) -> dict[str, dict[str, str]]:
    """The fields of each container in a described pod (or pod template): name -> field -> text."""
    out: dict[str, dict[str, str]] = {}
    inside, name, field = False, "", ""
    for line in text.splitlines():
        if re.match(r"\s{0,3}Containers:", line):
            inside = True
            base = len(line) - len(line.lstrip())
            continue
        if not inside:
            continue
        depth = len(line) - len(line.lstrip())
        if line.strip() and depth <= base:
            break
        if re.fullmatch(r"\s+[\w-]+:", line) and depth == (2 if base == 0 else base + 1):
            name, field = line.strip().rstrip(":"), ""
            out[name] = {}
        elif name and (match := re.match(r"\s+([A-Z][\w ]*?):\s*(.*)", line)) and depth <= base + 4:
            field = match[1]
            out[name][field] = match[2].strip()
        elif name and field:
            out[name][field] += "\n" + line.strip()
    return out


def _like_recorded(case: Case, obj: Obj) -> Obj:
    """A manifest with the spec that the recording shows for it, where it describes that object."""
    if obj["kind"] == "Deployment":
        return _deployment_like(case, obj)
    if obj["kind"] in {"PersistentVolume", "PersistentVolumeClaim"}:
        _volume_like(case, obj)
    return obj


def _volume_like(case: Case, obj: Obj) -> None:
    """The recorded name and capacity of the application's volume, and the size that its claim asked for."""
    texts = case.texts
    volumes = table(texts.get("get-persistentvolumes", ""))
    own = [
        row for row in volumes if row["STATUS"] in {"Available", "Bound"} and row["NAME"].startswith("redis")
    ]
    if not own:
        return
    if obj["kind"] == "PersistentVolume":
        obj["metadata"]["name"] = own[0]["NAME"]
        obj["spec"]["capacity"] = {"storage": own[0]["CAPACITY"]}
        obj["spec"]["hostPath"] = {"path": "/data/redis"}
    else:
        obj["spec"]["resources"] = {"requests": {"storage": own[0]["CAPACITY"]}}
    if obj["spec"].get("volumeName"):
        obj["spec"]["volumeName"] = own[0]["NAME"]


def _described_pod(case: Case, name: str) -> str:
    for pod, text in case.described("pods").items():
        if pod.startswith(name + "-"):
            return text
    if name in case.described("deployments"):
        return case.described("deployments")[name]
    return _every_pod(case.folder.parent.parent).get((name, hashes(case.texts).get(name, "")), "")


@cache
def _every_pod(root: Path) -> Mapping[tuple[str, str], str]:
    return described_pods(case.texts for case in cases(root))


def _deployment_like(case: Case, obj: Obj) -> Obj:
    name = obj["metadata"]["name"]
    text = _described_pod(case, name)
    spec = obj["spec"]["template"]["spec"]
    for row in table(case.texts.get("get-deployments", "")):
        if row["NAME"] == name and "/" in row["READY"]:
            obj["spec"]["replicas"] = int(row["READY"].partition("/")[2])
    _placed_like(case, name, spec, text)
    recorded = _containers(text)
    for container in spec["containers"]:
        fields = recorded.get(container["name"])
        if fields:
            _container_like(container, fields)
        container.update(known(name, hashes(case.texts).get(name, "")))
    if is_meshed(case.texts):
        mesh(obj)
    return obj


def _placed_like(case: Case, name: str, spec: Obj, text: str) -> None:
    """The recorded node selector; and among nodes that are as good, the one that the real scheduler took.

    Which of several equally good nodes a pod gets is luck, and decides which pods a node's fault meets.
    """
    label = _field(text, "Node-Selectors")
    if "=" in label and case.fault not in {"node_selector_mismatch"}:
        spec["nodeSelector"] = dict([label.split("=", 1)])
    rows = table(case.texts.get("get-pods-wide", ""))
    nodes = [row["NODE"] for row in rows if row["NAME"].rsplit("-", 2)[0] == name]
    if len(nodes) == 1 and nodes[0] in NODES:
        wanted = [{"key": "kubernetes.io/hostname", "operator": "In", "values": nodes}]
        preferred = [{"weight": 100, "preference": {"matchExpressions": wanted}}]
        term = {"preferredDuringSchedulingIgnoredDuringExecution": preferred}
        spec["affinity"] = {**spec.get("affinity", {}), "nodeAffinity": term}


def _container_like(container: Obj, fields: Mapping[str, str]) -> None:
    for key, field in (("livenessProbe", "Liveness"), ("readinessProbe", "Readiness")):
        probe = read_probe(fields.get(field, ""))
        if probe is not None:
            container[key] = probe
        elif fields.get("Image"):
            container.pop(key, None)
    container["image"] = fields.get("Image", container["image"])
    resources: Obj = {}
    for key, field in (("limits", "Limits"), ("requests", "Requests")):
        found = dict(re.findall(r"(cpu|memory):\s+(\S+)", fields.get(field, "")))
        if found:
            resources[key] = found
    if resources:
        container["resources"] = resources
    recorded = dict(re.findall(r"^(\w+):[ \t]+(\S+)$", fields.get("Environment", ""), re.MULTILINE))
    for entry in container.get("env") or ():
        entry["value"] = recorded.get(entry["name"], entry["value"])


# --- what else was there


def _extras(case: Case) -> list[Obj]:
    """Workloads in the recorded namespace that are none of the application's."""
    own = {obj["metadata"]["name"] for obj in load_application("online-boutique")}
    out = []
    asked = _asked(case)
    for row in table(case.texts["get-deployments"]):
        if row["NAME"] not in own:
            out.append(_extra("Deployment", row["NAME"], asked.get(row["NAME"], {})))
    pods = [row["NAME"] for row in table(case.texts["get-pods-wide"])]
    sets = {name.rpartition("-")[0] for name in pods if name.rsplit("-", 2)[0] not in own}
    for name in sorted(sets):
        if not any(name.startswith(f"{other}-") for other in own) and pods and name not in asked:
            out.append(_extra("DaemonSet", name, _hogging(case)))
    return [obj for obj in out if obj["kind"] == "Deployment" or len(_pods_of(pods, obj)) == len(NODES)]


def _pods_of(pods: list[str], obj: Obj) -> list[str]:
    return [pod for pod in pods if pod.rpartition("-")[0] == obj["metadata"]["name"]]


def _hogging(case: Case) -> dict[str, str]:
    """What a DaemonSet must ask for so that what the faulty workload asks for fits nowhere."""
    return {"memory": "9Gi"} if case.fault == "memory_capacity_mismatch" else {}


def _asked(case: Case) -> dict[str, dict[str, str]]:
    """What the pods of a workload asked for, where a quota refused them for that."""
    refused = r'pods "([a-z-]+)-[a-z0-9]{6,10}-[a-z0-9]{5}" is forbidden: '
    told = re.findall(refused + r".*?requested: requests\.(cpu|memory)=(\w+)", " ".join(case.texts.values()))
    return {name: {resource: amount} for name, resource, amount in told}


def _extra(kind: str, name: str, requests: dict[str, str]) -> Obj:
    labels = {"app": name}
    container = {"name": "server", "image": "redis:alpine", "resources": {"requests": requests}}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [container]}}
    return {
        "apiVersion": "apps/v1",
        "kind": kind,
        "metadata": {"name": name},
        "spec": {"selector": {"matchLabels": labels}, "template": template},
    }


def _other_volumes(world: World, case: Case) -> None:
    """Volumes that earlier experiments have left: free ones, and those whose claim is gone."""
    client = Client(world)
    for row in table(case.texts.get("get-persistentvolumes", "")):
        claim = row["CLAIM"].partition("/")[2]
        left = row["STATUS"] == "Released" or (
            row["STATUS"] == "Available" and not row["NAME"].startswith("redis")
        )
        if left:
            client.create(_volume(row))
        if left and claim:
            apply_manifests(world, [_claim_of(row, claim)], namespace=NAMESPACE)
            world.run_for(20 * _MS)
            client.delete("namespaces", "", NAMESPACE)
            world.run_for(40 * _MS)


_MODES = {"RWO": "ReadWriteOnce", "ROX": "ReadOnlyMany", "RWX": "ReadWriteMany"}


def _volume(row: Mapping[str, str]) -> Obj:
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": row["NAME"]},
        "spec": {
            "capacity": {"storage": row["CAPACITY"]},
            "accessModes": [_MODES[mode] for mode in row["ACCESS MODES"].split(",")],
            "persistentVolumeReclaimPolicy": row["RECLAIM POLICY"],
            "storageClassName": row["STORAGECLASS"],
            "hostPath": {"path": f"/data/{row['NAME']}"},
        },
    }


def _claim_of(row: Mapping[str, str], name: str, storage: str = "") -> Obj:
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": name},
        "spec": {
            "accessModes": [_MODES[mode] for mode in row["ACCESS MODES"].split(",")],
            "storageClassName": row["STORAGECLASS"],
            "volumeName": row["NAME"],
            "resources": {"requests": {"storage": storage or row["CAPACITY"]}},
        },
    }


# --- recipes: how each kind of situation came about


Recipe = Callable[[World, Case, list[Obj], int], None]


def _deploy(
    world: World, case: Case, manifests: list[Obj], faulty: Mapping[tuple[str, str], Callable[[], None]] = {}
) -> None:
    """Apply one object after the other, as `kubectl apply -f` does, with the time that each request takes.

    Args:
        world: where.
        case: the recording.
        manifests: what is applied.
        faulty: by kind and name of an object: what breaks it before any controller has seen it.
    """
    for obj in _in_order(case, manifests):
        apply_manifests(world, [obj], namespace=NAMESPACE)
        broken = faulty.get((obj["kind"], obj["metadata"]["name"]))
        if broken is not None:
            broken()
        world.run_for(12 * _MS if obj["kind"] == "PersistentVolumeClaim" else 60)


def _in_order(case: Case, manifests: list[Obj]) -> list[Obj]:
    """Volumes and claims, which were made some seconds before, then other workloads, then the application."""
    volumes = [obj for obj in manifests if obj["kind"].startswith("PersistentVolume")]
    others = [obj for obj in _extras(case) if obj["kind"] == "DaemonSet"]
    return [*volumes, *others, *(obj for obj in manifests if obj not in volumes)]


def _inject(world: World, fault: str, **args: Any) -> faults.Injection:
    return faults.inject(world, faults.find(fault), args)


def _field(text: str, name: str) -> str:
    match = re.search(rf"^\s*{re.escape(name)}:\s+(\S.*?)\s*$", text, re.MULTILINE)
    return match[1] if match and match[1] != "<none>" else ""


def _target_text(case: Case) -> str:
    pods = case.described("pods")
    return next(iter(pods.values()), "") or case.described("deployments").get(case.target(), "")


def _recorded(case: Case) -> dict[str, str]:
    """The fields of the first container of the faulty workload."""
    found = _containers(_target_text(case))
    return next(iter(found.values()), {})


def _plain(manifests: list[Obj], original: list[Obj], name: str, *fields: str) -> None:
    """Give the workload its healthy fields back: the fault shall bring the others."""
    for new, old in zip(manifests, original, strict=True):
        if new["kind"] == "Deployment" and new["metadata"]["name"] == name:
            for one, other in zip(_all(new), _all(old), strict=True):
                for field in fields:
                    one[field] = other[field]


def _all(deployment: Obj) -> list[Obj]:
    found: list[Obj] = deployment["spec"]["template"]["spec"]["containers"]
    return found


def _at_deployment(*fields: str) -> Callable[[Callable[[Case], dict[str, Any]]], Recipe]:
    """The application is deployed with the fault in it: everything else is as recorded."""

    def with_args(arguments: Callable[[Case], dict[str, Any]]) -> Recipe:
        def recipe(world: World, case: Case, manifests: list[Obj], age: int) -> None:
            name = case.target()
            _plain(manifests, load_application("online-boutique"), name, *fields)

            def fault() -> None:
                _inject(world, case.fault, namespace=NAMESPACE, name=name, **arguments(case))

            _deploy(world, case, manifests, {("Deployment", name): fault})
            world.run_for(age * _MS)

        return recipe

    return with_args


def _image(case: Case) -> dict[str, Any]:
    return {"image": _recorded(case)["Image"]}


def _registry(case: Case) -> dict[str, Any]:
    return {"registry": _recorded(case)["Image"].partition("/")[0]}


def _private(case: Case) -> dict[str, Any]:
    events = " ".join(case.texts.values())
    named = re.search(r"image pull secrets \(([\w.-]+)\)", events)
    return {"registry": _recorded(case)["Image"].rpartition("/")[0], "secret": named[1] if named else ""}


def _limit(resource: str) -> Callable[[Case], dict[str, Any]]:
    def arguments(case: Case) -> dict[str, Any]:
        return {resource: re.findall(rf"{resource}:\s+(\S+)", _recorded(case)["Requests"])[0]}

    return arguments


def _probe_port(field: str) -> Callable[[Case], dict[str, Any]]:
    def arguments(case: Case) -> dict[str, Any]:
        probe = read_probe(_recorded(case)[field]) or {}
        return {"port": next(item["port"] for item in probe.values() if isinstance(item, dict))}

    return arguments


def _probe_path(field: str) -> Callable[[Case], dict[str, Any]]:
    def arguments(case: Case) -> dict[str, Any]:
        probe = read_probe(_recorded(case)[field]) or {}
        return {"path": probe["httpGet"]["path"]} if "httpGet" in probe else {}

    return arguments


def _timing(case: Case) -> dict[str, Any]:
    probe = read_probe(_recorded(case)["Liveness"]) or {}
    return {
        "period": probe["periodSeconds"],
        "failures": probe["failureThreshold"],
        "delay": probe["initialDelaySeconds"],
        "timeout": probe["timeoutSeconds"],
    }


def _account(case: Case) -> dict[str, Any]:
    return {"account": _field(case.described("deployments")[case.target()], "Service Account")}


def _selector(case: Case) -> dict[str, Any]:
    return {"label": _field(_target_text(case), "Node-Selectors")}


def _affinity(case: Case) -> dict[str, Any]:
    del case
    return {}


def _shunned(case: Case) -> dict[str, Any]:
    """One copy that fits nowhere shuns every application's pods; several shun each other."""
    replicas = re.search(r"(\d+) desired", case.described("deployments")[case.target()])
    if replicas and int(replicas[1]) > 1:
        return {}
    others = [obj["metadata"]["name"] for obj in _extras(case) if obj["kind"] == "DaemonSet"]
    return {"label": f"app={others[0]}" if others else "app"}


def _variable(case: Case) -> dict[str, Any]:
    recorded = dict(re.findall(r"^(\w+):[ \t]+(\S+)$", _recorded(case)["Environment"], re.MULTILINE))
    for obj in load_application("online-boutique"):
        if obj["kind"] == "Deployment" and obj["metadata"]["name"] == case.target():
            for entry in _all(obj)[0].get("env", ()):
                if recorded.get(entry["name"], entry["value"]) != entry["value"]:
                    return {"variable": entry["name"], "value": recorded[entry["name"]]}
    raise LookupError(f"{case.folder}: no variable differs")


def _mount(case: Case) -> dict[str, Any]:
    return {"path": _field(_target_text(case).partition("Volumes:")[2], "Path")}


def _breaking(world: World, case: Case, name: str, args: dict[str, Any]) -> None:
    _inject(world, case.fault, namespace=NAMESPACE, name=name, **args)


def _service(arguments: Callable[[str], dict[str, Any]]) -> Recipe:
    def recipe(world: World, case: Case, manifests: list[Obj], age: int) -> None:
        def fault(name: str, text: str) -> Callable[[], None]:
            return lambda: _breaking(world, case, name, arguments(text))

        services = case.described("services")
        faulty = {("Service", name): fault(name, text) for name, text in services.items() if arguments(text)}
        _deploy(world, case, manifests, faulty)
        world.run_for(age * _MS)

    return recipe


def _target_port(text: str) -> dict[str, Any]:
    return {"port": _field(text, "TargetPort").partition("/")[0]}


def _protocol(text: str) -> dict[str, Any]:
    protocol = _field(text, "TargetPort").partition("/")[2]
    return {"protocol": protocol} if protocol != "TCP" else {}


def _labels(text: str) -> dict[str, Any]:
    return {"label": _field(text, "Selector"), "replace": True}


def _claim(arguments: Callable[[str, str], dict[str, Any]]) -> Recipe:
    def recipe(world: World, case: Case, manifests: list[Obj], age: int) -> None:
        name, text = next(iter(case.described("persistentvolumeclaims").items()))
        volume = next(iter(case.described("persistentvolumes").values()), "")
        for obj in manifests:
            label = _field(volume, "Labels")
            if obj["kind"] == "PersistentVolume" and "=" in label:
                obj["metadata"]["labels"] = dict([label.split("=", 1)])

        def fault() -> None:
            _breaking(world, case, name, arguments(text, volume))

        _deploy(world, case, manifests, {("PersistentVolumeClaim", name): fault})
        world.run_for(age * _MS)

    return recipe


def _storage_class(claim: str, volume: str) -> dict[str, Any]:
    del volume
    return {"storage_class": _field(claim, "StorageClass")}


def _occupant(claim: str, volume: str) -> dict[str, Any]:
    del claim
    return {"occupant": _field(volume, "Claim").partition("/")[2]}


def _quota(late: bool) -> Recipe:
    """A quota that the last of the application no longer fits into: the faulty object is not there."""

    def recipe(world: World, case: Case, manifests: list[Obj], age: int) -> None:
        name, text = next(iter(case.described("resourcequota").items()))
        resource, used, hard = re.findall(r"^(\S+)\s+(\S+)\s+(\S+)$", text, re.MULTILINE)[-1]
        placed = {row["NAME"].rsplit("-", 2)[0] for row in _rows(case, "pods-wide")}
        missing = {row["NAME"] for row in _rows(case, "deployments")} - placed
        services = {row["NAME"] for row in table(case.texts["get-services"])}
        last = [obj for obj in manifests if _comes_last(obj, missing, services)]
        first = [obj for obj in manifests if obj not in last]
        pods = len(table(case.texts["get-pods-wide"]))
        for obj in manifests:
            _asking_like(case, obj, resource, used, pods)
        if late:
            _deploy(world, case, first)
            world.run_for(2 * _MS)
            _inject(world, case.fault, namespace=NAMESPACE, name=name, hard=hard)
        else:
            Client(world).create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
            _inject(world, case.fault, namespace=NAMESPACE, name=name, hard=hard)
            world.run_for(1 * _MS)
            _claims_before(world, case)
            _deploy_what_fits(world, _in_order(case, first))
        _deploy_what_fits(world, [*last, *_extras(case)] if late else last)
        world.run_for(age * _MS)

    return recipe


def _comes_last(obj: Obj, missing: set[str], services: set[str]) -> bool:
    name = obj["metadata"]["name"]
    return (obj["kind"] == "Deployment" and name in missing) or (
        obj["kind"] == "Service" and name not in services
    )


def _asking_like(case: Case, obj: Obj, resource: str, used: str, pods: int) -> None:
    """Every pod asks for its share of what the quota shows as used, a refused one for what it was told.

    A limit of that resource, which would be below what is asked, goes; others stay.
    """
    if obj["kind"] != "Deployment" or not resource.startswith("requests.") or "storage" in resource:
        return
    what = resource.partition(".")[2]
    amount, unit = re.fullmatch(r"(\d+)(\w*)", used).groups()  # type: ignore[union-attr]
    share = {what: f"{int(amount) // max(pods, 1)}{unit}"}
    asked = _asked(case).get(obj["metadata"]["name"], share)
    for container in _all(obj):
        resources = container.setdefault("resources", {})
        resources["requests"] = {**resources.get("requests", {}), **asked}
        resources["limits"] = {key: item for key, item in resources.get("limits", {}).items() if key != what}


def _claims_before(world: World, case: Case) -> None:
    """Claims that are none of the application's and had been bound before it came."""
    rows = {row["NAME"]: row for row in table(case.texts.get("get-persistentvolumes", ""))}
    quota = " ".join(case.described("resourcequota").values())
    used = re.findall(r"requests\.storage\s+(\S+)", quota)
    for row in table(case.texts.get("get-persistentvolumeclaims", "")):
        if row["NAME"].startswith("redis") or row["VOLUME"] not in rows:
            continue
        volume = rows[row["VOLUME"]]
        Client(world).create(_volume(volume))
        claim = _claim_of(volume, row["NAME"], used[0] if used else "")
        apply_manifests(world, [claim], namespace=NAMESPACE)
        world.run_for(2 * _MS)


def _deploy_what_fits(world: World, manifests: list[Obj]) -> None:
    """As `kubectl apply -f` does it: what is refused is reported and the rest applied."""
    for obj in manifests:
        try:
            apply_manifests(world, [obj], namespace=NAMESPACE)
        except InputError:
            continue
        world.run_for(60)


def _nodes(case: Case) -> list[str]:
    return list(case.described("nodes"))


def _cordon(world: World, case: Case, manifests: list[Obj], age: int) -> None:
    """The workers are cordoned after the rest of the application has been placed, and those of its pods
    that have a node."""
    name = case.target()
    last = [obj for obj in manifests if obj["metadata"]["name"] == name and obj["kind"] == "Deployment"]
    placed = [row for row in _rows(case, "pods-wide") if row["NAME"].rsplit("-", 2)[0] == name]
    running = sum(row["NODE"] != "<none>" for row in placed)
    _deploy(world, case, [obj for obj in manifests if obj not in last])
    world.run_for(20 * _MS)
    workers = ",".join(node for node in NODES[1:])
    if running:
        wanted = last[0]["spec"]["replicas"]
        last[0]["spec"]["replicas"] = running
        _deploy(world, case, last)
        world.run_for(5 * _MS)
        _inject(world, case.fault, namespace=NAMESPACE, name=name, nodes=workers)
        Client(world).patch("deployments.apps", NAMESPACE, name, {"spec": {"replicas": wanted}})
    else:
        Client(world).create(_placed(last[0]))
        _inject(world, case.fault, namespace=NAMESPACE, name=name, nodes=workers)
    world.run_for(age * _MS)


def _placed(obj: Obj) -> Obj:
    return {**obj, "metadata": {**obj["metadata"], "namespace": NAMESPACE}}


def _taint(world: World, case: Case, manifests: list[Obj], age: int) -> None:
    name, client = case.target(), Client(world)
    label = _field(_target_text(case), "Node-Selectors")
    taints = {_field(text, "Taints"): node for node, text in case.described("nodes").items()}
    if label:
        key, _, value = label.partition("=")
        for node in _nodes(case):
            client.patch("nodes", "", node, {"metadata": {"labels": {key: value}}})
        for obj in manifests:
            if obj["kind"] == "Deployment" and obj["metadata"]["name"] == name:
                obj["spec"]["template"]["spec"]["nodeSelector"] = {key: value}
    last = [obj for obj in manifests if obj["metadata"]["name"] == name and obj["kind"] == "Deployment"]
    _deploy(world, case, [obj for obj in manifests if obj not in last])
    world.run_for(10 * _MS)
    client.create(_placed(last[0]))
    _inject(
        world,
        case.fault,
        namespace=NAMESPACE,
        name=name,
        nodes=",".join(_nodes(case)),
        taint=next(iter(taints)),
    )
    world.run_for(age * _MS)


def _late_pods(case: Case) -> dict[str, int]:
    """Workloads whose pod is much younger than the application, with the age of the pod."""
    rows = table(case.texts["get-pods-wide"])
    oldest = max(age_seconds(row["AGE"]) for row in rows)
    ages = {row["NAME"].rsplit("-", 2)[0]: age_seconds(row["AGE"]) for row in rows}
    return {name: age for name, age in ages.items() if oldest - age > 8}


def _node_part(world: World, case: Case, manifests: list[Obj], age: int) -> None:
    """A part of a node stops soon after the application came; pods that are made anew meet the gap."""
    node = next(iter(case.described("nodes")))
    _deploy(world, case, manifests)
    late = sorted(_late_pods(case).items(), key=lambda item: -item[1])
    left, stopped = age, False
    for name, young in late:
        if not stopped:
            world.run_for(_BEFORE_STOP * _MS)
            left -= _BEFORE_STOP
            stopped = bool(_inject(world, case.fault, node=node).fault)
        world.run_for(max(left - young, 0) * _MS)
        left = min(left, young)
        for pod in Client(world).list("pods", NAMESPACE, f"app={name}"):
            Client(world).delete("pods", NAMESPACE, pod["metadata"]["name"], grace=0)
    if not stopped:
        _inject(world, case.fault, node=node)
    world.run_for(left * _MS)


_BEFORE_STOP = 14


def _rows(case: Case, name: str) -> list[dict[str, str]]:
    return table(case.texts[f"get-{name}"])


def _runtime(world: World, case: Case, manifests: list[Obj], age: int) -> None:
    """The application is deployed shortly before the kubelet gives up on the runtime that has stopped."""
    volumes = [obj for obj in manifests if obj["kind"].startswith("PersistentVolume")]
    _deploy(world, case, volumes)
    _inject(world, case.fault, node=next(iter(case.described("nodes"))))
    world.run_for(27 * _MS)
    _deploy(world, case, [obj for obj in manifests if obj not in volumes])
    world.run_for(age * _MS)


def _disturbance(world: World, case: Case, manifests: list[Obj], age: int) -> None:
    """The application is healthy for a while before the network or the processor gets bad."""
    _deploy(world, case, manifests)
    world.run_for(max(age - 190, 30) * _MS)
    if case.described("nodes"):
        done = _inject(world, case.fault, node=next(iter(case.described("nodes"))))
    else:
        done = _inject(world, case.fault, namespace=NAMESPACE, name=case.target())
    world.run_for(120 * _MS)
    faults.revert(world, done)
    world.run_for(70 * _MS)


_RECIPES: dict[str, Recipe] = {
    "incorrect_image_reference": _at_deployment("image")(_image),
    "image_registry_dns_failure": _at_deployment("image")(_registry),
    "missing_image_pull_secret": _at_deployment("image")(_private),
    "cpu_capacity_mismatch": _at_deployment("resources")(_limit("cpu")),
    "memory_capacity_mismatch": _at_deployment("resources")(_limit("memory")),
    "oom_killed": _at_deployment("resources")(_limit("memory")),
    "liveness_probe_incorrect_port": _at_deployment()(_probe_port("Liveness")),
    "readiness_probe_incorrect_port": _at_deployment()(_probe_port("Readiness")),
    "liveness_probe_incorrect_protocol": _at_deployment("livenessProbe")(_probe_path("Liveness")),
    "readiness_probe_incorrect_protocol": _at_deployment("readinessProbe")(_probe_path("Readiness")),
    "liveness_probe_incorrect_timing": _at_deployment()(_timing),
    "missing_service_account": _at_deployment()(_account),
    "node_selector_mismatch": _at_deployment()(_selector),
    "node_affinity_mismatch": _at_deployment()(_affinity),
    "pod_anti_affinity_conflict": _at_deployment()(_shunned),
    "service_env_var_address_mismatch": _at_deployment("env")(_variable),
    "volume_mount_permission_denied": _at_deployment()(_mount),
    "service_port_mapping_mismatch": _service(_target_port),
    "service_protocol_mismatch": _service(_protocol),
    "service_selector_mismatch": _service(_labels),
    "pvc_access_mode_mismatch": _claim(lambda claim, volume: {}),
    "pvc_capacity_mismatch": _claim(lambda claim, volume: {}),
    "pvc_selector_mismatch": _claim(lambda claim, volume: {}),
    "pvc_storage_class_mismatch": _claim(
        lambda claim, volume: {"storage_class": _field(claim, "StorageClass")}
    ),
    "pv_binding_occupied": _claim(
        lambda claim, volume: {"occupant": _field(volume, "Claim").partition("/")[2]}
    ),
    "namespace_cpu_quota_exceeded": _quota(late=True),
    "namespace_memory_quota_exceeded": _quota(late=True),
    "namespace_pod_quota_exceeded": _quota(late=False),
    "namespace_service_quota_exceeded": _quota(late=False),
    "namespace_storage_quota_exceeded": _quota(late=False),
    "node_cordon_mismatch": _cordon,
    "taint_toleration_mismatch": _taint,
    "kubelet_unavailable": _node_part,
    "kube_proxy_unavailable": _node_part,
    "kube_scheduler_unavailable": _node_part,
    "containerd_unavailable": _runtime,
    "node_network_delay": _disturbance,
    "node_network_packet_loss": _disturbance,
    "pod_network_delay": _disturbance,
    "pod_cpu_overload": _disturbance,
}
