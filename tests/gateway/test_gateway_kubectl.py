"""Real kubectl programs against a served world: every family of verbs."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from firedrill.gateway.kubernetes.kubectl import KubectlBinary, find_kubectl

pytestmark = pytest.mark.service

BINARIES = find_kubectl()
PARAMS: list[Any] = BINARIES[:1] or [None]
"""The newest; the scripts of the conformance tests take the others too."""
WEB = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, labels: {app: web}}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - {name: nginx, image: "nginx:1.25", ports: [{containerPort: 80}], env: [{name: COLOUR, value: blue}]}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{port: 80}]}
"""


class Kubectl:
    def __init__(self, program: Path, config: Path, home: Path) -> None:
        self._program = program
        self._env = {"KUBECONFIG": str(config), "HOME": str(home), "PATH": os.environ.get("PATH", "")}
        self._env["GOGC"] = "off"  # for a command that lives a moment, collecting garbage is a third of it

    def run(self, *args: str, stdin: str = "", timeout: float = 60) -> subprocess.CompletedProcess[str]:
        argv = [str(self._program), *args]
        return subprocess.run(
            argv, check=False, input=stdin, env=self._env, capture_output=True, text=True, timeout=timeout
        )

    def __call__(self, *args: str, stdin: str = "") -> str:
        done = self.run(*args, stdin=stdin)
        assert done.returncode == 0, (args, done.stdout, done.stderr)
        return done.stdout

    def fails(self, *args: str, stdin: str = "", code: int = 1) -> str:
        done = self.run(*args, stdin=stdin)
        assert done.returncode == code, (args, done.stdout, done.stderr)
        return done.stderr


@pytest.fixture(scope="module", params=PARAMS, ids=lambda item: f"{item.version[1]}" if item else "none")
def kubectl(request: Any, running: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kubectl]:
    """kubectl on a world of its own, which starts with one application."""
    from firedrill.world.build import make_world

    binary: KubectlBinary | None = request.param
    if binary is None:
        pytest.skip("no kubectl from 1.30 on at hand: scripts/tools unpacks one")
    folder = tmp_path_factory.mktemp("kubectl")
    with running(make_world(5, nodes=2, start=int(time.time() * 1000)), 20) as served:
        kubectl = Kubectl(binary.path, served.kubeconfig(folder / "config"), folder)
        kubectl("apply", "-f", "-", stdin=WEB)
        kubectl("rollout", "status", "deploy/web", "--timeout=30s")
        yield kubectl


def test_get_in_every_form(kubectl: Kubectl) -> None:
    assert kubectl("get", "deploy", "web").splitlines()[0].split() == [
        "NAME",
        "READY",
        "UP-TO-DATE",
        "AVAILABLE",
        "AGE",
    ]
    assert "nginx:1.25" in kubectl("get", "deploy", "web", "-o", "wide")
    assert json.loads(kubectl("get", "deploy", "web", "-o", "json"))["kind"] == "Deployment"
    assert "kind: List" in kubectl("get", "pods", "-o", "yaml")
    assert kubectl("get", "deploy", "web", "-o", "jsonpath={.spec.replicas}") == "2"
    assert kubectl("get", "svc", "-o", "name").split() == ["service/kubernetes", "service/web"]
    assert "app=web" in kubectl("get", "pods", "--show-labels", "-l", "app=web,app!=x")
    assert "NAMESPACE" in kubectl("get", "pods", "-A", "--sort-by=.metadata.name")
    assert "deployment.apps/web" in kubectl("get", "all")
    assert (
        kubectl("get", "pods", "-o", "custom-columns=I:.spec.containers[0].image", "--no-headers").split()
        == ["nginx:1.25"] * 2
    )
    assert 'pods "nosuch" not found' in kubectl.fails("get", "pod", "nosuch")
    assert 'the server doesn\'t have a resource type "nosuch"' in kubectl.fails("get", "nosuch")


def test_describe_and_explain(kubectl: Kubectl) -> None:
    assert "RollingUpdateStrategy:  25% max unavailable" in kubectl("describe", "deploy", "web")
    assert "SuccessfulCreate" in kubectl("describe", "rs", "-l", "app=web")
    assert "Non-terminated Pods" in kubectl("describe", "nodes")
    assert "FIELD: strategy <DeploymentStrategy>" in kubectl("explain", "deploy.spec.strategy")


def test_discovery(kubectl: Kubectl) -> None:
    assert "apps/v1" in kubectl("api-versions")
    assert "deployments.apps" in kubectl("api-resources", "-o", "name")
    assert "v1.31" in kubectl("version")
    assert kubectl("get", "--raw", "/readyz") == "ok"


def test_apply_diff_edit_patch(kubectl: Kubectl) -> None:
    assert "unchanged" in kubectl("apply", "-f", "-", stdin=WEB)
    changed = WEB.replace("blue", "green")
    assert "-          value: blue" in kubectl.run("diff", "-f", "-", stdin=changed).stdout
    assert "deployment.apps/web configured" in kubectl("apply", "-f", "-", stdin=changed)
    kubectl(
        "patch",
        "deploy",
        "web",
        "--type=json",
        "-p",
        '[{"op":"add","path":"/metadata/annotations/a","value":"b"}]',
    )
    kubectl("patch", "deploy", "web", "--type=merge", "-p", '{"metadata":{"annotations":{"c":"d"}}}')
    kubectl("patch", "deploy", "web", "-p", '{"metadata":{"annotations":{"e":"f"}}}')
    found = json.loads(kubectl("get", "deploy", "web", "-o", "json"))["metadata"]["annotations"]
    assert {key: found[key] for key in "ace"} == {"a": "b", "c": "d", "e": "f"}
    unknown = WEB.replace("replicas:", "replcas:").replace("name: web,", "name: bad,")
    assert 'unknown field "spec.replcas"' in kubectl.fails("create", "-f", "-", stdin=unknown)
    assert "serverside-applied" in kubectl(
        "apply", "--server-side", "--force-conflicts", "-f", "-", stdin=WEB
    )
    kubectl("rollout", "status", "deploy/web", "--timeout=30s")


def test_generators_with_bodies_in_protobuf(kubectl: Kubectl) -> None:
    kubectl("create", "cm", "cfg", "--from-literal=k=v")
    assert kubectl("get", "cm", "cfg", "-o", "jsonpath={.data.k}") == "v"
    kubectl("create", "ns", "made")
    kubectl("create", "deploy", "redis", "--image=redis:7", "-n", "made")
    kubectl("create", "quota", "q", "--hard=pods=3", "-n", "made")
    kubectl("create", "job", "once", "--image=busybox:1.36", "-n", "made", "--", "true")
    kubectl("autoscale", "deploy", "redis", "--max=3", "-n", "made")
    kubectl("expose", "deploy", "redis", "--port=6379", "-n", "made")
    assert "kind: Deployment" in kubectl(
        "create", "deploy", "x", "--image=x", "--dry-run=server", "-o", "yaml"
    )
    kubectl("label", "cm", "cfg", "tier=db")
    kubectl("annotate", "cm", "cfg", "note=hi")
    assert "already exists" in kubectl.fails("create", "cm", "cfg")
    kubectl("delete", "ns", "made", "--timeout=50s")
    assert "NotFound" in kubectl.fails("get", "ns", "made")


def test_rollouts(kubectl: Kubectl) -> None:
    kubectl("set", "image", "deploy/web", "nginx=nginx:1.26")
    kubectl("rollout", "status", "deploy/web", "--timeout=30s")
    kubectl("rollout", "restart", "deploy/web")
    kubectl("rollout", "status", "deploy/web", "--timeout=30s")
    assert "REVISION" in kubectl("rollout", "history", "deploy/web")
    kubectl("rollout", "undo", "deploy/web")
    kubectl("scale", "deploy/web", "--replicas=3")
    kubectl("rollout", "status", "deploy/web", "--timeout=30s")
    kubectl("wait", "--for=condition=Available", "deploy/web", "--timeout=30s")
    kubectl("scale", "deploy/web", "--replicas=2")


def test_a_deployment_is_deleted_in_the_middle_of_its_rollout(kubectl: Kubectl) -> None:
    kubectl("create", "deploy", "brief", "--image=nginx:1.25", "--replicas=4")
    kubectl("rollout", "restart", "deploy/brief")
    kubectl("delete", "deploy", "brief", "--timeout=30s", "--cascade=foreground")
    kubectl("wait", "--for=delete", "pod", "-l", "app=brief", "--timeout=50s")
    assert kubectl("get", "rs,pods", "-l", "app=brief", "-o", "name") == ""


def test_logs_and_exec(kubectl: Kubectl) -> None:
    assert kubectl("logs", "deploy/web", "--tail=1").count("\n") <= 1
    kubectl("logs", "-l", "app=web", "--prefix")
    assert "COLOUR=" in kubectl("exec", "deploy/web", "--", "env")
    failed = kubectl.run("exec", "deploy/web", "--", "ls", "/nosuch")
    assert failed.returncode in {1, 2}
    assert f"command terminated with exit code {failed.returncode}" in failed.stderr
    missing = kubectl.fails("exec", "deploy/web", "--", "nosuch")
    assert 'exec: "nosuch": executable file not found in $PATH: unknown' in missing
    assert missing.startswith("error: Internal error occurred: ")
    assert "is not valid for pod" in kubectl.fails("logs", "deploy/web", "-c", "nosuch")


def test_permissions(kubectl: Kubectl) -> None:
    assert kubectl("auth", "can-i", "create", "pods") == "yes\n"
    assert "kubernetes-admin" in kubectl("auth", "whoami")
    assert "*.*" in kubectl("auth", "can-i", "--list")
    assert kubectl.run("auth", "can-i", "create", "pods", "--as=jane").stdout == "no\n"
    assert 'User "jane" cannot list resource "pods"' in kubectl.fails("get", "pods", "--as=jane")


def test_nodes_are_cordoned_drained_and_tainted(kubectl: Kubectl) -> None:
    kubectl("cordon", "worker-01")
    assert "SchedulingDisabled" in kubectl("get", "node", "worker-01")
    kubectl("uncordon", "worker-01")
    kubectl("taint", "node", "worker-01", "k=v:PreferNoSchedule")
    kubectl("taint", "node", "worker-01", "k-")


def test_what_is_refused_is_refused_politely(kubectl: Kubectl) -> None:
    pod = kubectl("get", "pod", "-l", "app=web", "-o", "jsonpath={.items[0].metadata.name}")
    assert "not simulated" in kubectl.fails("port-forward", f"pod/{pod}", ":80")
    assert "not simulated" in kubectl.fails("get", "--raw", f"/api/v1/namespaces/default/pods/{pod}/proxy/")


def test_a_watch_sees_what_happens(kubectl: Kubectl) -> None:
    argv = [str(kubectl._program), "get", "cm", "-w", "-o", "name"]
    watching = subprocess.Popen(argv, env=kubectl._env, stdout=subprocess.PIPE, text=True)
    try:
        assert watching.stdout is not None
        assert watching.stdout.readline()
        kubectl("create", "cm", "seen", "--from-literal=a=b")
        lines = iter(watching.stdout.readline, "")
        assert next(line for line in lines if "seen" in line) == "configmap/seen\n"
    finally:
        watching.kill()
        watching.communicate()


# --- the verb


def test_the_verb_serves_until_it_is_stopped(tmp_path: Path) -> None:
    if not BINARIES:
        pytest.skip("no kubectl from 1.30 on at hand")
    manifest = tmp_path / "web.yaml"
    manifest.write_text(WEB)
    argv = [
        sys.executable,
        "-m",
        "firedrill",
        "world",
        "serve",
        "--app",
        str(manifest),
        "--nodes",
        "2",
        "--json",
    ]
    server = subprocess.Popen([*argv, "--user", "jane"], stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        told = json.loads(server.stdout.readline())
        config = Path(told["kubeconfig"])
        assert config.stat().st_mode & 0o777 == 0o600
        admin = Kubectl(BINARIES[0].path, config, tmp_path)
        assert "web" in admin("get", "deploy")
        jane = Kubectl(BINARIES[0].path, Path(told["users"]["jane"]), tmp_path)
        assert 'User "jane" cannot list' in jane.fails("get", "deploy")
    finally:
        server.send_signal(signal.SIGTERM)
        assert server.wait(60) == 0
    assert not config.exists()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("kind: [", "web.yaml"),
        ("kind: Pod\nmetadata: {name: x}", "needs apiVersion and kind"),
        (
            "apiVersion: v1\nkind: Nosuch\nmetadata: {name: x}",
            "web.yaml: Nosuch x: the cluster serves no Nosuch",
        ),
    ],
)
def test_bad_manifests_are_told_in_a_sentence(tmp_path: Path, text: str, words: str) -> None:
    manifest = tmp_path / "web.yaml"
    manifest.write_text(text)
    argv = [sys.executable, "-m", "firedrill", "world", "serve", "--app", str(manifest), "--nodes", "1"]
    done = subprocess.run(argv, check=False, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_a_users_own_kubeconfig_is_not_overwritten(tmp_path: Path) -> None:
    mine = tmp_path / "config"
    mine.write_text("clusters: [{name: work}]\n")
    argv = [sys.executable, "-m", "firedrill", "world", "serve", "--kubeconfig", str(mine)]
    done = subprocess.run(argv, check=False, capture_output=True, text=True, timeout=60)
    assert (done.returncode, mine.read_text()) == (2, "clusters: [{name: work}]\n")
