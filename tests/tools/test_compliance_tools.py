"""Tools of assessments over a folder in memory, and a model that says one thing after the other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from firedrill.sandbox.base import CommandResult
from firedrill.tools.base import ToolResult
from firedrill.tools.compliance.bench import Bench
from firedrill.tools.compliance.catalog import COMPLIANCE_TOOLS
from firedrill.tools.compliance.generating import TRIES, unfenced
from firedrill.tools.compliance.toolbox import ComplianceToolbox

FOLDER = "/home/user/work"
POLICY = """\
apiVersion: kyverno.io/v1
kind: ClusterPolicy
metadata: {name: own-network}
spec:
  background: true
  rules:
    - name: host-network
      match: {any: [{resources: {kinds: [Pod]}}]}
      validate:
        message: The node's network is not for pods.
        pattern: {spec: {=(hostNetwork): false}}
"""
OBJECTS = """\
apiVersion: v1
kind: Pod
metadata: {name: quiet, namespace: a}
spec: {containers: [{name: c, image: i}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: loud, namespace: b}
spec:
  selector: {matchLabels: {x: y}}
  template:
    metadata: {labels: {x: y}}
    spec: {hostNetwork: true, containers: [{name: c, image: i}]}
---
{apiVersion: v1, kind: ConfigMap, metadata: {name: hostNetwork}}
"""
REGO = """\
package check
import rego.v1
default result := false
result if count(violations) == 0
violations contains item.name if {
  some item in input.items
  item.bad
}
never if input.nothing
"""


class Folder:
    """A workspace of files; commands are written down and succeed."""

    home = "/home/user"

    def __init__(self, **files: str) -> None:
        self.files = {f"{FOLDER}/{name.replace('_', '.')}": text.encode() for name, text in files.items()}
        self.commands: list[str] = []
        self.result = CommandResult("ok\n", "", 0)

    async def run(self, command: str, *, timeout: float | None = None, stdin: bytes = b"") -> CommandResult:
        self.commands.append(command)
        return self.result

    async def run_argv(
        self, argv: list[str], *, timeout: float | None = None, env: Mapping[str, str] | None = None
    ) -> CommandResult:
        return await self.run(" ".join(argv))

    async def read_file(self, path: str, limit: int = 4_000_000) -> bytes | None:
        found = self.files.get(path)
        return None if found is None else found[:limit]

    async def write_file(self, path: str, data: bytes) -> None:
        self.files[path] = data


class Model:
    """Writes one thing after the other."""

    def __init__(self, *said: str) -> None:
        self.said = list(said)
        self.asked: list[tuple[str, str]] = []

    async def ask(self, system: str, text: str, role: str) -> str:
        self.asked.append((system, text))
        return self.said.pop(0)


async def call(
    folder: Folder, name: str, model: Model | None = None, kind: str = "kyverno", **given: Any
) -> ToolResult:
    bench = Bench(folder, FOLDER, kind, writer=model)  # type: ignore[arg-type]
    return await ComplianceToolbox(bench).call(name, given)


@pytest.mark.parametrize("name", ["../x.yaml", "/etc/passwd", "a/../../x.rego", "", ".", "x\0.yaml"])
async def test_there_is_no_way_out_of_the_folder(name: str) -> None:
    folder = Folder()
    found = [
        await call(folder, "LintPolicy", policy_file=name or "."),
        await call(
            folder, "GenerateKyverno", Model(POLICY), sentence="x", policy_file=f"{name}/../../p.yaml"
        ),
        await call(folder, "RunPlaybook", kind="rhel9-ansible-opa", playbook_file=name or "."),
    ]
    assert all(item.error for item in found)
    assert not folder.commands
    assert not folder.files


def test_each_class_has_the_tools_that_fit() -> None:
    def names(kind: str) -> set[str]:
        return set(ComplianceToolbox(Bench(Folder(), FOLDER, kind)).tools)  # type: ignore[arg-type]

    shared = {"LintPolicy", "TryPolicy", "ExplainVerdict"}
    rego = {"GenerateOPARego", "RunOPARego"}
    assert names("kyverno") == names("kyverno-update") == shared | {"RunKubectl", "GenerateKyverno"}
    assert names("kubectl-opa") == shared | rego | {"RunKubectl"}
    assert names("rhel9-ansible-opa") == shared | rego | {"GeneratePlaybook", "RunPlaybook"}
    assert names("kyverno") | names("rhel9-ansible-opa") == set(COMPLIANCE_TOOLS)


async def test_what_would_be_refused_goes_back_to_who_wrote_it() -> None:
    wrong = POLICY.replace("rules:", "rulez:")
    model, folder = Model(f"Here:\n```yaml\n{wrong}```", f"```yaml\n{POLICY}```"), Folder()
    found = await call(
        folder, "GenerateKyverno", model, sentence="no host network", policy_file="policy.yaml"
    )
    assert not found.error
    assert "written in 2 tries" in found.text
    assert folder.files[f"{FOLDER}/policy.yaml"].decode() == POLICY
    assert "rulez" in model.asked[1][1].partition("# What is wrong with it")[2]


async def test_tries_are_bounded_and_the_last_one_is_told() -> None:
    model, folder = Model(*["package other\n"] * 9), Folder()
    found = await call(
        folder, "GenerateOPARego", model, "kubectl-opa", sentence="x", policy_file="policy.rego"
    )
    assert found.error
    assert len(model.asked) == TRIES
    assert "package check is asked for, found other" in found.text


async def test_a_policy_that_is_to_be_changed_is_shown_to_who_writes() -> None:
    model, folder = Model(POLICY), Folder(old_yaml=POLICY)
    given: dict[str, Any] = {
        "sentence": "also pids",
        "policy_file": "new.yaml",
        "current_policy_file": "old.yaml",
    }
    assert not (await call(folder, "GenerateKyverno", model, **given)).error
    assert "own-network" in model.asked[0][1]
    assert (await call(folder, "GenerateKyverno", None, **given)).error


def test_what_stands_between_fences_is_taken() -> None:
    assert unfenced("Here\n```yaml\na: 1\n```\nand\n```\nlonger: text\n```") == "longer: text\n"
    assert unfenced(" a: 1 ") == "a: 1\n"
    assert unfenced("```\n```") == unfenced(" ") == ""


async def test_a_policy_is_tried_on_objects_of_ones_own() -> None:
    folder = Folder(policy_yaml=POLICY)
    found = await call(folder, "TryPolicy", policy_file="policy.yaml", objects=OBJECTS)
    lines = [str(row[0]) for row in found.rows]
    assert lines[0] == "a/Pod/quiet: pass"
    assert "b/Deployment/loud: fail" in lines
    assert any("autogen-host-network at /spec/template/spec/hostNetwork/" in line for line in lines)
    assert lines[-1] == "cluster/ConfigMap/hostNetwork: pass (no rule is about it)"
    wrongs: list[dict[str, Any]] = [{}, {"objects": "- 1"}, {"objects": "a: ["}]
    for wrong in wrongs:
        assert (await call(folder, "TryPolicy", policy_file="policy.yaml", **wrong)).error


async def test_rego_is_run_and_explained() -> None:
    folder = Folder(policy_rego=REGO, data_json='{"items": [{"name": "x", "bad": true}]}')
    given: dict[str, Any] = {"policy_file": "policy.rego", "input_file": "data.json"}
    ran = await call(folder, "RunOPARego", kind="kubectl-opa", **given)
    assert "result is false: not compliant" in ran.text
    assert 'violations: ["x"]' in ran.text
    told = await call(folder, "ExplainVerdict", kind="kubectl-opa", **given)
    assert "never is undefined" in told.text
    tried = await call(
        folder, "TryPolicy", kind="kubectl-opa", policy_file="policy.rego", objects="{items: []}\n---\n{}"
    )
    assert "input 1: result is true: compliant" in tried.text


async def test_wrong_files_are_told() -> None:
    folder = Folder(policy_rego="package check\nresult := input.x +\n", broken_yaml="a: [", no_txt="x")
    lint = await call(folder, "LintPolicy", policy_file="policy.rego")
    assert "policy.rego:3: rego-parse-error" in lint.text
    assert "is no YAML" in (await call(folder, "LintPolicy", policy_file="broken.yaml")).text
    assert (await call(folder, "LintPolicy", policy_file="no.txt")).error
    gone = await call(folder, "LintPolicy", policy_file="gone.yaml")
    assert f"there is no file {FOLDER}/gone.yaml" in gone.text
    assert (await call(folder, "RunKubectl", args="get pods")).error


async def test_a_playbook_runs_in_the_folder_on_its_host() -> None:
    folder = Folder(playbook_yml="- hosts: all\n", collected_data_json="{}")
    ran = await call(
        folder, "RunPlaybook", kind="rhel9-ansible-opa", host="web 1", playbook_file="playbook.yml"
    )
    assert not ran.error
    assert folder.commands == [
        f"cd {FOLDER} && ansible-playbook -i inventory.ansible.ini --limit 'web 1' {FOLDER}/playbook.yml"
    ]
    folder.result = CommandResult("", "fatal: no", 2)
    failed = await call(folder, "RunPlaybook", kind="rhel9-ansible-opa", playbook_file="playbook.yml")
    assert "exit code 2" in failed.text
    wrong = await call(folder, "LintPolicy", kind="rhel9-ansible-opa", policy_file="playbook.yml")
    assert "fatal: no" in wrong.text
