"""Whatever is sent: an answer of an API server, never a defect."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firedrill.gateway.kubernetes import Gateway, Host, Identity, bodies, negotiate, paths, query
from firedrill.world.kube.api import ApiError, User
from firedrill.world.world import World

pytestmark = pytest.mark.slow

TOKEN = "secret"
PIECES = st.sampled_from(
    ["api", "apis", "v1", "apps", "namespaces", "default", "pods", "deployments", "status", "scale", "log", "exec",
     "configmaps", "a", "watch", "events", "events.k8s.io", "batch", "jobs", "nodes", "proxy", "openapi", "v3",
     "t", "x", "..", "%2e", "é", "customresourcedefinitions", "apiextensions.k8s.io", "autoscaling", "v2",
     "horizontalpodautoscalers", "token", "serviceaccounts", "eviction", "binding", "metrics.k8s.io", "v1beta1",
     "authorization.k8s.io", "selfsubjectaccessreviews", "finalize", "ephemeralcontainers", "portforward"]
)  # fmt: skip
PATHS = st.lists(PIECES | st.text(max_size=8), max_size=9).map(lambda parts: "/" + "/".join(parts))
NAMES = st.sampled_from(
    ["watch", "limit", "continue", "labelSelector", "fieldSelector", "resourceVersion", "resourceVersionMatch",
     "dryRun", "force", "fieldManager", "fieldValidation", "pretty", "includeObject", "propagationPolicy",
     "gracePeriodSeconds", "tailLines", "container", "sinceSeconds", "sinceTime", "command", "stdout"]
)  # fmt: skip
VALUES = st.sampled_from(
    ["", "0", "1", "true", "false", "All", "x", "-1", "Object", "Orphan", "Exact", "99999999999999999999"]
)
QUERIES = st.lists(st.tuples(NAMES, VALUES | st.text(max_size=10)), max_size=4)
LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
KEYS = st.sampled_from(
    ["apiVersion", "kind", "metadata", "name", "namespace", "labels", "spec", "template", "containers", "data",
     "status", "op", "path", "value", "ownerReferences", "finalizers", "replicas", "selector", "matchLabels",
     "$patch", "items", "annotations", "generateName", "image", "resourceVersion", "rules", "versions", "group"]
) | st.text(max_size=4)  # fmt: skip
KINDS = st.sampled_from(
    ["v1", "apps/v1", "ConfigMap", "Deployment", "Pod", "default", "a", "/metadata/name", "add"]
)
TREES = st.recursive(
    LEAVES | KINDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=5),
    max_leaves=20,
)
TYPES = st.sampled_from(
    ["application/json", "application/yaml", "application/merge-patch+json", "application/json-patch+json",
     "application/strategic-merge-patch+json", "application/apply-patch+yaml", "application/vnd.kubernetes.protobuf",
     "text/plain", ""]
)  # fmt: skip


@pytest.fixture(scope="module")
def served() -> Host:
    from firedrill.world.build import make_world

    world: World = make_world(3, nodes=2)
    return Host(world, [Identity("root", User("root", ("system:masters",)), TOKEN)])


def ask(host: Host, method: str, path: str, params: Any, body: bytes, headers: dict[str, str]) -> int:
    """The status of the answer; a watch is left at once."""
    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "query_string": str(httpx.QueryParams(params)).encode(),
        "headers": [(b"authorization", b"Bearer " + TOKEN.encode())]
        + [(key.encode(), value.encode("utf-8", "replace")) for key, value in headers.items()],
        "client": None,
        "server": None,
    }
    inbox = [{"type": "http.request", "body": body}]
    sent: list[Any] = []

    async def receive() -> Any:
        return inbox.pop(0) if inbox and method != "GET" else {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(Gateway(host)(scope, receive, send))
    start = next((item for item in sent if item["type"] == "http.response.start"), None)
    assert not host.defects, host.defects[0]
    if start is None:  # a watch whose client has gone before it began
        return 200
    if start["status"] >= 500 and start["status"] != 503:
        # the few things that a real server, too, answers with an error of its own
        text = b"".join(item.get("body", b"") for item in sent)
        assert any(word in text for word in (b"impersonating", b"unknown patch type")), text
    return int(start["status"])


@settings(max_examples=250)
@given(
    st.sampled_from(["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"]),
    PATHS,
    QUERIES,
    TREES,
    TYPES,
)
def test_paths_and_queries(served: Host, method: str, path: str, params: Any, tree: Any, media: str) -> None:
    body = json.dumps(tree, default=str).encode()
    ask(served, method, path, params, body, {"content-type": media})


ROUTES = [
    ("POST", "/api/v1/namespaces/default/configmaps"),
    ("POST", "/api/v1/namespaces/default/pods"),
    ("POST", "/apis/apps/v1/namespaces/default/deployments"),
    ("POST", "/apis/rbac.authorization.k8s.io/v1/clusterroles"),
    ("POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"),
    ("POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"),
    ("POST", "/api/v1/namespaces/default/serviceaccounts/default/token"),
    ("PUT", "/api/v1/namespaces/default"),
    ("PUT", "/apis/apps/v1/namespaces/kube-system/deployments/coredns/scale"),
    ("PATCH", "/apis/apps/v1/namespaces/kube-system/deployments/coredns"),
    ("PATCH", "/apis/apps/v1/namespaces/kube-system/deployments/coredns/status"),
    ("PATCH", "/api/v1/namespaces/default/serviceaccounts/default"),
    ("DELETE", "/api/v1/namespaces/default/configmaps"),
]


@settings(max_examples=400)
@given(st.sampled_from(ROUTES), st.dictionaries(KEYS, TREES, max_size=6) | TREES, TYPES)
def test_bodies(served: Host, route: tuple[str, str], tree: Any, media: str) -> None:
    method, path = route
    if isinstance(tree, dict) and method == "POST":
        tree = {**tree, "metadata": tree.get("metadata") or {"name": "fuzz"}}
    ask(
        served,
        method,
        path,
        [("dryRun", "All"), ("fieldManager", "fuzz")],
        json.dumps(tree).encode(),
        {"content-type": media},
    )


@settings(max_examples=150)
@given(st.binary(max_size=60), TYPES)
def test_bytes(served: Host, body: bytes, media: str) -> None:
    headers = {"content-type": media}
    ask(served, "POST", "/api/v1/namespaces/default/configmaps", [], body, headers)
    ask(served, "PATCH", "/api/v1/namespaces/default/serviceaccounts/default", [], body, headers)
    ask(served, "POST", "/api/v1/namespaces/default/configmaps", [], b"k8s\x00" + body, headers)


@settings(max_examples=150)
@given(
    st.dictionaries(
        st.sampled_from(["accept", "authorization", "impersonate-user", "impersonate-group", "if-none-match",
                         "impersonate-extra-a%zz", "impersonate-uid", "content-length", "user-agent"]),
        st.text(st.characters(codec="latin-1", exclude_categories=["Cc"]), max_size=30)
        | st.sampled_from(["Bearer x.y.z", "application/json;q=nan", "application/json;as=Table;g=meta.k8s.io;v=v1"]),
        max_size=4,
    )
)  # fmt: skip
def test_headers(served: Host, headers: dict[str, str]) -> None:
    ask(served, "GET", "/api/v1/namespaces/default/configmaps", [], b"", headers)
    ask(served, "GET", "/apis", [], b"", headers)


@given(st.text(max_size=200))
def test_paths_never_crash_the_parser(text: str) -> None:
    paths.parse(text)


@given(st.binary(max_size=200))
def test_queries_are_read_or_refused(raw: bytes) -> None:
    try:
        query.parse(raw)
    except ApiError as refusal:
        assert refusal.code in {400, 422}


@given(st.text(max_size=100))
def test_accept_headers_are_read_or_refused(text: str) -> None:
    try:
        negotiate.parse(text)
    except ApiError as refusal:
        assert refusal.code == 406


@given(st.binary(max_size=100))
def test_texts_are_read_or_refused(raw: bytes) -> None:
    for read in (bodies.read_json, bodies.read_yaml):
        try:
            json.dumps(read(raw), allow_nan=False)
        except ValueError as problem:
            assert str(problem)
