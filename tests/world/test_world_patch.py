"""JSON patch, merge patch and strategic merge patch: what they do, what they refuse, what they never touch."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firedrill.world.kube.objects import freeze
from firedrill.world.kube.patch import PatchError, json_patch, merge_patch, strategic_merge

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text("abc~/$", max_size=4),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text("abc~/$", max_size=3), inner, max_size=4)
    ),
    max_leaves=12,
)
OBJECTS = st.dictionaries(st.text("abc~/", max_size=3), VALUES, max_size=4)
NULLFREE = st.recursive(
    st.booleans() | st.integers(-9, 9) | st.text("abc", max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text("abc", max_size=2), inner, max_size=3)
    ),
    max_leaves=10,
)


class Hand:
    """A hand-made schema: nested dicts in OpenAPI's own shape."""

    def __init__(self, raw: dict[str, Any]) -> None:
        self.raw = raw

    def _at(self, raw: Any) -> Hand | None:
        return Hand(raw) if isinstance(raw, dict) else None

    def property(self, name: str) -> Hand | None:
        return self._at(self.raw.get("properties", {}).get(name))

    def items(self) -> Hand | None:
        return self._at(self.raw.get("items"))

    def additional(self) -> Hand | None:
        return self._at(self.raw.get("additionalProperties"))

    def extension(self, name: str) -> Any:
        return self.raw.get(name)


def merged_list(key: str, **item: Any) -> dict[str, Any]:
    return {
        "x-kubernetes-patch-strategy": "merge",
        "x-kubernetes-patch-merge-key": key,
        "items": {"properties": item},
    }


POD = Hand(
    {
        "properties": {
            "metadata": {
                "properties": {
                    "labels": {"additionalProperties": {"type": "string"}},
                    "finalizers": {"x-kubernetes-patch-strategy": "merge", "items": {"type": "string"}},
                }
            },
            "spec": {
                "properties": {
                    "containers": merged_list(
                        "name",
                        env=merged_list("name"),
                        ports=merged_list("containerPort"),
                        args={"items": {"type": "string"}},
                    ),
                    "volumes": {
                        "x-kubernetes-patch-strategy": "merge,retainKeys",
                        "x-kubernetes-patch-merge-key": "name",
                        "items": {"properties": {}},
                    },
                    "strategy": {"x-kubernetes-patch-strategy": "retainKeys", "properties": {}},
                    "whole": {"x-kubernetes-patch-strategy": "replace", "properties": {}},
                }
            },
        }
    }
)


def pod(*containers: dict[str, Any], **spec: Any) -> Any:
    return freeze({"metadata": {"name": "p"}, "spec": {"containers": list(containers), **spec}})


# --- JSON patch


def test_every_operation_of_json_patch() -> None:
    before = freeze({"a": {"b": [1, 2, 3]}, "c~/d": "x"})
    after = json_patch(
        before,
        [
            {"op": "test", "path": "/a/b/0", "value": 1},
            {"op": "add", "path": "/a/b/-", "value": 4},
            {"op": "add", "path": "/a/b/0", "value": 0},
            {"op": "remove", "path": "/a/b/1"},
            {"op": "replace", "path": "/c~0~1d", "value": "y"},
            {"op": "copy", "from": "/a", "path": "/e"},
            {"op": "move", "from": "/a/b", "path": "/f"},
        ],
    )
    assert after == {"a": {}, "c~/d": "y", "e": {"b": [0, 2, 3, 4]}, "f": [0, 2, 3, 4]}
    assert before == {"a": {"b": [1, 2, 3]}, "c~/d": "x"}


@pytest.mark.parametrize(
    "operation",
    [
        {"op": "test", "path": "/a", "value": 2},
        {"op": "test", "path": "/a", "value": True},
        {"op": "remove", "path": "/nosuch"},
        {"op": "replace", "path": "/nosuch", "value": 1},
        {"op": "add", "path": "/nosuch/deeper", "value": 1},
        {"op": "add", "path": "/l/7", "value": 1},
        {"op": "add", "path": "/l/x", "value": 1},
        {"op": "add", "path": "/a/x", "value": 1},
        {"op": "add", "path": "a", "value": 1},
        {"op": "add", "path": "/a"},
        {"op": "replace", "path": "", "value": 1},
        {"op": "copy", "from": "/nosuch", "path": "/a"},
        {"op": "what", "path": "/a"},
        {"path": "/a"},
        {"op": "add", "value": 1},
    ],
)
def test_a_json_patch_that_does_not_fit_is_unprocessable(operation: dict[str, Any]) -> None:
    with pytest.raises(PatchError) as refused:
        json_patch({"a": 1, "l": [1]}, [operation])
    assert (refused.value.code, refused.value.reason) == (422, "Invalid")
    assert refused.value.message == "the server rejected our request due to an error in our request"


def test_what_is_no_json_patch_is_a_bad_request() -> None:
    wrong: Any
    for wrong in ({}, "x", None, 3, ["x"]):
        with pytest.raises(PatchError) as refused:
            json_patch({}, wrong)
        assert refused.value.code == 400


def test_json_patch_is_bounded() -> None:
    with pytest.raises(PatchError) as refused:
        json_patch({}, [{"op": "test", "path": "/a"}] * 10_001)
    assert refused.value.code == 413
    doubling = [{"op": "copy", "from": "/a", "path": f"/a/{i}"} for i in range(64)]
    with pytest.raises(PatchError) as refused:
        json_patch({"a": {"text": "x" * 1000}}, doubling)
    assert "accumulated size" in refused.value.cause


@given(OBJECTS, OBJECTS)
def test_replacing_every_member_gives_the_other_object(one: dict[str, Any], other: dict[str, Any]) -> None:
    def escaped(key: str) -> str:
        return "/" + key.replace("~", "~0").replace("/", "~1")

    steps = [{"op": "remove", "path": escaped(key)} for key in one]
    steps += [{"op": "add", "path": escaped(key), "value": value} for key, value in other.items()]
    assert json_patch(freeze(one), steps) == other


@given(
    OBJECTS,
    st.lists(
        st.fixed_dictionaries(
            {
                "op": st.sampled_from(["add", "remove", "replace", "test", "move", "copy"]),
                "path": st.text("/abc~01-", max_size=6),
                "from": st.text("/abc~01-", max_size=6),
                "value": VALUES,
            }
        ),
        max_size=5,
    ),
)
def test_any_json_patch_works_or_is_refused(obj: dict[str, Any], steps: list[dict[str, Any]]) -> None:
    before = copy.deepcopy(obj)
    try:
        assert isinstance(json_patch(freeze(obj), steps), dict)
    except PatchError as refused:
        assert refused.code in (400, 422)
    assert obj == before


# --- merge patch


def test_merge_patch_of_the_standard() -> None:
    assert merge_patch(freeze({"a": "b", "c": {"d": "e", "f": "g"}}), {"a": "z", "c": {"f": None}}) == {
        "a": "z",
        "c": {"d": "e"},
    }
    assert merge_patch({"a": [1]}, {"a": {"b": None, "c": 1}}) == {"a": {"c": 1}}
    with pytest.raises(PatchError, match="Invalid JSON Patch"):
        merge_patch({}, [1])


@given(OBJECTS, OBJECTS)
def test_a_merge_patch_twice_is_once(obj: dict[str, Any], patch: dict[str, Any]) -> None:
    once = merge_patch(freeze(obj), freeze(patch))
    assert merge_patch(once, patch) == once


@given(
    st.dictionaries(st.text("abc", max_size=2), NULLFREE),
    st.dictionaries(st.text("abc", max_size=2), NULLFREE),
)
def test_the_difference_as_merge_patch_leads_from_one_to_the_other(
    one: dict[str, Any], other: dict[str, Any]
) -> None:
    def difference(a: Any, b: Any) -> Any:
        if not (isinstance(a, dict) and isinstance(b, dict)):
            return b
        return {key: None for key in a if key not in b} | {
            key: difference(a.get(key), value) for key, value in b.items() if key not in a or a[key] != value
        }

    assert merge_patch(one, difference(one, other)) == other


def test_a_bottomless_patch_is_refused() -> None:
    deep: Any = {}
    for _ in range(5000):
        deep = {"a": deep}
    for patch in (merge_patch, lambda o, p: strategic_merge(o, p, None)):
        with pytest.raises(PatchError, match="max depth"):
            patch({}, deep)
    with pytest.raises(PatchError, match="max depth"):
        json_patch({}, [{"op": "add", "path": "/a", "value": deep}])


# --- strategic merge patch


def test_lists_merge_by_their_key() -> None:
    before = pod({"name": "a", "image": "a:1", "args": ["x"]}, {"name": "b", "image": "b:1"})
    after = strategic_merge(
        before, {"spec": {"containers": [{"name": "b", "image": "b:2", "args": ["y"]}]}}, POD
    )
    assert after["spec"]["containers"] == [
        {"name": "a", "image": "a:1", "args": ["x"]},
        {"name": "b", "image": "b:2", "args": ["y"]},
    ]
    assert before["spec"]["containers"][1]["image"] == "b:1"


def test_what_the_patch_adds_comes_first_unless_the_order_is_told() -> None:
    before = pod({"name": "a", "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]})
    new = [{"name": "C", "value": "3"}]
    first = strategic_merge(before, {"spec": {"containers": [{"name": "a", "env": new}]}}, POD)
    assert [e["name"] for e in first["spec"]["containers"][0]["env"]] == ["C", "A", "B"]
    told = {"name": "a", "env": new, "$setElementOrder/env": [{"name": n} for n in "ABC"]}
    after = strategic_merge(
        before, {"spec": {"containers": [told], "$setElementOrder/containers": [{"name": "a"}]}}, POD
    )
    assert [e["name"] for e in after["spec"]["containers"][0]["env"]] == ["A", "B", "C"]


def test_an_order_alone_arranges_and_keeps_what_it_does_not_name() -> None:
    before = pod({"name": "a"}, {"name": "x"}, {"name": "b"})
    after = strategic_merge(
        before, {"spec": {"$setElementOrder/containers": [{"name": "b"}, {"name": "a"}]}}, POD
    )
    assert [c["name"] for c in after["spec"]["containers"]] == ["x", "b", "a"]


def test_an_element_is_deleted_or_the_list_replaced() -> None:
    before = pod({"name": "a"}, {"name": "b"})
    deleted = strategic_merge(before, {"spec": {"containers": [{"$patch": "delete", "name": "a"}]}}, POD)
    assert deleted["spec"]["containers"] == [{"name": "b"}]
    replaced = strategic_merge(before, {"spec": {"containers": [{"$patch": "replace"}, {"name": "c"}]}}, POD)
    assert replaced["spec"]["containers"] == [{"name": "c"}]


def test_maps_are_replaced_deleted_or_cut_to_the_keys_retained() -> None:
    before = pod(strategy={"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}}, whole={"a": 1, "b": 2})
    patch = {"spec": {"strategy": {"$retainKeys": ["type"], "type": "Recreate"}, "whole": {"a": 3}}}
    after = strategic_merge(before, patch, POD)
    assert after["spec"]["strategy"] == {"type": "Recreate"}
    assert after["spec"]["whole"] == {"a": 3}
    assert (
        strategic_merge(before, {"spec": {"strategy": {"$patch": "delete"}}}, POD)["spec"]["strategy"] == {}
    )
    whole = {"spec": {"strategy": {"$patch": "replace", "type": "x"}}}
    assert strategic_merge(before, whole, POD)["spec"]["strategy"] == {"type": "x"}


def test_primitive_lists_unite_and_lose_members() -> None:
    before = freeze({"metadata": {"finalizers": ["a", "b"]}})
    united = strategic_merge(before, {"metadata": {"finalizers": ["c", "b"]}}, POD)
    assert sorted(united["metadata"]["finalizers"]) == ["a", "b", "c"]
    lost = strategic_merge(before, {"metadata": {"$deleteFromPrimitiveList/finalizers": ["a"]}}, POD)
    assert lost["metadata"]["finalizers"] == ["b"]


@pytest.mark.parametrize(
    ("patch", "code", "words"),
    [
        (
            {"spec": {"containers": [{"image": "x"}]}},
            500,
            "map: map[image:x] does not contain declared merge key: name",
        ),
        ({"spec": {"strategy": {"$retainKeys": "x"}}}, 400, "invalid patch format of retainKeys"),
        (
            {"spec": {"strategy": {"$retainKeys": [], "a": 1}}},
            500,
            "patch content doesn't match retainKeys list",
        ),
        ({"spec": {"strategy": {"$patch": "turn"}}}, 500, "unknown patch type found: turn"),
        (
            {"metadata": {"$deleteFromPrimitiveList/finalizers": 1}},
            400,
            "invalid patch format of primitive list",
        ),
        ({"spec": {"$setElementOrder/containers": 1}}, 400, "invalid patch format of setElementOrder list"),
        ([], 400, "invalid JSON document"),
    ],
)
def test_a_malformed_strategic_patch_is_refused_in_the_real_words(patch: Any, code: int, words: str) -> None:
    before = freeze(
        {"metadata": {"finalizers": ["a"]}, "spec": {"containers": [{"name": "a"}], "strategy": {"b": 1}}}
    )
    with pytest.raises(PatchError) as refused:
        strategic_merge(before, patch, POD)
    assert (refused.value.code, refused.value.message) == (code, words)


@given(OBJECTS, OBJECTS)
def test_without_schema_a_strategic_patch_works_or_is_refused(
    obj: dict[str, Any], patch: dict[str, Any]
) -> None:
    try:
        once = strategic_merge(freeze(obj), freeze(patch), None)
    except PatchError:
        return
    assert isinstance(once, dict)


@given(st.lists(st.sampled_from("abcdef"), unique=True), st.lists(st.sampled_from("abcdef"), unique=True))
def test_a_strategic_list_merge_keeps_every_element_once(old: list[str], new: list[str]) -> None:
    before = pod(*({"name": name, "image": "old"} for name in old))
    after = strategic_merge(
        before, {"spec": {"containers": [{"name": name, "image": "new"} for name in new]}}, POD
    )
    found = {c["name"]: c["image"] for c in after["spec"]["containers"]}
    assert found == dict.fromkeys(old, "old") | dict.fromkeys(new, "new")
    assert len(after["spec"]["containers"]) == len(found)
    assert [c["name"] for c in after["spec"]["containers"] if c["name"] in new] == new
