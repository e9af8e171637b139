"""Decoding, defaults, OpenAPI documents and the build step."""

from __future__ import annotations

import copy
import gzip
import json
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firedrill.core.errors import InfrastructureError, InputError
from firedrill.world.kube.api.errors import ApiError
from firedrill.world.kube.kinds import Kind, default_kinds
from firedrill.world.kube.objects import Obj, dig, freeze
from firedrill.world.kube.schema import (
    DecodeError,
    build,
    decode,
    decode_body,
    default,
    definitions,
    openapi_v3,
    openapi_v3_bytes,
    openapi_v3_index,
    parse_json,
    schema_for,
    validate,
)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=12,
)


def kind_of(name: str) -> Kind:
    found = default_kinds().find(name)
    assert found is not None
    return found


def deployment(**spec: Any) -> Obj:
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web", "namespace": "shop"},
        "spec": {
            "selector": {"matchLabels": {"app": "x"}},
            "template": {
                "metadata": {"labels": {"app": "x"}},
                "spec": {"containers": [{"name": "c", "image": "nginx"}]},
            },
            **spec,
        },
    }


def pod(spec: Obj) -> Obj:
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": "shop"}, "spec": spec}


def test_every_stored_kind_has_a_schema_with_its_metadata() -> None:
    for kind in default_kinds().all():
        schema = schema_for(kind)
        assert schema.type == "object", kind
        assert schema.property("kind") is not None, kind


def test_unknown_fields_are_named_and_dropped() -> None:
    body = deployment(replcas=2)
    body["spec"]["template"]["spec"]["containers"][0]["img"] = "x"
    found = decode(schema_for(kind_of("deploy")), body)
    assert found.unknown == ("spec.template.spec.containers[0].img", "spec.replcas")
    assert found.problems[1] == 'unknown field "spec.replcas"'
    assert "replcas" not in found.obj["spec"]
    assert "replcas" in body["spec"]


@pytest.mark.parametrize(
    ("name", "body", "text"),
    [
        (
            "Deployment",
            deployment(replicas="2"),
            'Deployment in version "v1" cannot be handled as a Deployment: json: cannot unmarshal string '
            "into Go struct field DeploymentSpec.spec.replicas of type int32",
        ),
        (
            "Pod",
            pod({"containers": [{"name": "c", "image": 3}]}),
            'Pod in version "v1" cannot be handled as a Pod: json: cannot unmarshal number into '
            "Go struct field Container.spec.containers.image of type string",
        ),
        (
            "Pod",
            pod({"containers": {}}),
            'Pod in version "v1" cannot be handled as a Pod: json: cannot unmarshal object into '
            "Go struct field PodSpec.spec.containers of type []v1.Container",
        ),
        (
            "Pod",
            pod({"containers": [{"name": "c", "resources": {"limits": {"cpu": "lots"}}}]}),
            'Pod in version "v1" cannot be handled as a Pod: quantities must match the regular expression '
            "'^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'",
        ),
        (
            "Deployment",
            deployment(replicas=2**40),
            'Deployment in version "v1" cannot be handled as a Deployment: json: cannot unmarshal number '
            "1099511627776 into Go struct field DeploymentSpec.spec.replicas of type int32",
        ),
        (
            "Secret",
            {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "data": {"a": "b c="}},
            'Secret in version "v1" cannot be handled as a Secret: illegal base64 data at input byte 1',
        ),
        (
            "Pod",
            {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "s", "creationTimestamp": "now"}},
            'Pod in version "v1" cannot be handled as a Pod: parsing time "now" as '
            '"2006-01-02T15:04:05Z07:00": cannot parse "now" as "2006"',
        ),
    ],
)
def test_a_wrong_type_is_refused_in_the_words_of_the_decoder(name: str, body: Obj, text: str) -> None:
    with pytest.raises(ApiError) as caught:
        decode(schema_for(kind_of(name)), body)
    assert caught.value.message == text
    assert (caught.value.code, caught.value.reason) == (400, "BadRequest")


def test_quantities_come_out_canonical_and_nulls_go() -> None:
    body = pod(
        {
            "containers": [
                {"name": "c", "image": None, "resources": {"limits": {"cpu": "1000m", "memory": 1024}}}
            ]
        }
    )
    (container,) = decode(schema_for(kind_of("pod")), body).obj["spec"]["containers"]
    assert container["resources"]["limits"] == {"cpu": "1", "memory": "1024"}
    assert "image" not in container


def test_duplicate_fields_are_found_with_their_path() -> None:
    value, twice = parse_json(b'{"a":1,"b":[{"c":1,"c":2}],"a":3}')
    assert value == {"a": 3, "b": [{"c": 2}]}
    assert twice == ("a", "b[0].c")
    found = decode(schema_for(kind_of("cm")), {"metadata": {"name": "a"}}, twice)
    assert found.problems == ('duplicate field "a"', 'duplicate field "b[0].c"')


@pytest.mark.parametrize("raw", [b"", b"{", b"[" * 100_000, b'{"a":' * 5000 + b"1" + b"}" * 5000, b"\xff"])
def test_hostile_bodies_are_refused(raw: bytes) -> None:
    with pytest.raises(DecodeError):
        parse_json(raw)


def test_a_body_that_is_nested_too_deep_is_refused() -> None:
    inner: Any = {"type": "object"}
    for _ in range(500):
        inner = {"type": "object", "properties": {"a": inner}}
    crd = {
        "metadata": {"name": "x"},
        "spec": {"versions": [{"name": "v1", "schema": {"openAPIV3Schema": inner}}]},
    }
    with pytest.raises(ApiError):
        decode(schema_for(kind_of("crd")), crd)


@settings(max_examples=150)
@given(JSON, st.sampled_from(["Pod", "Deployment", "Service", "Secret", "Ingress", "Job", "crd"]))
def test_no_body_breaks_the_decoder_the_defaults_or_the_rules(value: Any, name: str) -> None:
    kind = kind_of(name)
    for body in (
        value,
        {"spec": value},
        {"metadata": value, "spec": {"template": value, "containers": [value]}},
    ):
        try:
            found = decode_body(schema_for(kind), body)
        except DecodeError:
            continue
        again = decode_body(schema_for(kind), found.obj)
        assert again.obj == found.obj
        assert again.unknown == ()
        made = default(kind, freeze(found.obj)) if "spec" in found.obj or kind.kind == "Secret" else found.obj
        assert isinstance(validate(kind, made), list)


def test_a_deployment_gets_what_a_server_fills_in() -> None:
    body = deployment()
    before = copy.deepcopy(body)
    made = default(kind_of("deploy"), freeze(body))
    assert body == before
    spec = made["spec"]
    assert {
        key: spec[key] for key in ("replicas", "revisionHistoryLimit", "progressDeadlineSeconds", "strategy")
    } == {
        "replicas": 1,
        "revisionHistoryLimit": 10,
        "progressDeadlineSeconds": 600,
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"}},
    }
    template = spec["template"]["spec"]
    assert template["containers"][0]["imagePullPolicy"] == "Always"
    assert template["dnsPolicy"] == "ClusterFirst"
    assert "enableServiceLinks" not in template


@pytest.mark.parametrize(
    ("image", "policy"),
    [
        ("nginx", "Always"),
        ("nginx:latest", "Always"),
        ("nginx:1", "IfNotPresent"),
        ("reg:5000/nginx", "Always"),
        ("reg:5000/nginx:1", "IfNotPresent"),
        ("nginx@sha256:abc", "IfNotPresent"),
    ],
)
def test_the_tag_decides_when_to_pull(image: str, policy: str) -> None:
    made = default(kind_of("pod"), pod({"containers": [{"name": "c", "image": image}]}))
    assert made["spec"]["containers"][0]["imagePullPolicy"] == policy


def test_a_pod_gets_requests_from_limits_and_probes_their_numbers() -> None:
    container = {
        "name": "c",
        "image": "i:1",
        "resources": {"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "500m"}},
        "readinessProbe": {"httpGet": {"port": 80}, "periodSeconds": 3},
    }
    made = default(
        kind_of("pod"),
        pod(
            {
                "containers": [container],
                "volumes": [{"name": "v"}, {"name": "s", "secret": {"secretName": "s"}}],
            }
        ),
    )
    (out,) = made["spec"]["containers"]
    assert out["resources"]["requests"] == {"cpu": "500m", "memory": "1Gi"}
    probe = out["readinessProbe"]
    assert (probe["periodSeconds"], probe["timeoutSeconds"], probe["httpGet"]["scheme"]) == (3, 1, "HTTP")
    assert made["spec"]["volumes"] == [
        {"name": "v", "emptyDir": {}},
        {"name": "s", "secret": {"secretName": "s", "defaultMode": 420}},
    ]
    assert made["spec"]["enableServiceLinks"] is True


@pytest.mark.parametrize(
    ("name", "body", "path", "value"),
    [
        ("svc", {"spec": {"ports": [{"port": 80}]}}, ("spec", "ports", 0, "targetPort"), 80),
        ("svc", {"spec": {"type": "NodePort"}}, ("spec", "externalTrafficPolicy"), "Cluster"),
        ("svc", {"spec": {}}, ("spec", "internalTrafficPolicy"), "Cluster"),
        ("svc", {"spec": {"type": "ExternalName"}}, ("spec", "internalTrafficPolicy"), None),
        ("secret", {"stringData": {"a": "b"}}, ("data", "a"), "Yg=="),
        ("secret", {}, ("type",), "Opaque"),
        ("ns", {"metadata": {"name": "n"}}, ("metadata", "labels", "kubernetes.io/metadata.name"), "n"),
        ("job", {"spec": {}}, ("spec", "completions"), 1),
        ("job", {"spec": {"parallelism": 3}}, ("spec", "completions"), None),
        ("job", {"spec": {}}, ("spec", "backoffLimit"), 6),
        ("sts", {"spec": {}}, ("spec", "updateStrategy", "rollingUpdate", "partition"), 0),
        ("sts", {"spec": {}}, ("spec", "persistentVolumeClaimRetentionPolicy", "whenScaled"), "Retain"),
        ("ds", {"spec": {}}, ("spec", "updateStrategy", "rollingUpdate", "maxUnavailable"), 1),
        ("netpol", {"spec": {"egress": [{}]}}, ("spec", "policyTypes"), ["Ingress", "Egress"]),
        ("hpa", {"spec": {}}, ("spec", "metrics", 0, "resource", "target", "averageUtilization"), 80),
        ("rolebinding", {"subjects": [{"kind": "User"}]}, ("subjects", 0, "apiGroup"), "rbac.authorization.k8s.io"),
        ("sc", {}, ("volumeBindingMode",), "Immediate"),
        ("pvc", {"spec": {}}, ("spec", "volumeMode"), "Filesystem"),
        ("crd", {"spec": {"names": {"kind": "Widget"}}}, ("spec", "names", "listKind"), "WidgetList"),
        ("limits", {"spec": {"limits": [{"type": "Container", "max": {"cpu": "1"}}]}}, ("spec", "limits", 0, "defaultRequest", "cpu"), "1"),
    ],
)  # fmt: skip
def test_defaults(name: str, body: Obj, path: tuple[str | int, ...], value: Any) -> None:
    assert dig(default(kind_of(name), freeze(body)), *path) == value


def test_merge_keys_can_be_looked_up() -> None:
    spec = schema_for(kind_of("pod")).property("spec")
    assert spec is not None
    containers = spec.property("containers")
    assert containers is not None
    assert containers.extension("x-kubernetes-patch-merge-key") == "name"
    assert containers.extension("x-kubernetes-list-map-keys") == ["name"]
    items = containers.items()
    assert items is not None
    assert items.property("image") is not None
    assert spec.property("nodeSelector").extension("x-kubernetes-map-type") == "atomic"  # type: ignore[union-attr]


def test_a_reference_may_be_the_name_of_a_property() -> None:
    crd = schema_for(kind_of("crd")).property("spec").property("versions").items()  # type: ignore[union-attr]
    props = crd.property("schema").property("openAPIV3Schema")  # type: ignore[union-attr]
    assert props.property("$ref").type == "string"  # type: ignore[union-attr]
    document = openapi_v3(default_kinds(), "apiextensions.k8s.io", "v1")
    node = document["components"]["schemas"][
        "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaProps"
    ]
    assert node["properties"]["$ref"] == {"type": "string"}


def test_openapi_documents_are_whole_and_named_by_their_content() -> None:
    kinds = default_kinds()
    index = openapi_v3_index(kinds)["paths"]
    assert index["apis/apps/v1"]["serverRelativeURL"].startswith("/openapi/v3/apis/apps/v1?hash=")
    assert index == openapi_v3_index(kinds)["paths"]
    for group, version in kinds.versions():
        text = openapi_v3_bytes(kinds, group, version).decode()
        have = json.loads(text)["components"]["schemas"]
        wanted = {part.split('"')[0] for part in text.split('"#/components/schemas/')[1:]}
        assert wanted <= set(have), (group, version)
    patch = openapi_v3(kinds, "apps", "v1")["paths"][
        "/apis/apps/v1/namespaces/{namespace}/deployments/{name}"
    ]["patch"]
    assert {"dryRun", "fieldValidation"} <= {item["name"] for item in patch["parameters"]}
    assert patch["x-kubernetes-group-version-kind"] == {
        "group": "apps",
        "version": "v1",
        "kind": "Deployment",
    }
    assert openapi_v3(kinds, "nope", "v1") == {}


def test_the_build_undoes_what_the_package_changed() -> None:
    node = {
        "type": ["object", "null"],
        "properties": {
            "$ref": {"type": ["string", "null"]},
            "kind": {"type": ["string", "null"], "enum": ["A"]},
            "a": {"$ref": "#/$defs/io.x.B", "description": "d"},
        },
    }
    assert build.convert({"io.x.A": node}) == {
        "io.x.A": {
            "type": "object",
            "properties": {
                "$ref": {"type": "string"},
                "kind": {"type": "string"},
                "a": {"$ref": "io.x.B", "description": "d"},
            },
        }
    }
    first = build.document({"io.x.A": node}, "1.31")
    assert first == build.document(copy.deepcopy({"io.x.A": node}), "1.31")
    assert orjson.loads(gzip.decompress(first))["version"] == "1.31"


def test_a_version_that_was_not_built_says_how_to_build_it() -> None:
    with pytest.raises(InfrastructureError, match="make install"):
        definitions("1.99")


def test_a_version_that_the_package_lacks_is_a_mistake_of_the_user(tmp_path: Any) -> None:
    import zipfile

    wheel = tmp_path / "x.whl"
    zipfile.ZipFile(wheel, "w").close()
    with pytest.raises(InputError, match="no definitions of Kubernetes"):
        build.write(wheel, "1.99")
