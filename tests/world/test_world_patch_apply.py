"""Server-side apply and the record of who wrote what."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firedrill.world.kube.kinds import default_kinds
from firedrill.world.kube.objects import freeze
from firedrill.world.kube.patch import PatchError, server_side_apply, strategic_merge, track_update
from firedrill.world.kube.patch.fields import common, fields_of, paths, united, without
from firedrill.world.kube.patch.managers import _with_self
from firedrill.world.kube.schema import schema_for

T0, T1, T2 = (f"2026-01-05T09:0{n}:00Z" for n in range(3))
KINDS = default_kinds()


def schema_of(group: str, kind: str) -> Any:
    found = KINDS.by_gvk(group, "v1", kind)
    assert found is not None
    return schema_for(found)


DEPLOYMENT = schema_of("apps", "Deployment")
SERVICE = schema_of("", "Service")
CONFIG = schema_of("", "ConfigMap")


def deployment(replicas: int | None = None, image: str = "nginx:1", **more: Any) -> dict[str, Any]:
    spec = {
        "selector": {"matchLabels": {"app": "web"}},
        "template": {
            "metadata": {"labels": {"app": "web"}},
            "spec": {"containers": [{"name": "web", "image": image, "ports": [{"containerPort": 80}]}]},
        },
        **more,
    }
    if replicas is not None:
        spec["replicas"] = replicas
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web", "namespace": "n"},
        "spec": spec,
    }


def apply(
    live: Any, said: Any, manager: str = "me", *, force: bool = False, at: str = T1, schema: Any = DEPLOYMENT
) -> Any:
    return server_side_apply(
        None if live is None else freeze(live), said, manager, schema, force, at, "apps/v1"
    )


def owned(obj: dict[str, Any], manager: str, operation: str = "Apply") -> set[str]:
    for item in obj["metadata"].get("managedFields", ()):
        if (item["manager"], item["operation"]) == (manager, operation):
            return set(paths(item["fieldsV1"]))
    return set()


def test_a_first_apply_owns_exactly_what_it_says() -> None:
    made = apply(None, deployment(3))
    (item,) = made["metadata"]["managedFields"]
    assert item == {
        "manager": "me",
        "operation": "Apply",
        "apiVersion": "apps/v1",
        "time": T1,
        "fieldsType": "FieldsV1",
        "fieldsV1": {
            "f:spec": {
                "f:replicas": {},
                "f:selector": {},
                "f:template": {
                    "f:metadata": {"f:labels": {"f:app": {}}},
                    "f:spec": {
                        "f:containers": {
                            'k:{"name":"web"}': {
                                ".": {},
                                "f:image": {},
                                "f:name": {},
                                "f:ports": {
                                    'k:{"containerPort":80,"protocol":"TCP"}': {
                                        ".": {},
                                        "f:containerPort": {},
                                    }
                                },
                            }
                        }
                    },
                },
            }
        },
    }


def test_applying_the_same_again_changes_nothing() -> None:
    live = freeze(apply(None, deployment(3)))
    assert server_side_apply(live, deployment(3), "me", DEPLOYMENT, False, T2, "apps/v1") is live


def test_a_conflict_in_the_real_words() -> None:
    live = apply(None, deployment(3))
    scaled = track_update(
        freeze(live),
        {**live, "spec": {**live["spec"], "replicas": 5}},
        "kubectl-set",
        T1,
        "apps/v1",
        "",
        DEPLOYMENT,
    )
    assert owned(scaled, "kubectl-set", "Update") == {".spec.replicas"}
    assert ".spec.replicas" not in owned(scaled, "me")
    with pytest.raises(PatchError) as refused:
        apply(scaled, deployment(3), at=T2)
    assert (refused.value.code, refused.value.reason) == (409, "Conflict")
    assert (
        refused.value.message
        == 'Apply failed with 1 conflict: conflict with "kubectl-set" using apps/v1: .spec.replicas'
    )
    assert refused.value.details == {
        "causes": [
            {
                "reason": "FieldManagerConflict",
                "message": 'conflict with "kubectl-set" using apps/v1',
                "field": ".spec.replicas",
            }
        ]
    }
    forced = apply(scaled, deployment(3), force=True, at=T2)
    assert forced["spec"]["replicas"] == 3
    assert owned(forced, "kubectl-set", "Update") == set()
    assert ".spec.replicas" in owned(forced, "me")


def test_several_conflicts_are_listed_by_manager() -> None:
    live = apply(apply(None, deployment(3), "a"), deployment(3), "b")
    with pytest.raises(PatchError) as refused:
        apply(live, deployment(4, "nginx:2"), "c")
    image = '.spec.template.spec.containers[name="web"].image'
    assert refused.value.message == (
        f'Apply failed with 4 conflicts: conflicts with "a":\n- .spec.replicas\n- {image}\n'
        f'conflicts with "b":\n- .spec.replicas\n- {image}'
    )


def test_the_same_value_is_shared_and_no_conflict() -> None:
    shared = apply(apply(None, deployment(3), "a"), deployment(3), "b")
    assert owned(shared, "a") == owned(shared, "b")
    left = apply(shared, deployment(), "a")
    assert left["spec"]["replicas"] == 3, "another still says so"
    assert "replicas" not in apply(left, deployment(), "b")["spec"]


def test_what_is_said_no_more_goes_with_its_list_element() -> None:
    both = deployment()
    both["spec"]["template"]["spec"]["containers"].append({"name": "side", "image": "s"})
    live = apply(None, both)
    live["spec"]["template"]["spec"]["restartPolicy"] = "Always"
    after = apply(live, deployment())
    assert [c["name"] for c in after["spec"]["template"]["spec"]["containers"]] == ["web"]
    assert after["spec"]["template"]["spec"]["restartPolicy"] == "Always"


def test_elements_of_others_keep_their_place() -> None:
    live = deployment()
    live["spec"]["template"]["spec"]["containers"] = [{"name": n, "image": n} for n in ("a", "web", "z")]
    live = track_update(None, live, "creator", T0, "apps/v1", "", DEPLOYMENT)
    after = apply(live, deployment(), force=True)
    assert [c["name"] for c in after["spec"]["template"]["spec"]["containers"]] == ["a", "web", "z"]
    assert after["spec"]["template"]["spec"]["containers"][1]["image"] == "nginx:1"


def test_atomic_parts_have_one_owner() -> None:
    live = apply(None, deployment(), "a")
    other = deployment()
    other["spec"]["selector"] = {"matchLabels": {"app": "other"}}
    with pytest.raises(PatchError, match=r"1 conflict: conflict with \"a\": .spec.selector"):
        apply(live, other, "b")


def test_sets_are_owned_by_value() -> None:
    one = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c", "finalizers": ["x/a"]}}
    two = {**one, "metadata": {"name": "c", "finalizers": ["x/b"]}}
    live = apply(apply(None, one, "a", schema=CONFIG), two, "b", schema=CONFIG)
    assert live["metadata"]["finalizers"] == ["x/a", "x/b"]
    assert owned(live, "b") == {'.metadata.finalizers[="x/b"]'}
    bare = {**one, "metadata": {"name": "c"}}
    assert apply(live, bare, "a", schema=CONFIG)["metadata"]["finalizers"] == ["x/b"]


def test_what_nobody_is_on_record_for_belongs_to_before_first_apply() -> None:
    with pytest.raises(PatchError, match="before-first-apply"):
        apply(deployment(2), deployment(3))
    assert owned(apply(deployment(2), deployment(3), force=True), "before-first-apply", "Update")


def test_kubectl_takes_over_what_its_client_side_apply_had_said() -> None:
    import json

    live = deployment(2)
    live["metadata"]["annotations"] = {
        "kubectl.kubernetes.io/last-applied-configuration": json.dumps(deployment(2))
    }
    live = track_update(None, live, "kubectl-client-side-apply", T0, "apps/v1", "", DEPLOYMENT)
    assert apply(live, deployment(4), "kubectl")["spec"]["replicas"] == 4
    with pytest.raises(PatchError):
        apply(live, deployment(4), "other")


@pytest.mark.parametrize(
    ("change", "code", "words"),
    [
        ({"metadata": {"name": "web", "managedFields": [{"manager": "x"}]}}, 400, "metadata.managedFields must be nil"),
        ({"spec": {"nosuch": 1}}, 500, "failed to create typed patch object (n/web; apps/v1, Kind=Deployment): .spec.nosuch: field not declared in schema"),
        (
            {"spec": {"template": {"spec": {"containers": [{"name": "a"}, {"name": "a"}]}}}}, 500,
            'failed to create typed patch object (n/web; apps/v1, Kind=Deployment): .spec.template.spec.containers: duplicate entries for key [name="a"]',
        ),
        (
            {"spec": {"template": {"spec": {"containers": [{"image": "a"}]}}}}, 500,
            "failed to create typed patch object (n/web; apps/v1, Kind=Deployment): .spec.template.spec.containers: element 0: associative list with keys has an element that omits key field \"name\" (and doesn't have default value)",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_applied(change: dict[str, Any], code: int, words: str) -> None:
    with pytest.raises(PatchError) as refused:
        apply(None, {**deployment(), **change})
    assert (refused.value.code, refused.value.message) == (code, words)


def test_status_is_applied_on_its_own() -> None:
    live = apply(None, {**deployment(), "status": {"replicas": 1}})
    assert "status" not in live
    said = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web"},
        "status": {"replicas": 1},
    }
    after = server_side_apply(freeze(live), said, "ctl", DEPLOYMENT, False, T2, "apps/v1", "status")
    assert after["status"] == {"replicas": 1}
    assert after["spec"] == live["spec"]
    assert [item.get("subresource") for item in after["metadata"]["managedFields"]] == [None, "status"]


# --- ordinary writes


def test_a_creation_is_on_record_as_a_server_writes_it() -> None:
    made = track_update(
        None,
        deployment(1, strategy={"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}}),
        "kubectl-create",
        T0,
        "apps/v1",
        "",
        DEPLOYMENT,
    )
    (item,) = made["metadata"]["managedFields"]
    assert item["operation"] == "Update"
    spec = item["fieldsV1"]["f:spec"]
    assert "." not in spec
    assert spec["f:strategy"] == {"f:rollingUpdate": {".": {}, "f:maxSurge": {}}, "f:type": {}}
    assert spec["f:template"]["f:metadata"] == {"f:labels": {".": {}, "f:app": {}}}
    (container,) = spec["f:template"]["f:spec"]["f:containers"].values()
    assert container["f:ports"] == {
        ".": {},
        'k:{"containerPort":80,"protocol":"TCP"}': {".": {}, "f:containerPort": {}},
    }


def test_a_write_that_changes_nothing_keeps_the_record() -> None:
    live = freeze(track_update(None, deployment(1), "a", T0, "apps/v1", "", DEPLOYMENT))
    new = {**live, "metadata": {**live["metadata"], "resourceVersion": "9"}}
    assert track_update(live, new, "b", T1, "apps/v1", "", DEPLOYMENT) is new
    bare = {**live, "metadata": {"name": "web", "namespace": "n"}}
    assert (
        track_update(live, bare, "b", T1, "apps/v1", "", DEPLOYMENT)["metadata"]["managedFields"]
        == live["metadata"]["managedFields"]
    )


def test_the_record_can_be_reset_or_replaced() -> None:
    live = freeze(track_update(None, deployment(1), "a", T0, "apps/v1", "", DEPLOYMENT))
    reset = {**live, "metadata": {**live["metadata"], "managedFields": [{}]}}
    assert "managedFields" not in track_update(live, reset, "b", T1, "apps/v1", "", DEPLOYMENT)["metadata"]
    renamed = [{**live["metadata"]["managedFields"][0], "manager": "c", "operation": "Apply"}]
    moved = {**live, "metadata": {**live["metadata"], "managedFields": renamed}}
    assert (
        track_update(live, moved, "b", T1, "apps/v1", "", DEPLOYMENT)["metadata"]["managedFields"] == renamed
    )


def test_removing_takes_from_everybody() -> None:
    live = freeze(track_update(None, deployment(1), "a", T0, "apps/v1", "", DEPLOYMENT))
    spec = {key: value for key, value in live["spec"].items() if key != "replicas"}
    after = track_update(live, {**live, "spec": spec}, "b", T1, "apps/v1", "", DEPLOYMENT)
    assert ".spec.replicas" not in owned(after, "a", "Update")
    assert owned(after, "b", "Update") == set()
    assert after["metadata"]["managedFields"][0]["time"] == T0


def test_at_most_ten_updaters_are_kept() -> None:
    live: Any = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": {}}
    for number in range(14):
        new = {**live, "data": {**live["data"], f"k{number}": "v"}}
        live = freeze(
            track_update(live, new, f"m{number:02}", f"2026-01-05T09:00:{number:02}Z", "v1", "", CONFIG)
        )
    names = [item["manager"] for item in live["metadata"]["managedFields"]]
    assert len(names) == 10
    assert names[0] == "ancient-changes"
    everything = set().union(*(owned(live, name, "Update") for name in names))
    assert {f".data.k{number}" for number in range(14)} <= everything


def test_custom_resources_without_schema_have_atomic_lists() -> None:
    live = {
        "apiVersion": "x/v1",
        "kind": "X",
        "metadata": {"name": "x"},
        "spec": {"list": [{"name": "a"}], "map": {"k": 1}},
    }
    made = track_update(None, live, "a", T0, "x/v1")
    assert made["metadata"]["managedFields"][0]["fieldsV1"] == {
        "f:spec": {".": {}, "f:list": {}, "f:map": {".": {}, "f:k": {}}}
    }


# --- laws

LABELS = st.dictionaries(st.sampled_from("abcd"), st.sampled_from("xyz"), max_size=3)
PORTS = st.lists(st.tuples(st.integers(1, 4), st.sampled_from(["TCP", "UDP"])), unique=True, max_size=3)


@st.composite
def services(draw: Any) -> dict[str, Any]:
    spec: dict[str, Any] = {}
    ports = [
        {"port": port, "protocol": protocol, "name": draw(st.sampled_from("pq"))}
        for port, protocol in draw(PORTS)
    ]
    if ports:
        spec["ports"] = ports
    if draw(st.booleans()):
        spec["type"] = draw(st.sampled_from(["ClusterIP", "NodePort"]))
    if draw(st.booleans()):
        spec["selector"] = draw(LABELS)
    metadata: dict[str, Any] = {"name": "s"}
    if draw(st.booleans()):
        metadata["labels"] = draw(LABELS)
    return {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec}


STEPS = st.lists(
    st.tuples(st.sampled_from(["apply", "update"]), st.sampled_from("mno"), services()),
    min_size=1,
    max_size=5,
)


@settings(max_examples=150, deadline=None)
@given(STEPS)
def test_laws_of_ownership(steps: list[tuple[str, str, dict[str, Any]]]) -> None:
    live: Any = None
    for number, (how, who, said) in enumerate(steps):
        at = f"2026-01-05T09:00:{number:02}Z"
        before = copy.deepcopy(said)
        if how == "update":
            live = freeze(track_update(live, copy.deepcopy(said), who, at, "v1", "", SERVICE))
        else:
            live = freeze(server_side_apply(live, freeze(said), who, SERVICE, True, at, "v1"))
            again = server_side_apply(live, said, who, SERVICE, False, "2026-01-05T10:00:00Z", "v1")
            assert again is live, "the same apply twice is once"
            assert set(owned(live, who)) >= set(paths(fields_of({"spec": said["spec"]}, SERVICE)))
        assert said == before
        there = set(paths(_with_self(fields_of(live, SERVICE))))
        for item in live["metadata"].get("managedFields", ()):
            assert item["fieldsV1"], "nobody stays on record for nothing"
            assert set(paths(item["fieldsV1"])) <= there, "nobody owns what is not there"


TREES = st.recursive(
    st.just({}),
    lambda inner: st.dictionaries(st.sampled_from(["f:a", "f:b", "."]), inner, max_size=3),
    max_leaves=8,
).map(lambda tree: _tidy(dict(tree)))


def _tidy(tree: dict[str, Any]) -> dict[str, Any]:
    return {
        key: {} if key == "." else _tidy(value) for key, value in tree.items() if key != "." or len(tree) > 1
    }


@given(TREES, TREES)
def test_sets_of_fields_are_sets(a: dict[str, Any], b: dict[str, Any]) -> None:
    one, two = set(paths(a)), set(paths(b))
    assert set(paths(united(a, b))) == one | two
    assert set(paths(without(a, b))) == one - two
    assert set(paths(common(a, b))) == one & two


def test_custom_types_need_not_declare_what_every_object_has() -> None:
    class Bare:
        properties = {"spec": None}

        def property(self, name: str) -> Any:
            return Bare() if name == "spec" else None

        def items(self) -> Any:
            return None

        additional = items

        def extension(self, name: str) -> Any:
            return None

    said = {"apiVersion": "x/v1", "kind": "X", "metadata": {"name": "x", "labels": {"a": "b"}}, "spec": {}}
    assert server_side_apply(None, said, "me", Bare(), False, T0, "x/v1")["spec"] == {}
    with pytest.raises(PatchError, match=r"\.other: field not declared in schema"):
        server_side_apply(None, {**said, "other": 1}, "me", Bare(), False, T0, "x/v1")


def test_the_real_schema_knows_the_merge_keys() -> None:
    live = freeze(deployment(1))
    patch = {
        "spec": {
            "template": {"spec": {"containers": [{"name": "web", "env": [{"name": "A", "value": "1"}]}]}}
        }
    }
    after = strategic_merge(live, patch, DEPLOYMENT)
    (container,) = after["spec"]["template"]["spec"]["containers"]
    assert container["image"] == "nginx:1"
    assert container["env"] == [{"name": "A", "value": "1"}]
    ports = {"spec": {"ports": [{"port": 80, "targetPort": 8080}]}}
    service = strategic_merge(
        {"spec": {"ports": [{"port": 80, "name": "http"}, {"port": 81}]}}, ports, SERVICE
    )
    assert service["spec"]["ports"] == [{"port": 80, "name": "http", "targetPort": 8080}, {"port": 81}]
    recreate = {"spec": {"strategy": {"$retainKeys": ["type"], "type": "Recreate"}}}
    rolling = deployment(1, strategy={"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}})
    assert strategic_merge(rolling, recreate, DEPLOYMENT)["spec"]["strategy"] == {"type": "Recreate"}
