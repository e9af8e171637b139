"""Real kubectl and Kyverno: a policy applied, its reports listed, an apply that is denied."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from firedrill.gateway.kubernetes.kubectl import find_kubectl
from firedrill.world.build import make_world
from firedrill.world.policy.kyverno.living import install

pytestmark = pytest.mark.service

POLICY = """
apiVersion: kyverno.io/v1
kind: ClusterPolicy
metadata: {name: no-host}
spec:
  validationFailureAction: ACTION
  rules:
  - name: host
    match: {any: [{resources: {kinds: [Pod]}}]}
    validate: {message: No host network, pattern: {spec: {"=(hostNetwork)": false}}}
"""
POD = """
apiVersion: v1
kind: Pod
metadata: {name: NAME, namespace: default}
spec: {hostNetwork: true, containers: [{name: web, image: "nginx:1.25"}]}
"""


def test_policies_reports_and_denials(running: Any, tmp_path: Path) -> None:
    binaries = find_kubectl()
    if not binaries:
        pytest.skip("no kubectl from 1.30 on at hand: scripts/tools unpacks one")
    world = make_world(5, nodes=2, age_days=1, start=int(time.time() * 1000))
    install(world)
    world.run_for(60_000)
    with running(world, 40) as served:
        env = {"KUBECONFIG": str(served.kubeconfig(tmp_path / "config")), "HOME": str(tmp_path)}
        env |= {"PATH": os.environ.get("PATH", ""), "GOGC": "off"}

        def kubectl(*args: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
            argv = [str(binaries[0].path), *args]
            return subprocess.run(argv, check=False, input=stdin, env=env, capture_output=True, text=True)

        typo = POLICY.replace("ACTION", "Audit").replace("pattern:", "patern:")
        assert (
            'unknown field "spec.rules[0].validate.patern"' in kubectl("apply", "-f", "-", stdin=typo).stderr
        )
        done = kubectl("apply", "-f", "-", stdin=POLICY.replace("ACTION", "Audit"))
        assert done.stdout == "clusterpolicy.kyverno.io/no-host created\n"
        assert "created" in kubectl("apply", "-f", "-", stdin=POD.replace("NAME", "one")).stdout
        lines: list[list[str]] = []
        for _ in range(40):
            lines = [line.split() for line in kubectl("get", "polr", "-A").stdout.splitlines()]
            if len(lines) > 1:
                break
            time.sleep(0.25)
        assert " ".join(lines[0]) == "NAMESPACE NAME KIND NAME PASS FAIL WARN ERROR SKIP AGE"
        assert lines[1][0] == "default"
        assert lines[1][2:8] == ["Pod", "one", "0", "1", "0", "0"]
        columns = kubectl("get", "cpol").stdout.splitlines()
        assert columns[0].split() == ["NAME", "ADMISSION", "BACKGROUND", "READY", "AGE", "MESSAGE"]
        assert columns[1].split()[:4] == ["no-host", "true", "true", "True"]
        assert "configured" in kubectl("apply", "-f", "-", stdin=POLICY.replace("ACTION", "Enforce")).stdout
        done = kubectl("apply", "-f", "-", stdin=POD.replace("NAME", "two"))
        assert done.returncode == 1
        assert 'admission webhook "validate.kyverno.svc-fail" denied the request' in done.stderr
        assert "resource Pod/default/two was blocked due to the following policies" in done.stderr
