"""A whole assessment by function calls of a model that is a script."""

from __future__ import annotations

import asyncio
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from firedrill.agents import AgentRequest
from firedrill.agents.scripted import Call, Say, Script, ScriptedServer, Turn
from firedrill.records import RunFolder
from firedrill.runner import run
from firedrill.suites import open_suite

pytestmark = [pytest.mark.slow, pytest.mark.elsewhere, pytest.mark.service]
POLICY = """\
apiVersion: kyverno.io/v1
kind: ClusterPolicy
metadata: {name: own-network}
spec:
  validationFailureAction: Audit
  background: true
  rules:
    - name: host-network
      match: {any: [{resources: {kinds: [Pod]}}]}
      validate:
        message: The node's network is not for pods.
        pattern: {spec: {=(hostNetwork): false}}
"""


def call(name: str, **arguments: Any) -> Call:
    return Call(name, json.dumps(arguments))


LOOK = call("RunKubectl", args="get deployments -A -o json", output_file="seen.json", script_file="look.sh")
WRITE = call("GenerateKyverno", sentence="no hostNetwork", policy_file="policy.yaml")
APPLY = call("RunKubectl", args="apply -f policy.yaml")
LINT = call("LintPolicy", policy_file="policy.yaml")
EXPLAIN = call("ExplainVerdict", policy_file="policy.yaml", object="kube-system/Deployment/coredns")


class Model:
    """Asks for a policy, and writes it, wrongly first."""

    steps = Script(
        [
            Say("", (call("finish", reason="?", paths=[]), LOOK)),
            Say("", (WRITE,)),
            Say("", (LINT, APPLY, EXPLAIN, call("LintPolicy", policy_file="look.sh"))),
            Say("", (call("finish", reason="deployed", paths=["work/policy.yaml"]),)),
        ]
    )

    def reply(self, turn: Turn) -> Any:
        if not turn.system.startswith("You write policies of Kyverno"):
            return self.steps.reply(turn)
        wrong = "What is wrong with it" not in turn.messages[-1].text
        return Say(f"```yaml\n{POLICY.replace('rules:', 'rulez:') if wrong else POLICY}```")


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    from firedrill.gateway.kubernetes.kubectl import find_kubectl
    from firedrill.sandbox import toolroot

    if not find_kubectl() or shutil.which("bwrap") is None or toolroot.locate() is None:
        pytest.skip("no kubectl, no bubblewrap or no tool root here")
    place: Path = tmp_path_factory.mktemp("calls") / "run"
    with ScriptedServer(Model()) as model:
        options = {"base_url": model.base_url, "toolbox": "live"}
        agents = [AgentRequest("react", "scripted/model", options)]
        asyncio.run(run(open_suite("ciso-core"), agents, scenarios=["kg-01"], out=place))
    return RunFolder(place)


def test_an_assessment_is_done_by_function_calls(played: RunFolder) -> None:
    ((record, grade),) = played.results()
    lines = list(played.receipt(record.key))
    said = [str(line.payload.get("content", "")) for line in lines if line.kind == "tool_result"]
    assert grade is not None
    assert (record.outcome.value, grade.score, grade.metrics["balanced"]) == ("submitted", 1.0, 1.0), said
    # nothing was handed in before there was anything
    assert any("policy.yaml does not exist. Nothing was handed in" in text for text in said)
    assert any("nothing is wrong with its form" in text for text in said)
    assert any(
        "kube-system/Deployment/coredns: pass\n  pass own-network/autogen-host" in text for text in said
    )
    assert any("look.sh: a shell script, and nothing is wrong" in text for text in said)
    notes = record.agent_notes["toolbox"]
    assert notes["written"] == 2
    assert "refused" not in notes
    (task,) = [line.payload["text"] for line in lines if line.kind == "task"]
    assert "hostNetwork" in task
    assert "alert" not in task
