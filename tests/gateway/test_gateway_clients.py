"""Clients other than kubectl: the official Python client, kr8s, and raw WebSockets."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

kubernetes = pytest.importorskip("kubernetes")


@pytest.fixture(scope="module")
def served(running: Any) -> Iterator[Any]:
    from firedrill.world.build import make_world

    with running(make_world(9, nodes=2, age_days=1), 5) as here:
        yield here


@pytest.fixture(scope="module")
def config(served: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path: Path = served.kubeconfig(tmp_path_factory.mktemp("clients") / "config")
    return path


@pytest.fixture(scope="module")
def api(config: Path) -> Any:
    return kubernetes.config.new_client_from_config(str(config))


def pod(name: str) -> dict[str, Any]:
    containers = [{"name": "main", "image": "nginx:1.25"}]
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": {"containers": containers}}


def test_typed_lists_and_errors(api: Any) -> None:
    core = kubernetes.client.CoreV1Api(api)
    assert {item.metadata.name for item in core.list_namespace().items} >= {"default", "kube-system"}
    assert {item.status.node_info.kubelet_version for item in core.list_node().items} == {"v1.31.2"}
    with pytest.raises(kubernetes.client.ApiException) as refused:
        core.read_namespaced_pod("nosuch", "default")
    assert refused.value.status == 404


def test_writes_patches_and_deletes(api: Any) -> None:
    core = kubernetes.client.CoreV1Api(api)
    core.create_namespaced_config_map("default", {"metadata": {"name": "py"}, "data": {"a": "b"}})
    core.patch_namespaced_config_map("py", "default", {"data": {"c": "d"}})
    assert core.read_namespaced_config_map("py", "default").data == {"a": "b", "c": "d"}
    core.delete_namespaced_config_map("py", "default")


def test_the_watch_of_the_python_client(api: Any) -> None:
    core = kubernetes.client.CoreV1Api(api)
    seen: list[tuple[str, str]] = []

    def look() -> None:
        for event in kubernetes.watch.Watch().stream(core.list_namespaced_pod, "default", timeout_seconds=10):
            seen.append((event["type"], event["object"].metadata.name))
            if event["type"] == "DELETED":
                return

    looking = threading.Thread(target=look)
    looking.start()
    core.create_namespaced_pod("default", pod("watched"))
    core.delete_namespaced_pod("watched", "default", grace_period_seconds=0)
    looking.join(20)
    assert seen[0] == ("ADDED", "watched")
    assert seen[-1] == ("DELETED", "watched")


def test_the_dynamic_client_finds_its_way(api: Any) -> None:
    dynamic = kubernetes.dynamic.DynamicClient(api)
    deployments = dynamic.resources.get(api_version="apps/v1", kind="Deployment")
    names = [item.metadata.name for item in deployments.get(namespace="kube-system").items]
    assert "coredns" in names
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "ssa"}, "data": {"a": "b"}}
    maps = dynamic.resources.get(api_version="v1", kind="ConfigMap")
    maps.server_side_apply(body=body, namespace="default", field_manager="me")
    assert maps.get(name="ssa", namespace="default").data.a == "b"


def test_events_in_their_newer_version(api: Any) -> None:
    events = kubernetes.dynamic.DynamicClient(api).resources.get(api_version="events.k8s.io/v1", kind="Event")
    core = kubernetes.client.CoreV1Api(api).list_event_for_all_namespaces().items
    listed = events.get()
    assert len(listed.items) >= len(core)
    assert all(item.regarding.kind for item in listed.items)
    kubernetes.client.CoreV1Api(api).create_namespaced_pod("default", pod("eventful"))
    watched = events.watch(resource_version=listed.metadata.resourceVersion, timeout=60)
    notes = []
    for event in watched:
        notes.append(event["object"])
        if notes[-1].regarding.name == "eventful":
            break
    assert notes[-1].regarding.name == "eventful"
    assert {item.apiVersion for item in notes} == {"events.k8s.io/v1"}


def test_kr8s(config: Path) -> None:
    kr8s = pytest.importorskip("kr8s")
    client = kr8s.api(kubeconfig=str(config))
    assert {node.name for node in client.get("nodes")} == {"control-plane", "worker-01"}


async def test_hundreds_of_watches_at_once(served: Any) -> None:
    import ssl

    context = ssl.create_default_context(cadata=served.ca.decode())
    port = int(served.address.rpartition(":")[2])
    head = (
        b"GET /api/v1/namespaces/default/secrets?watch=true HTTP/1.1\r\n"
        b"Host: localhost\r\nAuthorization: Bearer admin-token\r\n\r\n"
    )

    async def one() -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", port, ssl=context, server_hostname="localhost"
        )
        writer.write(head)
        await reader.readuntil(b"\r\n\r\n")
        return reader, writer

    streams = [await one() for _ in range(200)]
    made = {"metadata": {"name": "wanted"}, "apiVersion": "v1", "kind": "Secret"}
    import json

    body = json.dumps(made).encode()
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", port, ssl=context, server_hostname="localhost"
    )
    writer.write(
        b"POST /api/v1/namespaces/default/secrets HTTP/1.1\r\nHost: localhost\r\n"
        b"Authorization: Bearer admin-token\r\nContent-Type: application/json\r\n"
        b"Content-Length: %d\r\n\r\n" % len(body) + body
    )
    assert (await reader.readline()).startswith(b"HTTP/1.1 201")
    for watching, _ in streams:
        async with asyncio.timeout(10):
            while b'"wanted"' not in await watching.readline():
                pass
    for _, going in (*streams, (reader, writer)):
        going.close()
