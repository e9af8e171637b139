"""Scripts and playbooks of assessors: what they bring back, and what their policy makes of it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from firedrill.runner.compliance.collecting import (
    Collected,
    engine,
    evidence,
    judge_collected,
    lasting,
    read_collected,
)
from firedrill.runner.compliance.hosts import collect as play_all
from firedrill.runner.compliance.scripts import collect as run_all
from firedrill.suites.compliance import artefacts, load
from firedrill.suites.compliance.loading import twin, visible

POLICY = """package check

default result := false

result if count(input.bad) == 0

violations contains name if some name in input.bad
"""


def test_a_policy_is_refused_with_its_place() -> None:
    assert engine(None)[0].reason == "no policy.rego was handed in"
    assert engine(POLICY)[0].ok
    assert engine(POLICY)[1] == "v1"
    assert "line" in engine("package check\n\nresult := (")[0].reason
    assert "never reads input" in engine("package check\n\nresult := true\n")[0].reason
    assert "package check is asked for" in engine("package other\n\nresult := input.x\n")[0].reason


def test_verdicts_and_names_come_from_the_policy() -> None:
    spec = load("ko-10")
    seen, healed = visible(spec), twin(spec)
    found = [
        Collected(seen, {"bad": ["a/Pod/b"]}),
        Collected(healed, {"bad": []}),
        Collected(seen, None, "no data"),
    ]
    bad, good, nothing = judge_collected(POLICY, found)
    assert (bad.got, bad.named, bad.right) == ("fail", ("a/Pod/b",), True)
    assert (good.got, good.named, good.right) == ("pass", (), True)
    assert (nothing.got, nothing.reason, nothing.right) == ("none", "no data", False)


@pytest.mark.parametrize(
    ("rule", "got"), [("result := input.bad", "error"), ("result if input.none", "undefined")]
)
def test_what_is_no_boolean_is_no_verdict(rule: str, got: str) -> None:
    (judged,) = judge_collected(f"package check\n\n{rule}\n", [Collected(twin(load("ko-10")), {"bad": []})])
    assert (judged.got, judged.right) == (got, False)


@pytest.mark.parametrize(
    ("raw", "reason"),
    [(None, "leaves no"), (b"{", "is no JSON"), (b"{}", "is empty"), (b"[" * 100_000, "is no JSON")],
)
def test_what_was_not_collected_is_told(raw: bytes | None, reason: str) -> None:
    assert reason in read_collected(raw)[1]


def test_evidence_that_is_always_the_same_is_none() -> None:
    spec = load("ko-10")

    def both(broken: Any, healed: Any) -> bool:
        return evidence([Collected(visible(spec), broken), Collected(twin(spec), healed)]).ok

    assert both({"a": 1}, {"a": 2})
    assert both({"a": 1}, None)
    assert not both({"a": 1, "uid": "x"}, {"a": 1, "uid": "y"})
    assert not both({"at": "2026-01-01T00:00:00Z"}, {"at": "2026-01-02T10:00:00Z"})
    assert not both(None, {"a": 1})
    assert lasting({"items": [{"metadata": {"name": "a", "resourceVersion": "7"}}]}) == {
        "items": [{"metadata": {"name": "a"}}]
    }


@pytest.mark.service
def test_scripts_see_one_cluster_and_may_read_only() -> None:
    spec = load("ko-10")
    script = artefacts(spec)["fetcher.sh"] + (
        "kubectl delete namespace default 2> refusal.txt && exit 7\n"
        "env | grep -ciE 'variant|truth|firedrill' && exit 8\n"
        "ls / > listing.txt\n"
    )
    (brought,) = asyncio.run(run_all([visible(spec)], script, "observer", 0))
    assert brought.reason == ""
    kinds = {item["kind"] for item in brought.data["items"]}
    assert {"Deployment", "StatefulSet", "Pod"} <= kinds
    assert any(line.resource == "deployments.apps" and line.verb == "list" for line in brought.requests)
    assert any(line.writes and line.refused for line in brought.requests)


@pytest.mark.service
def test_a_script_that_fails_says_why() -> None:
    (brought,) = asyncio.run(run_all([visible(load("ko-10"))], "echo no luck >&2; exit 3\n", "observer", 0))
    assert (brought.data, brought.reason) == (None, "the script ended with 3: no luck")


@pytest.mark.service
def test_a_playbook_that_changes_the_host_is_found_out() -> None:
    spec = load("rh-11")
    playbook = "- hosts: all\n  gather_facts: false\n  tasks:\n    - ansible.builtin.command: chmod 600 /etc/crontab\n"
    found, changed = play_all([visible(spec)], "playbook.yml", {"playbook.yml": playbook.encode()}, 0)
    assert changed == ["/etc/crontab"]
    assert "leaves no collected_data.json" in found[0].reason
