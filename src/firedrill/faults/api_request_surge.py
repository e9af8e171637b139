"""A program asks the API server for all pods without a pause."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from firedrill.faults import fitting
from firedrill.faults._changes import Outcome, add, entity
from firedrill.faults._making import config_map, mount, running
from firedrill.faults.base import Fault, Parameter, Target, register

if TYPE_CHECKING:
    from firedrill.world import World
    from firedrill.world.kube.objects import Obj

_FOLDER = "/opt/scripts"
_SCRIPT = """import os
import threading

from kubernetes import client, config

config.load_incluster_config()


def scan():
    pods = client.CoreV1Api()
    while True:
        pods.list_pod_for_all_namespaces(watch=False)


for _ in range(int(os.environ["RPS"]) // 10):
    threading.Thread(target=scan).start()
"""


def _inject(world: World, args: Mapping[str, Any]) -> Outcome:
    name, space = args["name"], args["namespace"]
    role = "rbac.authorization.k8s.io"
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "namespace": space}}
    rules = [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list", "watch"]}]
    allowed = {"apiVersion": f"{role}/v1", "kind": "ClusterRole", "metadata": {"name": name}, "rules": rules}
    bound = {
        "apiVersion": f"{role}/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": name},
        "roleRef": {"apiGroup": role, "kind": "ClusterRole", "name": name},
        "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": space}],
    }
    script = config_map(space, args["script"], {"scan.py": _SCRIPT})
    workload = _scanner(args)
    made = [add(world, item) for item in (account, allowed, bound, script, workload)]
    return (entity(workload),), tuple(reversed(made))


def _scanner(args: Mapping[str, Any]) -> Obj:
    container: Obj = {
        "name": "scanner",
        "image": args["image"],
        "command": ["/bin/sh", "-c", f"python3 {_FOLDER}/scan.py"],
        "env": [{"name": "RPS", "value": str(int(args["rate"]))}],
        "resources": {"requests": {"cpu": "50m", "memory": "64Mi"}},
    }
    spec: Obj = {"serviceAccountName": args["name"], "containers": [container]}
    volume = {"name": "scripts", "configMap": {"name": args["script"]}}
    mount(spec, container, volume, _FOLDER, read_only=True)
    label = "app.kubernetes.io/name"
    copies = int(args["replicas"])
    return running("Deployment", args["namespace"], args["name"], spec, replicas=copies, label=label)


def _fits(world: World) -> Iterator[Target]:
    first = fitting.front(world)
    for namespace in fitting.namespaces(world):
        if first is not None:
            yield Target({"namespace": namespace}, fitting.entity(first))


FAULT = register(
    Fault(
        id="kubernetes-api-server-request-surge",
        title="a program asks the API server for all pods, thousands of times a second",
        parameters={
            "namespace": Parameter("namespace of the program"),
            "rate": Parameter("requests per second that each copy wants to make", 1000),
            "replicas": Parameter("copies", 5),
            "name": Parameter("name of the program", "workload-scanner"),
            "script": Parameter("name of the ConfigMap with its script", "generator-script"),
            "image": Parameter("its image", "docker.io/library/python:3.12-alpine"),
        },
        inject=_inject,
        shows="pressed",
        within=600_000,
        aliases=("kubernetes_api_server_request_surge",),
        family="control-plane",
        category="Load",
        text="A scanner that was to look at all pods now and then does so without a pause, in several "
        "copies. The processors of the API server are used up: whoever works through it has to wait.",
        spreads="none",
        felt="alert",
        fits=_fits,
        lacks="there is no namespace of an application",
    )
)
