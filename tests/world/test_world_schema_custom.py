"""Custom resources: pruning, defaults, validation."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from firedrill.world.kube.kinds import Kind, default_kinds
from firedrill.world.kube.schema import decode, default, openapi_v3, schema_for, validate

SPEC: dict[str, Any] = {
    "type": "object",
    "required": ["size"],
    "properties": {
        "size": {"type": "integer", "minimum": 1, "maximum": 9},
        "mode": {"type": "string", "enum": ["fast", "slow"], "default": "slow"},
        "name": {"type": "string", "pattern": "^[a-z]+$", "maxLength": 5},
        "port": {"x-kubernetes-int-or-string": True},
        "tags": {"type": "array", "items": {"type": "string"}, "maxItems": 2, "x-kubernetes-list-type": "set"},
        "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
        "map": {"type": "object", "additionalProperties": {"type": "integer"}},
        "nested": {"type": "object", "default": {}, "properties": {"on": {"type": "boolean", "default": True}}},
        "when": {"type": "string", "format": "date-time"},
        "either": {"type": "object", "properties": {"a": {"type": "string"}, "b": {"type": "string"}}, "oneOf": [{"required": ["a"]}, {"required": ["b"]}]},
    },
}  # fmt: skip
CRD: dict[str, Any] = {
    "metadata": {"name": "widgets.example.com"},
    "spec": {
        "group": "example.com",
        "scope": "Namespaced",
        "names": {"plural": "widgets", "singular": "widget", "kind": "Widget"},
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "schema": {"openAPIV3Schema": {"type": "object", "properties": {"spec": SPEC}}},
            }
        ],
    },
}


def widget_kind() -> Kind:
    found = default_kinds().with_custom([CRD]).find("widgets")
    assert found is not None
    return found


def widget(**spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "example.com/v1",
        "kind": "Widget",
        "metadata": {"name": "w", "namespace": "shop"},
        "spec": {"size": 3, **spec},
    }


def test_unknown_fields_are_pruned_but_where_they_are_kept() -> None:
    body = widget(extra=1, free={"any": {"thing": 1}}, map={"a": 1}, nested={"off": 1})
    found = decode(schema_for(widget_kind()), body)
    assert found.unknown == ("spec.extra", "spec.nested.off")
    assert found.obj["spec"] == {"size": 3, "free": {"any": {"thing": 1}}, "map": {"a": 1}, "nested": {}}
    assert (
        decode(schema_for(widget_kind()), {**body, "metadata": {"name": "w", "nam": 1}}).unknown[0]
        == "metadata.nam"
    )


def test_defaults_are_filled_at_every_depth() -> None:
    body = widget()
    before = copy.deepcopy(body)
    assert default(widget_kind(), body)["spec"] == {"size": 3, "mode": "slow", "nested": {"on": True}}
    assert body == before


@pytest.mark.parametrize(
    ("spec", "text"),
    [
        ({"size": 0}, "spec.size: Invalid value: 0: spec.size in body should be greater than or equal to 1"),
        ({"size": 10}, "spec.size: Invalid value: 10: spec.size in body should be less than or equal to 9"),
        ({"size": "x"}, 'spec.size: Invalid value: "string": spec.size in body must be of type integer: "string"'),
        ({"mode": "odd"}, 'spec.mode: Unsupported value: "odd": supported values: "fast", "slow"'),
        ({"name": "A"}, "spec.name: Invalid value: \"A\": spec.name in body should match '^[a-z]+$'"),
        ({"name": "abcdef"}, "spec.name: Too long: must have at most 5 bytes"),
        ({"port": True}, 'spec.port: Invalid value: "boolean": spec.port in body must be of type integer,string: "boolean"'),
        ({"tags": ["a", "b", "c"]}, "spec.tags: Too many: 3: must have at most 2 items"),
        ({"tags": ["a", "a"]}, 'spec.tags[1]: Duplicate value: "a"'),
        ({"map": {"a": "b"}}, 'spec.map.a: Invalid value: "string": spec.map.a in body must be of type integer: "string"'),
        ({"when": "now"}, 'spec.when: Invalid value: "now": spec.when in body must be of type date-time: "now"'),
        ({"either": {}}, "spec.either: Invalid value: map[string]interface {}{}: spec.either in body must validate one and only one schema (oneOf). Found none valid"),
    ],
)  # fmt: skip
def test_broken_rules(spec: dict[str, Any], text: str) -> None:
    assert text in [str(item) for item in validate(widget_kind(), widget(**spec))]


def test_a_missing_field_and_an_honest_object() -> None:
    kind = widget_kind()
    assert [str(item) for item in validate(kind, {**widget(), "spec": {}})] == ["spec.size: Required value"]
    assert validate(kind, widget(mode="fast", name="ab", port="x", tags=["a"], either={"a": "x"})) == []


def test_rules_in_cel_go_to_whoever_can_evaluate_them() -> None:
    crd = copy.deepcopy(CRD)
    node = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    node["x-kubernetes-validations"] = [{"rule": "self.size > 5", "message": "too small"}]
    kind = default_kinds().with_custom([crd]).find("widgets")
    assert kind is not None
    seen: list[Any] = []

    def cel(rule: dict[str, Any], value: Any, old: Any) -> str | None:
        seen.append((rule["rule"], value["size"], old and old["size"]))
        return None if value["size"] > 5 else rule["message"]

    (found,) = validate(kind, widget(), widget(size=4), cel=cel)
    assert str(found) == "spec: Invalid value: object: too small" or found.detail == "too small"
    assert seen == [("self.size > 5", 3, 4)]
    assert validate(kind, widget(size=6), cel=cel) == []


def test_a_document_of_openapi_holds_the_custom_type() -> None:
    kinds = default_kinds().with_custom([CRD])
    document = openapi_v3(kinds, "example.com", "v1")
    node = document["components"]["schemas"]["com.example.v1.Widget"]
    assert node["properties"]["spec"]["properties"]["size"]["type"] == "integer"
    assert "/apis/example.com/v1/namespaces/{namespace}/widgets/{name}" in document["paths"]
    assert "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta" in document["components"]["schemas"]


def test_what_is_no_structural_schema_is_refused() -> None:
    crd = copy.deepcopy(CRD)
    crd.update(apiVersion="apiextensions.k8s.io/v1", kind="CustomResourceDefinition")
    kind = default_kinds().find("crd")
    assert kind is not None
    node = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    node["properties"]["spec"] = {"properties": {"a": {"type": "odd"}}, "$ref": "x"}
    texts = [str(item) for item in validate(kind, default(kind, crd))]
    here = "spec.validation.openAPIV3Schema.properties[spec]"
    assert f"{here}.type: Required value: must not be empty for specified object fields" in texts
    assert f"{here}.$ref: Forbidden: $ref is not supported" in texts
    assert any(text.startswith(f'{here}.properties[a].type: Unsupported value: "odd"') for text in texts)


def test_a_hostile_pattern_takes_no_time() -> None:
    crd = copy.deepcopy(CRD)
    node = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    node["properties"]["name"] = {"type": "string", "pattern": "^(a+)+$"}
    kind = default_kinds().with_custom([crd]).find("widgets")
    assert kind is not None
    (found,) = validate(kind, widget(name="a" * 5000 + "b"))
    assert found.field == "spec.name"
