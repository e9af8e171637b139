"""Pods as teams write them: scripts, hooks, files and limits behave as on a real node."""

from __future__ import annotations

from functools import cache
from typing import Any

from firedrill.world import World
from firedrill.world.build import make_world
from firedrill.world.kube import kubelet
from firedrill.world.kube.api import Client
from firedrill.world.kube.objects import Obj, dig

CONFIG: Obj = {
    "apiVersion": "v1",
    "kind": "ConfigMap",
    "metadata": {"name": "settings", "namespace": "default"},
    "data": {"mode": "calm", "app.yaml": "a: 1\n"},
}


@cache
def _bare() -> World:
    world = make_world(7, nodes=3, age_days=0)
    Client(world).create(CONFIG)
    return world


def pod(world: World, container: Obj, **spec: Any) -> None:
    """Create the pod `p`."""
    body = {"name": "c", "image": "busybox:1.36", **container}
    meta = {"name": "p", "namespace": "default", "labels": {"app": "p"}}
    Client(world).create(
        {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": {"containers": [body], **spec}}
    )


def now(world: World) -> Obj:
    return Client(world).get("pods", "default", "p")


def reasons(world: World) -> dict[str, str]:
    """Messages of the events about the pod, by reason."""
    told = world.cluster.store.list("events", "default")
    return {item["reason"]: item["message"] for item in told if item["involvedObject"]["name"] == "p"}


def cat(world: World, path: str) -> str:
    return kubelet.execute(world, "default", "p", "c", ["cat", path]).stdout


def test_volumes_follow_after_a_while_and_variables_never() -> None:
    world = _bare().fork()
    mounts = [
        {"name": "v", "mountPath": "/etc/v"},
        {"name": "v", "mountPath": "/etc/one.yaml", "subPath": "app.yaml"},
    ]
    mode = {"name": "MODE", "valueFrom": {"configMapKeyRef": {"name": "settings", "key": "mode"}}}
    container = {"command": ["sleep", "infinity"], "env": [mode], "volumeMounts": mounts}
    pod(world, container, volumes=[{"name": "v", "configMap": {"name": "settings"}}])
    world.run_for(20_000)
    assert cat(world, "/etc/v/mode") == "calm"
    change = {"data": {"mode": "loud", "app.yaml": "a: 2\n"}}
    Client(world).patch("configmaps", "default", "settings", change)
    world.run_for(55_000)
    assert cat(world, "/etc/v/mode") == "calm"
    world.run_for(40_000)
    assert (cat(world, "/etc/v/mode"), cat(world, "/etc/v/app.yaml")) == ("loud", "a: 2\n")
    assert cat(world, "/etc/one.yaml") == "a: 1\n"
    assert kubelet.execute(world, "default", "p", "c", ["printenv", "MODE"]).stdout == "calm\n"


def test_missing_keys_say_so_and_optional_ones_do_not_matter() -> None:
    for optional in (False, True):
        world = _bare().fork()
        ref = {"name": "settings", "key": "nope", "optional": optional}
        env = [{"name": "A", "valueFrom": {"configMapKeyRef": ref}}]
        pod(world, {"command": ["sleep", "infinity"], "env": env})
        world.run_for(20_000)
        state = dig(now(world), "status", "containerStatuses", 0, "state")
        if optional:
            assert "running" in state
        else:
            assert state["waiting"]["reason"] == "CreateContainerConfigError"
            assert state["waiting"]["message"] == "couldn't find key nope in ConfigMap default/settings"


def test_labels_and_limits_reach_files() -> None:
    world = _bare().fork()
    items = [
        {"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}},
        {
            "path": "cpu",
            "resourceFieldRef": {"containerName": "c", "resource": "limits.cpu", "divisor": "1m"},
        },
    ]
    mounts = [{"name": "info", "mountPath": "/etc/info"}]
    limits = {"limits": {"cpu": "250m"}}
    container = {"command": ["sleep", "infinity"], "volumeMounts": mounts, "resources": limits}
    pod(world, container, volumes=[{"name": "info", "downwardAPI": {"items": items}}])
    world.run_for(20_000)
    assert cat(world, "/etc/info/labels") == 'app="p"'
    assert cat(world, "/etc/info/cpu") == "250"


def test_a_hook_that_fails_after_the_start_restarts_the_container() -> None:
    world = _bare().fork()
    hook = {"postStart": {"exec": {"command": ["sh", "-c", "exit 3"]}}}
    pod(world, {"image": "nginx:1.27", "lifecycle": hook})
    world.run_for(60_000)
    assert "FailedPostStartHook" in reasons(world)
    assert dig(now(world), "status", "containerStatuses", 0, "restartCount") >= 1


def test_a_hook_before_the_end_takes_its_time_and_says_when_it_fails() -> None:
    for command, seconds, fails in (("sleep 9", 9, False), ("exit 4", 0, True)):
        world = _bare().fork()
        hook = {"preStop": {"exec": {"command": ["sh", "-c", command]}}}
        pod(world, {"image": "nginx:1.27", "lifecycle": hook})
        world.run_for(20_000)
        begun = world.now
        Client(world).delete("pods", "default", "p")
        assert world.run_until(lambda w: w.cluster.store.get("pods", "default", "p") is None, 40_000)
        assert seconds * 1000 <= world.now - begun < seconds * 1000 + 8_000
        assert ("FailedPreStopHook" in reasons(world)) == fails


def test_the_file_of_the_textbook_makes_the_probe_fail() -> None:
    world = _bare().fork()
    script = "touch /tmp/healthy; sleep 30; rm -f /tmp/healthy; sleep 600"
    probe = {"exec": {"command": ["cat", "/tmp/healthy"]}, "initialDelaySeconds": 5, "periodSeconds": 5}
    pod(world, {"command": ["/bin/sh", "-c", script], "livenessProbe": probe})
    world.run_for(28_000)
    assert dig(now(world), "status", "containerStatuses", 0, "restartCount") == 0
    world.run_for(80_000)
    assert dig(now(world), "status", "containerStatuses", 0, "restartCount") == 1
    assert "cat: can't open '/tmp/healthy': No such file or directory" in reasons(world)["Unhealthy"]


def test_init_containers_hand_files_over() -> None:
    world = _bare().fork()
    mounts = [{"name": "work", "mountPath": "/work"}]
    step = {"name": "step", "image": "busybox:1.36", "volumeMounts": mounts}
    step["command"] = ["sh", "-c", "echo ready > /work/flag"]
    loop = "until [ -f /work/flag ]; do sleep 1; done; cat /work/flag; sleep infinity"
    container = {"command": ["sh", "-c", loop], "volumeMounts": mounts}
    pod(world, container, initContainers=[step], volumes=[{"name": "work", "emptyDir": {}}])
    world.run_for(20_000)
    assert kubelet.read_log(world, "default", "p", "c") == ["ready"]


def test_scratch_space_over_its_limit_evicts() -> None:
    world = _bare().fork()
    script = "sleep 5; dd if=/dev/zero of=/cache/f bs=1M count=60; sleep infinity"
    container = {"command": ["sh", "-c", script], "volumeMounts": [{"name": "cache", "mountPath": "/cache"}]}
    pod(world, container, volumes=[{"name": "cache", "emptyDir": {"sizeLimit": "50Mi"}}])
    world.run_for(60_000)
    assert now(world)["status"]["phase"] == "Failed"
    assert reasons(world)["Evicted"] == 'Usage of EmptyDir volume "cache" exceeds the limit "50Mi". '


def test_waiting_for_a_name_ends_when_the_service_comes() -> None:
    world = _bare().fork()
    script = "until nslookup late; do echo waiting for late; sleep 2; done"
    step = {"name": "wait", "image": "busybox:1.36", "command": ["sh", "-c", script]}
    pod(world, {"image": "nginx:1.27"}, initContainers=[step])
    world.run_for(60_000)
    log = kubelet.read_log(world, "default", "p", "wait")
    assert "waiting for late" in log and any("NXDOMAIN" in line for line in log)
    assert dig(now(world), "status", "phase") == "Pending"
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "late", "namespace": "default"}}
    Client(world).create({**service, "spec": {"selector": {"app": "p"}, "ports": [{"port": 80}]}})
    world.run_for(15_000)
    assert dig(now(world), "status", "phase") == "Running"


def test_folders_of_the_node_must_be_there() -> None:
    world = _bare().fork()
    volume = {"name": "h", "hostPath": {"path": "/srv-none/data", "type": "Directory"}}
    pod(world, {"image": "nginx:1.27"}, volumes=[volume])
    world.run_for(20_000)
    assert "hostPath type check failed: /srv-none/data is not a directory" in reasons(world)["FailedMount"]
