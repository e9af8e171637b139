"""ITBench's scenario specifications, read as they are; the files here are made by hand."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from firedrill import faults
from firedrill.core.errors import InputError
from firedrill.suites import open_suite
from firedrill.suites.living.itbench import (
    case_of_specification,
    parse_specification,
    read_specification,
)
from firedrill.suites.living.packaged import packaged_head, packaged_names
from firedrill.suites.living.tables import rows
from firedrill.suites.living.writing import case_of

HAND_MADE = """
apiVersion: itbench.io/v2
kind: Scenario
metadata: {name: scenario-900}
spec:
  applications:
    opentelemetryDemo: {enabled: true, options: {loadGeneration: {users: 20}}}
  faults:
    - injections:
        - id: nonexistent-kubernetes-workload-container-image
          args:
            kubernetesObject:
              apiVersion: apps/v1
              kind: Deployment
              metadata: {name: quote, namespace: otel-demo}
            container: {name: quote}
      waitFor:
        preInjection:
          - id: scale-kubernetes-workload
            args:
              kubernetesObject: {kind: Deployment, metadata: {name: quote, namespace: otel-demo}}
              replicas: 2
        postInjection:
          - id: delete-workload-pods
            args: {kubernetesObject: {kind: Deployment, metadata: {name: quote, namespace: otel-demo}}}
          - {id: pause-execution, args: {seconds: 30}}
  tools: {sre: {enabled: true}}
"""


def changed(change: Callable[[dict[str, Any]], None]) -> str:
    data = yaml.safe_load(HAND_MADE)
    change(data)
    return yaml.safe_dump(data)


def test_a_specification_becomes_a_case() -> None:
    case = case_of_specification(read_specification(HAND_MADE, "scenario.yaml"), seed=5)
    assert (case.package, case.users, case.seed) == ("astronomy-shop", 20, 5)
    fault = case.faults[0]
    assert fault.id == "incorrect-image-reference"
    assert (fault.args["namespace"], fault.args["name"]) == ("otel-demo", "quote")
    assert [item.id for item in fault.after] == ["delete-workload-pods", "pause-execution"]
    assert case.prepare[0].args == {
        "kind": "Deployment",
        "namespace": "otel-demo",
        "name": "quote",
        "replicas": 2,
    }


def test_autoscaling_and_other_applications() -> None:
    def change(data: dict[str, Any]) -> None:
        data["spec"]["applications"] = {
            "bookInfo": {"options": {"autoscaling": {"kubernetes": {"hpa": True}}}}
        }

    case = case_of_specification(read_specification(changed(change), "x"))
    assert case.package == "book-info"
    assert (case.prepare[0].id, case.prepare[0].args["cpu"]) == ("autoscale-workloads", 60)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda d: d.update(kind="GroundTruth"), "kind is not Scenario"),
        (lambda d: d.update(apiVersion="itbench.io/v3"), "not itbench.io/v2"),
        (lambda d: d.update(spec=[]), "must be a mapping"),
        (lambda d: d["spec"].update(applications={}), "names 0 applications"),
        (lambda d: d["spec"].update(faults={}), "nothing breaks"),
        (lambda d: d["spec"].update(faults={"a": 1}), "must be a list"),
        (lambda d: d["spec"].update(faults=[{}] * 21), "more than 20"),
        (lambda d: d["spec"].update(faults=["x"]), "must be a mapping"),
        (lambda d: d["spec"].update(tools={"finops": {}}), "about cost"),
        (lambda d: d["spec"]["applications"].update(shop={"enabled": True}), "names 2 applications"),
        (lambda d: d["spec"].update(applications={"shop": {}}), "no application 'shop'"),
        (lambda d: d["spec"]["faults"][0]["injections"][0].update(id="melt"), "no fault 'melt'"),
        (lambda d: d["spec"]["faults"][0]["injections"][0].update(id=7), "has no id"),
        (lambda d: d["spec"]["faults"][0]["injections"][0].update(args={}), "needs"),
        (
            lambda d: d["spec"]["faults"][0]["waitFor"]["postInjection"][1]["args"].update(seconds=1e9),
            "0 to 3600",
        ),
        (
            lambda d: d["spec"]["faults"][0]["waitFor"]["postInjection"][0].update(id="rm -rf"),
            "there is no waiter",
        ),
    ],
)
def test_what_cannot_run_says_why(change: Callable[[dict[str, Any]], None], words: str) -> None:
    with pytest.raises(InputError, match=words):
        case_of_specification(read_specification(changed(change), "scenario.yaml"))


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=12,
)


@settings(max_examples=60, deadline=None)
@given(spec=_JSON, faults_=_JSON, waits=_JSON, options=_JSON)
def test_whatever_it_holds_it_is_read_or_refused(spec: Any, faults_: Any, waits: Any, options: Any) -> None:
    injection = {"id": "deleted-kubernetes-service", "args": faults_}
    documents = [
        {"apiVersion": "itbench.io/v2", "kind": "Scenario", "spec": spec},
        {
            "apiVersion": "itbench.io/v2",
            "kind": "Scenario",
            "spec": {
                "applications": {"bookInfo": {"options": options}},
                "faults": [{"injections": [injection], "waitFor": waits}],
            },
        },
    ]
    for document in documents:
        try:
            case = case_of_specification(parse_specification(document, "fuzzed"))
        except InputError:
            continue
        assert case.faults or document["spec"].get("faults") in (None, [])


def test_our_tables_are_specifications_of_known_faults() -> None:
    assert len(rows("itbench-sre")) == 67
    assert len(rows("sre-paper")) == 21
    known = set(faults.itbench_namings())
    for table in ("itbench-sre", "sre-paper"):
        for row in rows(table):
            specification = parse_specification(row.specification, row.id)
            for item in specification.items:
                assert {injected.id for injected in item.injections} <= known, row.id


@pytest.mark.shared
def test_all_published_specifications_are_read_and_our_table_says_the_same(
    shared_data: Callable[[str], Path],
) -> None:
    folder = shared_data("itbench-files")
    mine = {row.id: parse_specification(row.specification, row.id) for row in rows("itbench-sre")}
    found = sorted(folder.rglob("scenario.yaml"))
    assert len(found) == 67
    for path in found:
        theirs = read_specification(path.read_text(), str(path))
        ours = mine[path.parent.name.removeprefix("scenario_")]
        assert theirs.application == ours.application, path
        assert theirs.tools == ours.tools, path
        pairs = zip(_told(theirs), _told(ours), strict=True)
        assert all(one == other for one, other in pairs), path


def _told(specification: Any) -> list[Any]:
    out: list[Any] = []
    for item in specification.items:
        out += [(injected.id, injected.args.get("kubernetesObject")) for injected in item.injections]
        out += [(waiter.id, waiter.args) for waiter in (*item.before, *item.after)]
    return out


@pytest.mark.parametrize("name", packaged_names())
def test_packaged_suites_open_and_can_be_simulated(name: str) -> None:
    suite = open_suite(name)
    assert suite.version == packaged_head(name)["version"]
    assert open_suite(f"{name}@{suite.version}").digest == suite.digest
    with pytest.raises(InputError, match="comes in version"):
        open_suite(f"{name}@0")
    library = faults.library()
    for item in suite.scenarios:
        case = case_of(item.scenario)
        assert all(fault.id in library for fault in case.faults)
        assert item.scenario.truth["cures"]
