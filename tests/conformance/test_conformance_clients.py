"""Clients other than kubectl on a served world: the Python client, kr8s, Ansible, and a watcher of everything."""

from __future__ import annotations

import asyncio
import json
import os
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "bench"))
import kubectl_script

kubernetes = pytest.importorskip("kubernetes")
REPO = Path(__file__).resolve().parents[2]
ANSIBLE = REPO / "tools" / "ansible"
PLAYBOOK = Path(__file__).resolve().parent / "data" / "playbook.yaml"
pytestmark = [pytest.mark.timeout(240)]


@pytest.fixture(scope="module")
def served() -> Iterator[kubectl_script.ServedWorld]:
    with kubectl_script.make_served() as running:
        yield running
    assert not running.host.defects, "\n".join(running.host.defects)


@pytest.fixture(scope="module")
def config(served: kubectl_script.ServedWorld, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return served.kubeconfig(tmp_path_factory.mktemp("clients") / "config")


@pytest.fixture(scope="module")
def api(config: Path) -> Any:
    return kubernetes.config.new_client_from_config(str(config))


@pytest.fixture(scope="module")
def pod(api: Any) -> str:
    """A running pod of two containers."""
    containers = [{"name": "main", "image": "nginx:1.27"}, {"name": "side", "image": "redis:7"}]
    body = {"metadata": {"name": "subject"}, "spec": {"containers": containers}}
    core = kubernetes.client.CoreV1Api(api)
    core.create_namespaced_pod("default", body)
    for event in kubernetes.watch.Watch().stream(
        core.list_namespaced_pod, "default", field_selector="metadata.name=subject", timeout_seconds=20
    ):
        ready = {item.type: item.status for item in event["object"].status.conditions or ()}
        if ready.get("Ready") == "True":
            return "subject"
    raise AssertionError("the pod did not become ready")


def test_a_watch_goes_on_from_where_it_was(api: Any) -> None:
    core = kubernetes.client.CoreV1Api(api)
    start = core.list_namespaced_config_map("default").metadata.resource_version
    for name in ("w-one", "w-two"):
        core.create_namespaced_config_map("default", {"metadata": {"name": name}})
    seen, version = [], ""
    for event in kubernetes.watch.Watch().stream(
        core.list_namespaced_config_map, "default", resource_version=start, timeout_seconds=10
    ):
        seen.append(event["object"].metadata.name)
        version = event["object"].metadata.resource_version
        break
    for event in kubernetes.watch.Watch().stream(
        core.list_namespaced_config_map, "default", resource_version=version, timeout_seconds=10
    ):
        seen.append(event["object"].metadata.name)
        break
    assert seen == ["w-one", "w-two"]


def test_a_watch_from_too_long_ago_is_gone(api: Any) -> None:
    core = kubernetes.client.CoreV1Api(api)
    with pytest.raises(kubernetes.client.ApiException) as gone:
        for _ in kubernetes.watch.Watch().stream(
            core.list_namespaced_config_map, "default", resource_version="1", timeout_seconds=5
        ):
            pass
    assert gone.value.status == 410


def test_subresources_of_the_python_client(api: Any, pod: str) -> None:
    apps, core = kubernetes.client.AppsV1Api(api), kubernetes.client.CoreV1Api(api)
    labels = {"app": "scaled"}
    template = {
        "metadata": {"labels": labels},
        "spec": {"containers": [{"name": "m", "image": "nginx:1.27"}]},
    }
    spec = {"replicas": 1, "selector": {"matchLabels": labels}, "template": template}
    apps.create_namespaced_deployment("default", {"metadata": {"name": "scaled"}, "spec": spec})
    apps.patch_namespaced_deployment_scale("scaled", "default", {"spec": {"replicas": 2}})
    assert apps.read_namespaced_deployment_scale("scaled", "default").spec.replicas == 2
    account = kubernetes.client.AuthenticationV1TokenRequest(
        spec=kubernetes.client.V1TokenRequestSpec(audiences=[], expiration_seconds=900)
    )
    assert core.create_namespaced_service_account_token("default", "default", account).status.token
    review = {"spec": {"resourceAttributes": {"verb": "get", "resource": "pods", "namespace": "default"}}}
    assert kubernetes.client.AuthorizationV1Api(api).create_self_subject_access_review(review).status.allowed
    assert core.read_namespaced_pod_status(pod, "default").status.phase == "Running"
    assert core.read_namespaced_pod_log(pod, "default", container="main", tail_lines=1)
    apps.delete_namespaced_deployment("scaled", "default", propagation_policy="Foreground")


def test_commands_in_containers_of_the_python_client(api: Any, pod: str) -> None:
    from kubernetes.stream import stream

    core = kubernetes.client.CoreV1Api(api)

    def run(*command: str, **more: Any) -> Any:
        wanted = {"stdin": False, "stdout": True, "stderr": True, "tty": False, "container": "main", **more}
        return stream(core.connect_get_namespaced_pod_exec, pod, "default", command=list(command), **wanted)

    assert run("cat", "/etc/hostname") == f"{pod}\n"
    open_ = run("sh", "-c", "echo out; echo err >&2; exit 4", _preload_content=False)
    open_.run_forever(timeout=10)
    assert (open_.read_stdout(), open_.read_stderr(), open_.returncode) == ("out\n", "err\n", 4)
    shell = run("sh", stdin=True, _preload_content=False)
    shell.write_stdin("echo typed\n")
    assert shell.readline_stdout(timeout=10) == "typed"
    shell.write_stdin("exit 3\n")
    shell.run_forever(timeout=10)
    assert shell.returncode == 3


def test_the_dynamic_client_makes_changes_and_deletes(api: Any) -> None:
    dynamic = kubernetes.dynamic.DynamicClient(api)
    maps = dynamic.resources.get(api_version="v1", kind="ConfigMap")
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "dyn"}, "data": {"a": "1"}}
    made = maps.create(body=body, namespace="default")
    made.data.a = "2"
    assert maps.replace(body=made.to_dict(), namespace="default").data.a == "2"
    merge = "application/merge-patch+json"
    patched = maps.patch(name="dyn", namespace="default", body={"data": {"b": "3"}}, content_type=merge)
    assert patched.data.to_dict() == {"a": "2", "b": "3"}
    with pytest.raises(kubernetes.dynamic.exceptions.ConflictError):
        maps.create(body=body, namespace="default")
    stale = {**made.to_dict(), "data": {"a": "9"}}
    with pytest.raises(kubernetes.dynamic.exceptions.ConflictError):
        maps.replace(body=stale, namespace="default")
    maps.delete(name="dyn", namespace="default")
    with pytest.raises(kubernetes.dynamic.exceptions.NotFoundError):
        maps.get(name="dyn", namespace="default")


def test_kr8s_waits_scales_and_reads_logs(config: Path) -> None:
    kr8s = pytest.importorskip("kr8s")
    from kr8s.objects import Deployment, Pod

    client = kr8s.api(kubeconfig=str(config))
    labels = {"app": "kr"}
    template = {
        "metadata": {"labels": labels},
        "spec": {"containers": [{"name": "m", "image": "nginx:1.27"}]},
    }
    spec = {"replicas": 1, "selector": {"matchLabels": labels}, "template": template}
    body = {"metadata": {"name": "kr", "namespace": "default"}, "spec": spec}
    deployment = Deployment({"apiVersion": "apps/v1", "kind": "Deployment", **body}, api=client)
    deployment.create()
    deployment.wait("condition=Available", timeout=20)
    deployment.scale(2)
    deployment.label({"team": "red"})
    deployment.refresh()
    assert (deployment.spec.replicas, deployment.labels["team"]) == (2, "red")
    pods = list(client.get("pods", namespace="default", label_selector=labels))
    assert len(pods) in {1, 2}
    first = min(pods, key=lambda pod: pod.metadata.creationTimestamp)  # the second one may be starting still
    subject = Pod.get(first.name, namespace="default", api=client)
    assert any(subject.logs())
    assert subject.exec(["cat", "/etc/hostname"]).stdout.decode().strip() == subject.name
    deployment.delete()


@pytest.mark.slow
@pytest.mark.service
@pytest.mark.timeout(900)
def test_ansible(served: kubectl_script.ServedWorld, config: Path, tmp_path: Path) -> None:
    program = ANSIBLE / "bin" / "ansible-playbook"
    if not program.is_file():
        pytest.skip("no Ansible with kubernetes.core is in tools/ansible: scripts/tools")
    environment = {
        "PATH": os.environ.get("PATH", ""),
        "HOME": str(tmp_path),
        "PYTHONPATH": str(ANSIBLE / "lib"),
        "ANSIBLE_HOME": str(tmp_path / "ansible"),
        "ANSIBLE_LOCAL_TEMP": str(tmp_path / "local"),
        "ANSIBLE_REMOTE_TEMP": str(tmp_path / "remote"),
        "ANSIBLE_DEPRECATION_WARNINGS": "0",
        "ANSIBLE_PIPELINING": "1",
        "K8S_AUTH_KUBECONFIG": str(config),
        "LC_ALL": "C.UTF-8",
    }
    command = [sys.executable, str(program), "-i", "localhost,", "-c", "local", "-e",
               f"ansible_python_interpreter={sys.executable}", str(PLAYBOOK)]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=840, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]


async def test_a_watcher_of_everything(served: kubectl_script.ServedWorld) -> None:
    """As k9s does: watches of all kinds at once beside lists; every watcher hears each change once, in order."""
    load = Load(served)
    paths = await load.listable()
    assert len(paths) >= 40
    watching = [asyncio.ensure_future(load.follow(path)) for path in paths]
    while load.open < len(paths):
        await asyncio.sleep(0.02)
    end = time.monotonic() + 3
    number = 0
    while number <= 5 or time.monotonic() < end:
        await load.call(
            "POST", "/api/v1/namespaces/default/configmaps", {"metadata": {"name": f"k-{number}"}}
        )
        for path in paths[number % 4 :: 12]:
            assert (await load.call("GET", f"{path}?limit=500"))["kind"].endswith("List")
        if number % 2:
            await load.call("DELETE", f"/api/v1/namespaces/default/configmaps/k-{number}")
        number += 1
    last = await load.call("GET", "/api/v1/configmaps")
    for _ in range(400):
        if len(load.heard["/api/v1/configmaps"]) >= number + number // 2:
            break
        await asyncio.sleep(0.05)
    await asyncio.sleep(0.5)
    for task in watching:
        task.cancel()
    await asyncio.gather(*watching, return_exceptions=True)
    assert number > 5
    heard = load.heard["/api/v1/configmaps"]
    made = [name for type_, name, _ in heard if type_ == "ADDED" and name.startswith("k-")]
    gone = [name for type_, name, _ in heard if type_ == "DELETED" and name.startswith("k-")]
    assert made == [f"k-{count}" for count in range(number)], "nothing lost, nothing twice"
    assert gone == [f"k-{count}" for count in range(1, number, 2)]
    assert len([item for item in last["items"] if item["metadata"]["name"].startswith("k-")]) == number - len(
        gone
    )
    for path, events in load.heard.items():
        versions = [
            version for type_, _, version in events if type_ != "ADDED" or version > load.started[path]
        ]
        assert versions == sorted(versions), path
    for _ in range(100):
        if len(served.host.hub) == 0:
            break
        await asyncio.sleep(0.05)
    assert len(served.host.hub) == 0


class Load:
    """Bare HTTP with the standard library: dozens of streams at once on one event loop."""

    def __init__(self, served: kubectl_script.ServedWorld) -> None:
        self.heard: dict[str, list[tuple[str, str, int]]] = {}
        self.started: dict[str, int] = {}
        self.open = 0
        self._port = int(served.address.rpartition(":")[2])
        self._context = ssl.create_default_context(cadata=served.ca.decode())

    async def _open(
        self, method: str, path: str, body: bytes
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", self._port, ssl=self._context, server_hostname="localhost", limit=1 << 24
        )
        head = (
            f"{method} {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer admin-token\r\nConnection: close\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        writer.write(head.encode() + body)
        await reader.readuntil(b"\r\n\r\n")
        return reader, writer

    async def call(self, method: str, path: str, body: Any = None) -> Any:
        reader, writer = await self._open(method, path, json.dumps(body).encode() if body else b"")
        text = await reader.read()
        writer.close()
        return json.loads(text)

    async def listable(self) -> list[str]:
        """The collections that can be watched, over all namespaces."""
        groups = [
            f"/apis/{item['preferredVersion']['groupVersion']}"
            for item in (await self.call("GET", "/apis"))["groups"]
        ]
        found = []
        for prefix in ["/api/v1", *groups]:
            for item in (await self.call("GET", prefix))["resources"]:
                if {"watch", "list"} <= set(item["verbs"]) and "/" not in item["name"]:
                    found.append(f"{prefix}/{item['name']}")
        return found

    async def follow(self, path: str) -> None:
        """List, then watch from there until cancelled."""
        listed = await self.call("GET", path)
        version = listed["metadata"]["resourceVersion"]
        self.started[path] = int(version)
        events = self.heard.setdefault(path, [])
        reader, writer = await self._open("GET", f"{path}?watch=1&resourceVersion={version}", b"")
        self.open += 1
        try:
            while line := await reader.readline():
                if line[:1] == b"{":
                    event = json.loads(line)
                    meta = event["object"]["metadata"]
                    events.append((event["type"], meta["name"], int(meta["resourceVersion"])))
        finally:
            writer.transport.abort()
