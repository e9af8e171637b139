"""The kubelet: what happens to a pod between its binding and its end."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firedrill.world import Settings, World
from firedrill.world.kube import kubelet, programs
from firedrill.world.kube.api import Client
from firedrill.world.kube.kubelet.state import kubelets

Obj = dict[str, Any]


def make(seed: int = 1, **given_settings: Any) -> World:
    world = World(seed, settings=Settings(freeze=True, **given_settings))
    client = Client(world)
    for name in ("default", "kube-system", "kube-node-lease"):
        client.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    world.run_for(1_000)
    store = world.cluster.store
    if store.get("serviceaccounts", "default", "default") is None:
        meta = {"name": "default", "namespace": "default"}
        client.create({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta})
    if store.get("configmaps", "default", "kube-root-ca.crt") is None:
        meta = {"name": "kube-root-ca.crt", "namespace": "default"}
        client.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": {"ca.crt": "-"}})
    kubelet.add_node(world, "n1")
    return world


def pod(container: Obj | None = None, **spec: Any) -> Obj:
    chosen = {"name": "c", "image": "nginx:1.27", **(container or {})}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "p", "namespace": "default"},
        "spec": {"nodeName": "n1", "containers": [chosen], **spec},
    }


def run(world: World, obj: Obj, ms: int = 20_000) -> Obj:
    Client(world).create(obj)
    world.run_for(ms)
    return now(world)


def now(world: World) -> Obj:
    return Client(world).get("pods", "default", "p")


def told(world: World, reason: str) -> list[Obj]:
    return [
        item
        for item in world.cluster.store.list("events")
        if item["reason"] == reason and item["involvedObject"]["name"] == "p"
    ]


def conditions(obj: Obj) -> dict[str, str]:
    return {item["type"]: item["status"] for item in obj["status"]["conditions"]}


def first(obj: Obj) -> Obj:
    found: Obj = obj["status"]["containerStatuses"][0]
    return found


def test_a_healthy_pod_runs_and_is_ready() -> None:
    world = make()
    got = run(world, pod({"readinessProbe": {"httpGet": {"path": "/", "port": 80}}}))
    assert got["status"]["phase"] == "Running"
    assert got["status"]["podIP"] == "10.244.0.2"
    assert set(conditions(got).values()) == {"True"}
    assert first(got)["ready"] is True
    assert first(got)["imageID"].startswith("docker.io/library/nginx@sha256:")
    assert [told(world, reason)[0]["message"] for reason in ("Pulling", "Created", "Started")] == [
        'Pulling image "nginx:1.27"',
        "Created container c",
        "Started container c",
    ]
    assert "(" in told(world, "Pulled")[0]["message"]
    quiet = len(told(world, "Pulled"))
    world.run_for(600_000)
    assert len(told(world, "Pulled")) == quiet


def test_events_are_worded_by_version() -> None:
    world = make(version="1.33", git_version="v1.33.1")
    run(world, pod())
    assert told(world, "Created")[0]["message"] == "Created container: c"
    assert told(world, "Started")[0]["message"] == "Started container c"


def test_an_image_that_is_there_is_not_pulled_again() -> None:
    world = make()
    run(world, pod())
    Client(world).delete("pods", "default", "p")
    world.run_for(40_000)
    run(world, pod())
    messages = [item["message"] for item in told(world, "Pulled")]
    assert 'Container image "nginx:1.27" already present on machine' in messages


@pytest.mark.parametrize(
    ("image", "waiting", "words"),
    [
        ("nginx:nope", "ErrImagePull", "docker.io/library/nginx:nope: not found"),
        (
            "corp.internal/a:1",
            "ErrImagePull",
            "dial tcp: lookup corp.internal on 127.0.0.53:53: no such host",
        ),
        ("reg.corp.local/a:1", "ErrImagePull", "lookup reg.corp.local: Temporary failure in name resolution"),
        (
            "ghcr.io/x/redis:a",
            "ErrImagePull",
            "scope=repository%3Ax%2Fredis%3Apull&service=ghcr.io: 403 Forbidden",
        ),
        ("nobody/secret:1", "ErrImagePull", "insufficient_scope: authorization failed"),
        ("Nginx:1", "InvalidImageName", "invalid reference format"),
    ],
)
def test_images_that_cannot_be_had(image: str, waiting: str, words: str) -> None:
    world = make()
    got = run(world, pod({"image": image}), 40_000)
    assert got["status"]["phase"] == "Pending"
    reasons = {item["message"] for item in told(world, "Failed")}
    assert f"Error: {waiting}" in reasons
    assert any(words in item["message"] for item in world.cluster.store.list("events"))
    if waiting == "ErrImagePull":
        assert "Error: ImagePullBackOff" in reasons
        assert told(world, "BackOff")[0]["message"] == f'Back-off pulling image "{image}"'
        assert 2 <= told(world, "Pulling")[0]["count"] <= 4


def test_an_image_for_another_architecture() -> None:
    world = make()
    program = programs.Program("app", architectures=("arm64",), entrypoint=("/app",))
    programs.set_program(world, "ghcr.io/acme/app", program, "1")
    run(world, pod({"image": "ghcr.io/acme/app:1"}), 10_000)
    assert any("no match for platform in manifest: not found" in e["message"] for e in told(world, "Failed"))


def test_a_private_repository_opens_for_a_pull_secret() -> None:
    world = make()
    programs.set_private(world, "docker.io/library/nginx")
    got = run(world, pod(imagePullSecrets=[{"name": "key"}]), 30_000)
    assert first(got)["state"]["waiting"]["reason"] in {"ErrImagePull", "ImagePullBackOff"}
    text = "Unable to retrieve some image pull secrets (key); attempting to pull the image may not succeed."
    assert told(world, "FailedToRetrieveImagePullSecret")[0]["message"] == text
    Client(world).create(
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "key", "namespace": "default"},
            "type": "kubernetes.io/dockerconfigjson",
            "data": {".dockerconfigjson": "eyJhdXRocyI6IHsiaHR0cHM6Ly9pbmRleC5kb2NrZXIuaW8vdjEvIjoge319fQ=="},
        }
    )
    world.run_for(120_000)
    assert now(world)["status"]["phase"] == "Running"


def test_a_crash_loop_backs_off() -> None:
    world = make()
    got = run(world, pod({"image": "busybox:1.36", "command": ["sh", "-c", "echo no; exit 3"]}), 106_000)
    assert got["status"]["phase"] == "Running"
    assert first(got)["restartCount"] == 4
    assert first(got)["lastState"]["terminated"]["exitCode"] == 3
    waiting = first(got)["state"]["waiting"]
    uid = got["metadata"]["uid"]
    assert waiting["reason"] == "CrashLoopBackOff"
    assert waiting["message"] == f"back-off 1m20s restarting failed container=c pod=p_default({uid})"
    assert 8 <= told(world, "BackOff")[0]["count"] <= 12
    assert kubelet.read_log(world, "default", "p", "c") == ["no"]
    assert kubelet.read_log(world, "default", "p", "c", previous=True) == ["no"]


def test_the_restart_policy_decides() -> None:
    world = make()
    never = run(world, pod({"image": "busybox:1.36", "command": ["false"]}, restartPolicy="Never"))
    assert never["status"]["phase"] == "Failed"
    assert first(never)["state"]["terminated"]["exitCode"] == 1
    world = make()
    done = run(world, pod({"image": "busybox:1.36", "command": ["true"]}, restartPolicy="OnFailure"))
    assert done["status"]["phase"] == "Succeeded"
    assert {item.get("reason") for item in done["status"]["conditions"] if item["type"] == "Ready"} == {
        "PodCompleted"
    }


def test_a_command_that_does_not_exist() -> None:
    world = make()
    got = run(world, pod({"command": ["nonsense"]}), 10_000)
    last = first(got)["lastState"].get("terminated") or first(got)["state"]["terminated"]
    assert last["exitCode"] == 128
    assert last["reason"] == "StartError"
    assert 'exec: "nonsense": executable file not found in $PATH: unknown' in last["message"]


def test_missing_configuration() -> None:
    world = make()
    env = [{"name": "A", "valueFrom": {"configMapKeyRef": {"name": "cm", "key": "k"}}}]
    got = run(world, pod({"env": env}))
    waiting = {"reason": "CreateContainerConfigError", "message": 'configmap "cm" not found'}
    assert first(got)["state"]["waiting"] == waiting
    meta = {"name": "cm", "namespace": "default"}
    client = Client(world)
    client.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": {"x": "1"}})
    world.run_for(16_000)
    assert first(now(world))["state"]["waiting"]["message"] == "couldn't find key k in ConfigMap default/cm"
    client.patch("configmaps", "default", "cm", {"data": {"k": "v"}})
    world.run_for(16_000)
    assert now(world)["status"]["phase"] == "Running"
    assert kubelet.execute(world, "default", "p", "c", ["printenv", "A"]).stdout == "v\n"


def test_a_missing_volume_is_tried_again() -> None:
    world = make()
    volumes = [{"name": "v", "secret": {"secretName": "s"}}]
    got = run(world, pod({"volumeMounts": [{"name": "v", "mountPath": "/s"}]}, volumes=volumes))
    assert first(got)["state"]["waiting"]["reason"] == "ContainerCreating"
    failed = told(world, "FailedMount")[0]
    assert failed["message"] == 'MountVolume.SetUp failed for volume "v" : secret "s" not found'
    assert 5 <= failed["count"] <= 7
    meta = {"name": "s", "namespace": "default"}
    Client(world).create({"apiVersion": "v1", "kind": "Secret", "metadata": meta, "stringData": {"a": "b"}})
    world.run_for(60_000)
    assert now(world)["status"]["phase"] == "Running"


def test_init_containers_run_in_order_and_sidecars_stay() -> None:
    world = make()
    inits = [
        {"name": "one", "image": "busybox:1.36", "command": ["sh", "-c", "sleep 2"]},
        {
            "name": "side",
            "image": "busybox:1.36",
            "command": ["sleep", "infinity"],
            "restartPolicy": "Always",
        },
        {"name": "two", "image": "busybox:1.36", "command": ["true"]},
    ]
    client = Client(world)
    client.create(pod(initContainers=inits))
    world.run_for(3_000)
    early = now(world)
    assert early["status"]["phase"] == "Pending"
    assert first(early)["state"]["waiting"]["reason"] == "PodInitializing"
    assert conditions(early)["Initialized"] == "False"
    world.run_for(20_000)
    late = now(world)
    assert late["status"]["phase"] == "Running"
    states = [next(iter(item["state"])) for item in late["status"]["initContainerStatuses"]]
    assert states == ["terminated", "running", "terminated"]


def test_memory_limits() -> None:
    world = make()
    got = run(world, pod({"resources": {"limits": {"memory": "5Mi", "cpu": "1"}}}))
    failed = told(world, "FailedCreatePodSandBox")[0]["message"]
    assert failed.endswith("container init was OOM-killed (memory limit too low?): unknown")
    assert first(got)["state"]["waiting"]["reason"] == "ContainerCreating"
    world = make()
    mysql = {"image": "mysql:8.0", "env": [{"name": "MYSQL_ROOT_PASSWORD", "value": "x"}]}
    got = run(world, pod({**mysql, "resources": {"limits": {"memory": "64Mi"}}}), 60_000)
    assert first(got)["lastState"]["terminated"]["reason"] == "OOMKilled"
    assert first(got)["lastState"]["terminated"]["exitCode"] == 137


def test_a_failing_readiness_probe_keeps_the_pod_out() -> None:
    world = make()
    got = run(world, pod({"readinessProbe": {"httpGet": {"path": "/x", "port": 80}}}), 60_000)
    assert conditions(got)["Ready"] == "False"
    ready = next(item for item in got["status"]["conditions"] if item["type"] == "Ready")
    assert ready["message"] == "containers with unready status: [c]"
    assert (
        told(world, "Unhealthy")[0]["message"]
        == "Readiness probe failed: HTTP probe failed with statuscode: 404"
    )
    assert first(got)["restartCount"] == 0


@pytest.mark.parametrize(
    ("probe", "words"),
    [
        ({"tcpSocket": {"port": 81}}, "dial tcp 10.244.0.2:81: connect: connection refused"),
        (
            {"httpGet": {"path": "/", "port": 81}},
            'Get "http://10.244.0.2:81/": dial tcp 10.244.0.2:81: connect: connection refused',
        ),
        (
            {"grpc": {"port": 80}},
            'timeout: failed to connect service "10.244.0.2:80" within 1s: context deadline exceeded',
        ),
        (
            {"httpGet": {"path": "/", "port": 80, "scheme": "HTTPS"}},
            'Get "https://10.244.0.2:80/": http: server gave HTTP response to HTTPS client',
        ),
    ],
)
def test_a_failing_liveness_probe_restarts(probe: Obj, words: str) -> None:
    world = make()
    got = run(world, pod({"livenessProbe": {**probe, "periodSeconds": 5}}), 60_000)
    assert told(world, "Unhealthy")[0]["message"] == f"Liveness probe failed: {words}"
    assert told(world, "Killing")[0]["message"] == "Container c failed liveness probe, will be restarted"
    assert first(got)["restartCount"] >= 2


@pytest.mark.parametrize(
    ("container", "port", "words"),
    [
        (
            {"image": "mysql:8.0", "env": [{"name": "MYSQL_ROOT_PASSWORD", "value": "x"}]},
            3306,
            r'malformed HTTP response "J\x00\x00\x00"',
        ),
        ({"image": "redis:7"}, 6379, 'malformed HTTP response "-ERR wrong number of arguments'),
        (
            {"image": "ghcr.io/acme/dotnet-cart:1", "ports": [{"containerPort": 7070, "name": "grpc"}]},
            7070,
            "HTTP probe failed with statuscode: 400",
        ),
    ],
)
def test_an_http_probe_of_what_speaks_no_http(container: Obj, port: int, words: str) -> None:
    world = make()
    programs.learn(world, [pod(container)])
    probe = {"httpGet": {"path": "/health", "port": port}, "initialDelaySeconds": 30}
    run(world, pod({**container, "readinessProbe": probe}), 90_000)
    assert words in told(world, "Unhealthy")[0]["message"]


def test_a_changed_probe_type_meets_the_learned_program() -> None:
    world = make()
    ports = [{"containerPort": 8080}]
    env = [{"name": "PORT", "value": "8080"}]
    server = {"image": "ghcr.io/acme/shop:1", "ports": ports, "env": env}
    healthy = pod({**server, "readinessProbe": {"grpc": {"port": 8080}}})
    programs.learn(world, [healthy])
    got = run(world, pod({**server, "readinessProbe": {"httpGet": {"path": "/", "port": 8080}}}))
    assert "malformed HTTP response" in told(world, "Unhealthy")[0]["message"]
    Client(world).delete("pods", "default", "p", grace=0)
    moved = {**server, "env": [{"name": "PORT", "value": "9090"}], "readinessProbe": {"grpc": {"port": 8080}}}
    got = run(world, pod(moved))
    assert first(got)["ready"] is False
    Client(world).delete("pods", "default", "p", grace=0)
    moved["readinessProbe"] = {"grpc": {"port": 9090}}
    assert first(run(world, pod(moved)))["ready"] is True


def test_a_deleted_pod_ends_in_peace() -> None:
    world = make()
    run(world, pod())
    Client(world).delete("pods", "default", "p")
    assert now(world)["metadata"]["deletionGracePeriodSeconds"] == 30
    world.run_for(5_000)
    assert world.cluster.store.get("pods", "default", "p") is None
    assert told(world, "Killing")[0]["message"] == "Stopping container c"
    assert not kubelets(world).pods


def test_a_program_that_ignores_the_signal_uses_its_grace() -> None:
    world = make()
    stubborn = {"image": "busybox:1.36", "command": ["sleep", "3600"]}
    run(world, pod(stubborn, terminationGracePeriodSeconds=12))
    Client(world).delete("pods", "default", "p")
    world.run_for(11_000)
    assert world.cluster.store.get("pods", "default", "p") is not None
    world.run_for(3_000)
    assert world.cluster.store.get("pods", "default", "p") is None


def test_a_read_only_or_foreign_volume_is_denied() -> None:
    world = make()
    volumes = [{"name": "d", "hostPath": {"path": "/mnt/data", "type": "Directory"}}]
    mounts = [{"name": "d", "mountPath": "/data"}]
    server = {"name": "redis", "image": "redis:alpine", "volumeMounts": mounts}
    got = run(world, pod(server, volumes=volumes, securityContext={"runAsUser": 1000}), 60_000)
    assert first(got)["lastState"]["terminated"]["exitCode"] == 1
    assert any("Permission denied" in line for line in kubelet.read_log(world, "default", "p", "redis"))


def test_a_deadline_ends_a_pod() -> None:
    world = make()
    got = run(world, pod(activeDeadlineSeconds=10), 30_000)
    assert got["status"]["phase"] == "Failed"
    assert got["status"]["reason"] == "DeadlineExceeded"


def test_a_pod_that_does_not_fit_is_refused() -> None:
    world = make()
    got = run(world, pod({"resources": {"requests": {"cpu": "9"}}}))
    assert got["status"]["phase"] == "Failed"
    assert got["status"]["reason"] == "OutOfcpu"
    assert "requested: 9000, used: 0, capacity: 8000" in got["status"]["message"]


_SCRIPTS = st.sampled_from(
    [
        "sleep 5",
        "exit 1",
        "echo a; sleep 3; exit 2",
        "while true; do echo x; sleep 4; done",
        "true",
        "nonsense",
    ]
)
_CONTAINERS = st.fixed_dictionaries(
    {
        "image": st.sampled_from(
            ["nginx:1.27", "busybox:1.36", "redis:alpine", "nginx:bad", "x.corp/y", "???"]
        ),
    },
    optional={
        "command": st.lists(st.sampled_from(["sh", "-c", "sleep", "7", "nginx", ""]), min_size=1, max_size=3),
        "args": st.lists(_SCRIPTS, max_size=2),
        "livenessProbe": st.sampled_from(
            [
                {"tcpSocket": {"port": 80}},
                {"httpGet": {"port": "web", "path": "/"}},
                {"exec": {"command": ["cat", "/tmp/ok"]}},
                {"grpc": {"port": 6379}, "periodSeconds": 1, "failureThreshold": 1},
            ]
        ),
        "startupProbe": st.sampled_from([{"tcpSocket": {"port": 6379}, "failureThreshold": 2}]),
        "resources": st.sampled_from([{"limits": {"memory": "4Mi"}}, {"limits": {"memory": "20Mi"}}]),
        "env": st.sampled_from([[{"name": "A", "valueFrom": {"secretKeyRef": {"name": "no", "key": "k"}}}]]),
    },
)


@settings(max_examples=25, deadline=None)
@given(
    st.lists(_CONTAINERS, min_size=1, max_size=3),
    st.lists(_CONTAINERS, max_size=2),
    st.sampled_from(["Always", "OnFailure", "Never"]),
    st.integers(0, 90_000),
    st.booleans(),
)
def test_no_pod_confuses_the_kubelet(
    containers: list[Obj], inits: list[Obj], policy: str, when: int, delete: bool
) -> None:
    world = make()
    obj = pod(restartPolicy=policy)
    obj["spec"]["containers"] = [{**item, "name": f"c{n}"} for n, item in enumerate(containers)]
    if inits:
        obj["spec"]["initContainers"] = [{**item, "name": f"i{n}"} for n, item in enumerate(inits)]
    Client(world, trusted=True).create(obj)
    world.run_for(when)
    twin = world.fork()
    for each in (world, twin):
        if delete:
            Client(each).delete("pods", "default", "p")
        each.run_for(70_000)
    assert world.digest() == twin.digest()
    if delete:
        assert world.cluster.store.get("pods", "default", "p") is None
        assert not kubelets(world).pods
    else:
        assert now(world)["status"]["phase"] in {"Pending", "Running", "Succeeded", "Failed"}


def test_a_program_that_turns_bad_is_noticed_and_restarted() -> None:
    world = make()
    probe = {"httpGet": {"path": "/", "port": 80}, "periodSeconds": 5}
    run(world, pod({"livenessProbe": probe, "readinessProbe": probe}))
    kubelet.set_health(world, "default", "p", "c", status=503)
    world.run_for(12_000)
    assert any("statuscode: 503" in item["message"] for item in told(world, "Unhealthy"))
    world.run_for(60_000)
    assert first(now(world))["restartCount"] == 1
    assert first(now(world))["ready"] is True
    kubelet.set_health(world, "default", "p", "c", latency=2_000)
    world.run_for(6_000)
    assert any(
        "Client.Timeout exceeded while awaiting headers" in e["message"] for e in told(world, "Unhealthy")
    )


def test_a_leak_ends_at_the_limit() -> None:
    world = make()
    run(world, pod({"resources": {"limits": {"memory": "50Mi"}}}))
    kubelet.set_health(world, "default", "p", "c", leak=1024 * 1024)
    world.run_for(30_000)
    assert first(now(world))["restartCount"] == 0
    world.run_for(30_000)
    assert first(now(world))["lastState"]["terminated"]["reason"] == "OOMKilled"


def test_a_readiness_gate_holds_the_pod_back() -> None:
    world = make()
    got = run(world, pod(readinessGates=[{"conditionType": "example.com/gate"}]))
    assert conditions(got)["ContainersReady"] == "True"
    assert conditions(got)["Ready"] == "False"
    told_ready = [*got["status"]["conditions"], {"type": "example.com/gate", "status": "True"}]
    Client(world).update_status(got, {**got["status"], "conditions": told_ready})
    world.run_for(2_000)
    assert conditions(now(world))["Ready"] == "True"
