"""The registry of kinds."""

from __future__ import annotations

import pytest

from firedrill.world.kube.kinds import default_kinds, version_order

CRD = {
    "metadata": {"name": "widgets.example.com"},
    "spec": {
        "group": "example.com",
        "scope": "Namespaced",
        "names": {"plural": "widgets", "kind": "Widget", "shortNames": ["wd"], "categories": ["all"]},
        "versions": [
            {"name": "v1alpha1", "served": True, "storage": False},
            {"name": "v1", "served": True, "storage": True, "subresources": {"status": {}, "scale": {}}},
            {"name": "v2", "served": False, "storage": False},
        ],
    },
}


@pytest.mark.parametrize(
    ("text", "resource"),
    [
        ("po", "pods"),
        ("Pod", "pods"),
        ("deploy", "deployments.apps"),
        ("deployments.apps", "deployments.apps"),
        ("deployments.v1.apps", "deployments.apps"),
        ("hpa", "horizontalpodautoscalers.autoscaling"),
        ("ev", "events"),
        ("events.events.k8s.io", "events.events.k8s.io"),
        ("nodes", "nodes"),
        ("pods.metrics.k8s.io", "pods.metrics.k8s.io"),
        ("no", "nodes"),
        ("netpol", "networkpolicies.networking.k8s.io"),
    ],
)
def test_any_name_finds_its_kind(text: str, resource: str) -> None:
    found = default_kinds().find(text)
    assert found is not None
    assert found.resource == resource


def test_unknown_names_find_nothing() -> None:
    kinds = default_kinds()
    assert kinds.find("widgets") is None
    assert kinds.by_gvr("apps", "v2", "deployments") is None
    assert kinds.by_gvk("", "v1", "Deployment") is None


def test_a_kind_knows_how_it_is_written() -> None:
    kind = default_kinds().by_gvr("apps", "v1", "deployments")
    assert kind is not None
    assert (kind.resource, kind.api_version, kind.list_kind) == (
        "deployments.apps",
        "apps/v1",
        "DeploymentList",
    )
    assert list(kind.subresources) == ["scale", "status"]
    assert kind.subresources["scale"].kind == "Scale"
    assert kind.subresources["status"].group == "apps"


def test_versions_share_a_storage_and_events_are_one_store() -> None:
    kinds = default_kinds()
    assert kinds.storage("horizontalpodautoscalers.autoscaling").version == "v2"  # type: ignore[union-attr]
    assert kinds.storage("events.events.k8s.io").api_version == "v1"  # type: ignore[union-attr]
    assert kinds.by_gvr("events.k8s.io", "v1", "events").storage == "events"  # type: ignore[union-attr]
    assert kinds.by_gvr("authorization.k8s.io", "v1", "subjectaccessreviews").storage == ""  # type: ignore[union-attr]


def test_short_names_are_unique_within_what_is_preferred() -> None:
    seen: dict[str, str] = {}
    for kind in default_kinds().all():
        for name in kind.short:
            assert seen.setdefault(name, kind.plural) == kind.plural


def test_custom_resources_come_after_built_in_groups_and_before_aggregated_ones() -> None:
    kinds = default_kinds().with_custom([CRD])
    widgets = [kind for kind in kinds.all() if kind.plural == "widgets"]
    assert [kind.version for kind in widgets] == ["v1", "v1alpha1"]
    assert list(widgets[0].subresources) == ["status", "scale"]
    assert not widgets[1].subresources
    groups = [group for group, _ in kinds.versions()]
    assert groups[-2:] == ["example.com", "metrics.k8s.io"] or groups[-3:-1] == ["example.com"] * 2
    assert kinds.find("wd") == widgets[0]
    assert len(kinds.with_custom([]).all()) == len(default_kinds().all())
    assert kinds.of({"apiVersion": "example.com/v1", "kind": "Widget"}) == widgets[0]


def test_versions_sort_as_api_versions_do() -> None:
    given = ["foo1", "v1alpha1", "v1", "v10", "v1beta2", "v2", "v1beta10", "v3alpha2"]
    assert sorted(given, key=version_order) == [
        "v10",
        "v2",
        "v1",
        "v1beta10",
        "v1beta2",
        "v3alpha2",
        "v1alpha1",
        "foo1",
    ]
