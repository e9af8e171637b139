"""Building in a world what was recorded on a real cluster: the same application, the same fault, the same age.

What a recording tells of the faulty object (its image, probes, resources, ports) is read from it and becomes
the arguments of the fault; the symptoms are not read: those must come by themselves.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from likeness_text import age_seconds, table

from firedrill import faults
from firedrill.world import World
from firedrill.world.app import load_application
from firedrill.world.build import apply_manifests, make_world
from firedrill.world.kube.api import Client
from firedrill.world.kube.objects import Obj

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


def build(case: Case, seed: int = 11) -> World:
    """The situation of a recording, at the age at which it was recorded."""
    age = age_of_application(case)
    world = make_world(seed, nodes=NODES, settle=False)
    client = Client(world)
    client.patch("nodes", "", NODES[0], {"spec": {"unschedulable": True}})
    world.run_for(60 * _MS)
    manifests = [_like_recorded(case, obj) for obj in load_application("online-boutique")]
    recipe = _RECIPES.get(case.fault, _workload)
    recipe(world, case, manifests, age)
    return world


# --- reading what the recording tells of the faulty object

_PROBE = re.compile(
    r"(grpc <pod>:(?P<grpc>\d+)|http-get (?P<scheme>https?)://:(?P<http>\d+)(?P<path>/\S*)|tcp-socket :(?P<tcp>\d+))"
    r".*?delay=(?P<delay>\d+)s timeout=(?P<timeout>\d+)s period=(?P<period>\d+)s #success=\d+ #failure=(?P<failure>\d+)"
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
        if re.fullmatch(r"\s+[\w-]+:", line) and depth in (base + 1, base + 2):
            name = line.strip().rstrip(":")
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
    return obj


def _described_pod(case: Case, name: str) -> str:
    for pod, text in case.described("pods").items():
        if pod.startswith(name + "-"):
            return text
    return case.described("deployments").get(name, "")


def _deployment_like(case: Case, obj: Obj) -> Obj:
    name = obj["metadata"]["name"]
    text = _described_pod(case, name)
    spec = obj["spec"]["template"]["spec"]
    for row in table(case.texts.get("get-deployments", "")):
        if row["NAME"] == name and "/" in row["READY"]:
            obj["spec"]["replicas"] = int(row["READY"].partition("/")[2])
    recorded = _containers(text)
    for container in spec["containers"]:
        fields = recorded.get(container["name"])
        if fields:
            _container_like(container, fields)
    return obj


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


# --- recipes: how each kind of situation came about


Recipe = Callable[[World, Case, list[Obj], int], None]


def _deploy(world: World, manifests: list[Obj]) -> None:
    apply_manifests(world, manifests, namespace=NAMESPACE)


def _inject(world: World, fault: str, **args: Any) -> None:
    faults.inject(world, faults.find(fault), args)


def _workload(world: World, case: Case, manifests: list[Obj], age: int) -> None:
    """The application was deployed with the fault in its manifests."""
    _deploy(world, manifests)
    world.run_for(age * _MS)


_RECIPES: dict[str, Recipe] = {}
