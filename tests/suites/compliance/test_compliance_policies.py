"""Kyverno scenarios: the right policy is right on every variant, and every trap catches somebody."""

from __future__ import annotations

import pytest

from firedrill.core.documents import read_documents
from firedrill.suites.compliance import artefacts, known_ids, load, policies_of
from firedrill.suites.compliance.checking import Proof, of_policies, traps
from firedrill.suites.compliance.cluster import Cluster
from firedrill.suites.compliance.judging import misformed

POLICIES = [name for name in known_ids() if name.startswith(("kg-", "ku-"))]


@pytest.mark.parametrize("name", POLICIES)
def test_the_reference_is_right_and_each_trap_bites(name: str) -> None:
    oracle, found = of_policies(load(name))
    assert (oracle, found) == (Proof("oracle"), Proof("traps"))


def test_a_trap_that_catches_nobody_is_told() -> None:
    spec = load("kg-01")
    assert traps(spec, []).flaws == ("nothing is caught by absent, false, many, none, ns, pod, tmpl, words",)


def test_a_cluster_of_objects_is_as_a_server_would_have_stored_it() -> None:
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "a"},
        "spec": {"containers": [{"name": "a", "image": "b"}]},
    }
    cluster = Cluster([pod])
    found = cluster.get("v1", "Pod", "default", "a")
    assert found is not None
    assert found["spec"]["restartPolicy"] == "Always"
    assert "namespace" not in pod["metadata"]
    assert cluster.labels("default") == {"kubernetes.io/metadata.name": "default"}
    assert [item["metadata"]["name"] for item in cluster.raw("/api/v1/namespaces/default/pods")["items"]] == [
        "a"
    ]


def test_an_update_is_asked_to_be_written_otherwise() -> None:
    spec = load("ku-12")
    right = [item for item in read_documents(artefacts(spec)["policy.yaml"], "it") if isinstance(item, dict)]
    assert misformed(spec, right) == ""
    assert "still has spec.validationFailureActionOverrides" in misformed(spec, policies_of(spec))
    for change, words in (
        ({"validationFailureAction": "Enforce"}, "still has spec.validationFailureAction"),
        ({"validationFailureAction": "Audit"}, ""),
        ({"rules": [{"name": "a", "validate": {"message": "b"}}]}, "rule a of team-label has no"),
    ):
        last = {**right[2], "spec": {**right[2]["spec"], **change}}
        assert (words in misformed(spec, [*right[:2], last])) and bool(words) is bool(misformed(spec, [last]))
    assert misformed(load("ku-11"), policies_of(load("ku-11"))) == ""
