"""Logs and commands: which container is meant, and what is answered when there is nothing to show."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from firedrill.gateway.kubernetes import containers
from firedrill.world.kube.api import ApiError
from firedrill.world.world import World

LOG = "/api/v1/namespaces/default/pods/p/log"


def pod(*names: str, init: tuple[str, ...] = (), **status: Any) -> dict[str, Any]:
    spec = {
        "nodeName": "n",
        "containers": [{"name": name, "image": "i"} for name in names],
        "initContainers": [{"name": name, "image": "i"} for name in init],
    }
    meta = {"name": "p", "namespace": "default", "uid": "u"}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec, "status": status}


def test_the_only_container_is_meant() -> None:
    assert containers.choose(pod("a"), "", verb="log") == "a"
    assert containers.choose(pod("a", init=("b",)), "b", verb="log") == "b"


@pytest.mark.parametrize(
    ("obj", "asked", "words"),
    [
        (pod("a", "b"), "", "a container name must be specified for pod p, choose one of: [a b]"),
        (
            pod("a", "b", init=("c",)),
            "",
            "a container name must be specified for pod p, choose one of: [a b] "
            "or one of the init containers: [c]",
        ),
        (pod("a"), "x", "container x is not valid for pod p"),
    ],
)
def test_what_is_ambiguous_or_unknown_is_refused(obj: dict[str, Any], asked: str, words: str) -> None:
    with pytest.raises(ApiError) as refused:
        containers.choose(obj, asked, verb="log")
    assert (refused.value.code, refused.value.message) == (400, words)


def waiting(reason: str) -> dict[str, Any]:
    return pod("a", containerStatuses=[{"name": "a", "state": {"waiting": {"reason": reason}}}])


@pytest.mark.parametrize(
    ("obj", "query", "words"),
    [
        (
            waiting("ContainerCreating"),
            "",
            'container "a" in pod "p" is waiting to start: ContainerCreating',
        ),
        (
            waiting("ImagePullBackOff"),
            "",
            'container "a" in pod "p" is waiting to start: trying and failing to pull image',
        ),
        (waiting("x"), "previous=true", 'previous terminated container "a" in pod "p" not found'),
        (pod("a"), "tailLines=x", 'strconv.ParseInt: parsing "x": invalid syntax'),
        (
            pod("a"),
            "sinceSeconds=0",
            'PodLogOptions "p" is invalid: sinceSeconds: Invalid value: 0: must be greater than 0',
        ),
    ],
)
async def test_logs_that_are_not_there(
    http: httpx.AsyncClient, world: World, obj: dict[str, Any], query: str, words: str
) -> None:
    world.cluster.store.put("pods", obj)
    answer = await http.get(f"{LOG}?{query}")
    assert answer.status_code in {400, 422}
    assert answer.json()["message"] == words


async def test_commands_need_a_websocket(http: httpx.AsyncClient, world: World) -> None:
    running = [{"name": "a", "state": {"running": {"startedAt": "2026-01-05T09:00:00Z"}}}]
    world.cluster.store.put("pods", pod("a", containerStatuses=running, phase="Running"))
    path = LOG.replace("/log", "/exec?command=ls&stdout=true")
    answer = await http.post(path)
    assert "KUBECTL_REMOTE_COMMAND_WEBSOCKETS=true" in answer.json()["message"]
    assert (await http.post(path.replace("command=ls&", ""))).status_code == 422
    assert (await http.post(LOG.replace("pods/p/log", "pods/q/exec"))).status_code == 404
