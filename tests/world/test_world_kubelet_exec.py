"""Commands, logs and figures of running containers."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firedrill.world import Settings, World
from firedrill.world.kube import kubelet
from firedrill.world.kube.api import ApiError, Client

Obj = dict[str, Any]


def make() -> World:
    world = World(2, settings=Settings(freeze=True))
    client = Client(world)
    for name in ("default", "kube-system", "kube-node-lease"):
        client.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    world.run_for(1_000)
    meta = {"name": "default", "namespace": "default"}
    if client.find("serviceaccounts", "default", "default") is None:
        client.create({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta})
    if client.find("configmaps", "default", "kube-root-ca.crt") is None:
        root = {**meta, "name": "kube-root-ca.crt"}
        client.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": root, "data": {"ca.crt": "-"}})
    files = {"metadata": {"name": "cm", "namespace": "default"}, "data": {"a.txt": "one\ntwo\n"}}
    client.create({"apiVersion": "v1", "kind": "ConfigMap", **files})
    kubelet.add_node(world, "n1")
    script = "while true; do echo tick; sleep 5; done"
    container = {
        "name": "c",
        "image": "busybox:1.36",
        "command": ["sh", "-c", script],
        "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "$(A)2"}],
        "volumeMounts": [{"name": "v", "mountPath": "/etc/conf"}],
    }
    spec = {
        "nodeName": "n1",
        "containers": [container],
        "volumes": [{"name": "v", "configMap": {"name": "cm"}}],
    }
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": "default"}, "spec": spec}
    client.create(pod)
    world.run_for(62_000)
    return world


WORLD = make()


def run(*command: str) -> tuple[str, int]:
    done = kubelet.execute(WORLD, "default", "p", "c", command)
    return done.stdout + done.stderr, done.code


@pytest.mark.parametrize(
    ("command", "output"),
    [
        (["printenv", "B"], "12\n"),
        (["cat", "/etc/conf/a.txt"], "one\ntwo\n"),
        (["ls", "/etc/conf"], "a.txt\n"),
        (["hostname"], "p\n"),
        (["sh", "-c", "echo $A; echo ${B}"], "1\n12\n"),
        (["sh", "-c", "cat /etc/conf/a.txt | grep tw | wc -l"], "1\n"),
        (["sh", "-c", "env | grep ^A="], ""),
        (["id", "-u"], "0\n"),
        (["sh", "-c", "test -f /etc/conf/a.txt && echo there || echo not"], "there\n"),
    ],
)
def test_tools_answer(command: list[str], output: str) -> None:
    assert run(*command)[0] == output


def test_exit_codes() -> None:
    assert run("false")[1] == 1
    assert run("sh", "-c", "exit 7")[1] == 7
    text, code = run("bash")
    assert code == 127
    assert text == (
        "OCI runtime exec failed: exec failed: unable to start container process: "
        'exec: "bash": executable file not found in $PATH: unknown'
    )
    assert run("cat", "/none") == ("cat: can't open '/none': No such file or directory\n", 1)
    assert run("wget", "-qO-", "http://nowhere")[1] == 1
    assert run("nslookup", "nowhere")[1] == 1


@given(
    st.lists(st.text(max_size=30), max_size=4), st.text(alphabet="abc ;|&$(){}'\"\\\n><echo=", max_size=60)
)
def test_no_command_harms(words: list[str], script: str) -> None:
    before, twin = WORLD.digest(), WORLD.fork()
    for command in (words, ["sh", "-c", script], ["grep", *words], ["curl", *words], ["nc", *words]):
        done = kubelet.execute(twin, "default", "p", "c", command)
        assert 0 <= done.code < 256
    assert WORLD.digest() == before
    assert (twin.cluster.store.rv, twin.now, twin.queue.events()) == (
        WORLD.cluster.store.rv,
        WORLD.now,
        WORLD.queue.events(),
    )


def test_logs_can_be_cut() -> None:
    every = kubelet.read_log(WORLD, "default", "p", "c")
    assert set(every) == {"tick"}
    assert 10 <= len(every) <= 13
    assert len(kubelet.read_log(WORLD, "default", "p", "c", tail=3)) == 3
    assert len(kubelet.read_log(WORLD, "default", "p", "c", since_ms=WORLD.now - 20_000)) == 4
    assert kubelet.read_log(WORLD, "default", "p", "c", limit_bytes=7) == ["tick", "ti"]
    assert kubelet.read_log(WORLD, "default", "p", "c", tail=1, timestamps=True)[0].endswith("Z tick")


def test_what_has_no_log() -> None:
    with pytest.raises(ApiError, match='previous terminated container "c" in pod "p" not found'):
        kubelet.read_log(WORLD, "default", "p", "c", previous=True)
    with pytest.raises(ApiError, match="container x is not valid for pod p"):
        kubelet.read_log(WORLD, "default", "p", "x")
    with pytest.raises(ApiError, match='pods "q" not found'):
        kubelet.read_log(WORLD, "default", "q", "c")
    with pytest.raises(ApiError, match='pods "q" not found'):
        kubelet.execute(WORLD, "default", "q", "c", ["true"])


def test_usage_is_what_the_program_takes() -> None:
    cpu, memory = kubelet.usage(WORLD, "default", "p")["c"]
    assert 0 <= cpu < 10
    assert 0 < memory < 4 * 2**20
    assert kubelet.usage(WORLD, "default", "nobody") == {}


def test_metrics_are_computed() -> None:
    from firedrill.world.kube.kubelet.metrics import node_metrics, pod_metrics

    assert [item["metadata"]["name"] for item in pod_metrics(WORLD, "")] == ["p"]
    usage = node_metrics(WORLD, "")[0]["usage"]
    assert usage["cpu"].endswith("n")
    assert usage["memory"].endswith("Ki")
