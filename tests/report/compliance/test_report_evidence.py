"""OSCAL assessment results and PolicyReports of a run, against expectations made by hand."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from firedrill.cli import main
from firedrill.core.compliance import ComplianceFacts, Control, Judged, ObjectVerdict, Stage
from firedrill.report.compliance.oscal import control_id

MakeRun = Callable[..., Path]
TOKEN = re.compile(r"(\w)[\w.-]*")
UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-5[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
HOSTILE = "\u202e\x1b[31m</script>\n---\nkind: Secret"


def judged(*, got: str, named: tuple[str, ...] | None = None, objects: tuple[Any, ...] = ()) -> Judged:
    things = tuple(ObjectVerdict(**item) for item in objects)
    return Judged(name="V0", compliant=False, got=got, named=named, objects=things)


def facts(scenario_class: Any, whole: Judged | None, **more: Any) -> ComplianceFacts:
    return ComplianceFacts(
        scenario_class=scenario_class,
        control=Control(framework="CIS Kubernetes", version="1.10", id="5.2.5"),
        submitted=more.pop("submitted", ("fetcher.sh", "policy.rego")),
        judged=() if whole is None else (whole,),
        seconds=65.0,
        **more,
    )


@pytest.fixture
def run(make_run: MakeRun) -> Path:
    """One agent, two scenarios: a Kyverno policy with a verdict on an object, and a script with none."""
    path = make_run(repeats=1, scores={"good-00000001": 1.0}, agent_name=lambda folder: folder)
    thing = {"object": "shop/Deployment/till", "expected": "fail", "got": "fail"}
    thing["detail"] = "no-host-network/autogen: must not share the network"
    said = [
        facts("kyverno", judged(got="fail", objects=(thing,)), submitted=("cluster/ClusterPolicy/x",)),
        facts("kubectl-opa", None, collector=Stage(reason="it asks for nothing")),
    ]
    for folder, found in zip(sorted(path.glob("episodes/*/*/*")), said, strict=True):
        (folder / "interventions.json").write_text(found.model_dump_json())
    return path


def written(run: Path, form: str, capsys: pytest.CaptureFixture[str]) -> str:
    assert main(["report", str(run), "--format", form]) == 0
    return capsys.readouterr().out


def replace_first(run: Path, found: ComplianceFacts) -> None:
    folder = min(run.glob("episodes/*/*/*"))
    (folder / "interventions.json").write_text(found.model_dump_json())


def test_oscal_findings_rest_on_observations_with_digests(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = written(run, "oscal", capsys)
    assert written(run, "oscal", capsys) == text
    document = json.loads(text)["assessment-results"]
    assert document["metadata"]["oscal-version"] == "1.1.2"
    first, second = document["results"]
    assert first["start"] == "2026-01-05T09:00:00Z"
    assert first["end"] == "2026-01-05T09:01:05Z"
    (selection,) = first["reviewed-controls"]["control-selections"]
    assert selection["include-controls"] == [{"control-id": "cis-kubernetes-5.2.5"}]
    (finding,) = first["findings"]
    assert finding["title"].startswith("CIS Kubernetes 1.10 5.2.5: ")
    assert finding["target"] == {
        "type": "objective-id",
        "target-id": "cis-kubernetes-5.2.5",
        "status": {"state": "not-satisfied", "reason": "fail"},
    }
    (observation,) = first["observations"]
    assert finding["related-observations"] == [{"observation-uuid": observation["uuid"]}]
    assert observation["methods"] == ["TEST"]
    assert observation["collected"] == "2026-01-05T09:01:05Z"
    assert observation["description"] == (
        "no-host-network, rule autogen says fail of shop/Deployment/till: must not share the network"
    )
    (thing,) = first["local-definitions"]["inventory-items"]
    assert observation["subjects"][0]["subject-uuid"] == thing["uuid"]
    assert thing["description"] == "shop/Deployment/till"
    resources = {item["uuid"]: item for item in document["back-matter"]["resources"]}
    evidence = resources[observation["relevant-evidence"][0]["href"].removeprefix("#")]
    for link in evidence["rlinks"]:
        data = (run / link["href"]).read_bytes()
        assert link["hashes"] == [{"algorithm": "SHA-256", "value": hashlib.sha256(data).hexdigest()}]
    assert document["import-ap"]["href"].removeprefix("#") in resources
    # no verdict is no finding, neither way
    assert "findings" not in second
    assert second["observations"][0]["description"] == "There is no verdict: it asks for nothing"


def test_uuids_are_all_different_and_come_from_the_seed(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = list(_uuids(json.loads(written(run, "oscal", capsys))))
    assert len(before) == len(set(before)) > 8
    assert all(UUID.fullmatch(one) for one in before)
    manifest = json.loads((run / "run.json").read_text())
    manifest["plan"]["seed"] += 1
    (run / "run.json").write_text(json.dumps(manifest))
    after = set(_uuids(json.loads(written(run, "oscal", capsys))))
    assert not after & set(before)


def _uuids(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, item in value.items():
            if key == "uuid":
                yield item
            else:
                yield from _uuids(item)
    elif isinstance(value, list):
        for item in value:
            yield from _uuids(item)


def test_policy_reports_are_objects_about_what_was_judged(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = yaml.safe_load_all(written(run, "polr", capsys))
    assert UUID.fullmatch(first["metadata"].pop("name"))
    annotations = first["metadata"].pop("annotations")
    assert annotations["firedrill.dev/agent"] == "good-00000001"
    assert first == {
        "apiVersion": "wgpolicyk8s.io/v1alpha2",
        "kind": "PolicyReport",
        "metadata": {"labels": {"app.kubernetes.io/managed-by": "firedrill"}, "namespace": "shop"},
        "scope": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "till", "namespace": "shop"},
        "results": [
            {
                "policy": "no-host-network",
                "result": "fail",
                "scored": True,
                "source": "kyverno",
                "rule": "autogen",
                "message": "must not share the network",
                "properties": {"control": "cis-kubernetes-5.2.5"},
                "timestamp": {"seconds": 1_767_603_665, "nanos": 0},
            }
        ],
        "summary": {"error": 0, "fail": 1, "pass": 0, "skip": 0, "warn": 0},
    }
    assert second["kind"] == "ClusterPolicyReport"
    assert "scope" not in second
    assert second["summary"]["error"] == 1


def test_objects_named_by_rego_have_reports_and_hostile_names_are_only_text(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    named = ("cluster/ClusterRole/all", HOSTILE, "/etc/ssh/sshd_config", "../Secret/a b")
    replace_first(run, facts("kubectl-opa", judged(got="fail", named=named)))
    text = written(run, "polr", capsys)
    assert "\x1b" not in text
    assert "\u202e" not in text
    reports = list(yaml.safe_load_all(text))
    assert len(reports) == len(named) + 1
    assert {report["kind"] for report in reports} == {"ClusterPolicyReport"}
    scopes = [report["scope"] for report in reports if "scope" in report]
    assert scopes == [{"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "name": "all"}]
    assert reports[2]["results"][0]["properties"]["thing"] == "/etc/ssh/sshd_config"
    result = json.loads(written(run, "oscal", capsys))["assessment-results"]["results"][0]
    assert len(result["observations"]) == len(named)
    assert result["findings"][0]["target"]["status"]["state"] == "not-satisfied"


@pytest.mark.parametrize(("got", "state"), [("pass", "satisfied"), ("undefined", None), ("timeout", None)])
def test_only_a_verdict_makes_a_finding(
    run: Path, capsys: pytest.CaptureFixture[str], got: str, state: str | None
) -> None:
    replace_first(run, facts("rhel9-ansible-opa", judged(got=got)))
    result = json.loads(written(run, "oscal", capsys))["assessment-results"]["results"][0]
    states = [item["target"]["status"]["state"] for item in result.get("findings", ())]
    assert states == ([state] if state else [])
    report = next(iter(yaml.safe_load_all(written(run, "polr", capsys))))
    assert report["results"][0]["result"] == ("pass" if state else "error")


@pytest.mark.parametrize("form", ["oscal", "polr"])
def test_runs_of_incidents_have_no_assessment(
    make_run: MakeRun, capsys: pytest.CaptureFixture[str], form: str
) -> None:
    assert main(["report", str(make_run("incidents")), "--format", form]) == 2
    error = capsys.readouterr().err
    assert "holds no assessment of compliance" in error
    assert "Traceback" not in error


@settings(max_examples=30, deadline=None)
@given(st.text(max_size=40), st.text(max_size=20))
def test_control_ids_are_tokens(framework: str, number: str) -> None:
    assert TOKEN.fullmatch(control_id(Control(framework=framework, id=number)))
