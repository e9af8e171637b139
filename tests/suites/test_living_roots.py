"""Roots and aliases of truths follow from what heals."""

from __future__ import annotations

from typing import Any

import pytest

from firedrill.core.truth import parse_truth
from firedrill.suites.living.roots import settle_roots

QUOTA, SPACE, WEB = "shop/ResourceQuota/q", "cluster/Namespace/shop", "shop/Deployment/web"
PULL, DAEMON = "shop/Secret/login", "shop/DaemonSet/agent"


def group(entity: str, *, root: bool = False) -> dict[str, Any]:
    namespace, kind, name = entity.split("/")
    made: dict[str, Any] = {"id": f"{name}-{kind.lower()}-1", "kind": kind, "filter": [f"^{name}$"]}
    if kind != "Namespace":
        made["namespace"] = namespace
    return {**made, "root_cause": True} if root else made


def truth(*roots: str, others: tuple[str, ...] = (), aliases: Any = ()) -> dict[str, Any]:
    groups = [group(item, root=True) for item in roots] + [group(item) for item in others]
    faults = [{"entity": {"group_id": item["id"]}} for item in groups if item.get("root_cause")]
    spec = {"alerts": [], "aliases": list(aliases), "fault": faults, "groups": groups, "propagations": []}
    return {"apiVersion": "itbench.io/v1", "kind": "GroundTruth", "metadata": {"name": "x"}, "spec": spec}


def told(document: dict[str, Any]) -> tuple[set[str], set[tuple[str, ...]]]:
    read, findings = parse_truth(document, "x")
    assert {item.severity for item in findings} <= {"info"}
    return {item.id for item in read.roots}, {tuple(sorted(alias)) for alias in read.aliases}


def test_what_cures_alone_is_the_root_and_what_does_as_well_its_alias() -> None:
    made = settle_roots(truth(WEB, DAEMON), [[WEB], [DAEMON]], [WEB])
    assert told(made) == ({"web-deployment-1"}, {("agent-daemonset-1", "web-deployment-1")})


def test_joint_causes_are_all_roots() -> None:
    made = settle_roots(truth(WEB, others=(QUOTA,)), [[WEB, QUOTA]], [WEB, QUOTA])
    assert told(made) == ({"web-deployment-1", "q-resourcequota-1"}, set())


def test_of_two_faults_only_the_one_with_a_choice_has_an_alias() -> None:
    made = settle_roots(truth(PULL, QUOTA), [[PULL, QUOTA], [WEB, QUOTA]], [PULL, QUOTA])
    assert told(made) == (
        {"login-secret-1", "q-resourcequota-1"},
        {("login-secret-1", "web-deployment-1")},
    )


def test_what_heals_nothing_is_no_root_and_no_other_name() -> None:
    pair = ["q-resourcequota-1", "web-deployment-1"]
    made = settle_roots(truth(QUOTA, WEB, aliases=[pair]), [[QUOTA]], [QUOTA])
    assert told(made) == ({"q-resourcequota-1"}, set())
    assert [item["entity"]["group_id"] for item in made["spec"]["fault"]] == ["q-resourcequota-1"]


def test_the_namespace_of_a_quota_keeps_its_name_for_it() -> None:
    pair = ["q-resourcequota-1", "shop-namespace-1"]
    made = settle_roots(truth(QUOTA, others=(SPACE,), aliases=[pair]), [[QUOTA]], [QUOTA])
    assert told(made) == ({"q-resourcequota-1"}, {tuple(pair)})


@pytest.mark.parametrize("cures", [[], [[WEB]]])
def test_the_truth_that_was_given_stays_as_it_was(cures: Any) -> None:
    given = truth(WEB, QUOTA)
    before = repr(given)
    settle_roots(given, cures, [WEB])
    assert repr(given) == before
