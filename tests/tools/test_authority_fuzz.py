"""Whatever patches come, in whatever form and order: what must stand stands, where nobody approves."""

from __future__ import annotations

import asyncio
import json
from functools import cache
from typing import Any

import httpx
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from firedrill.gateway.kubernetes import Asked, Gateway, Host, Identity, Pace
from firedrill.tools.authority import EFFECTS, Authority, Policy, effects_of, preset
from firedrill.world.build import make_world
from firedrill.world.kube.api import User
from firedrill.world.world import World

AGENT = Identity("agent", User("agent", ("system:masters",)), "agent-token")
WEB: dict[str, Any] = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "web", "namespace": "default", "finalizers": ["example.com/kept"]},
    "spec": {
        "replicas": 2,
        "minReadySeconds": 0,
        "selector": {"matchLabels": {"app": "web"}},
        "template": {
            "metadata": {"labels": {"app": "web"}},
            "spec": {"containers": [{"name": "web", "image": "nginx:1.25"}]},
        },
    },
}
PATHS = st.sampled_from([
    "/spec/replicas", "/spec/minReadySeconds", "/spec/progressDeadlineSeconds", "/spec/revisionHistoryLimit",
    "/spec", "/metadata", "/metadata/finalizers", "/metadata/finalizers/0", "/metadata/annotations",
    "/metadata/ownerReferences", "/spec/template/spec/nodeSelector", "/spec/template/spec/hostNetwork",
    "/spec/template/spec/serviceAccountName", "/spec/template/spec/containers/0/securityContext",
    "/spec/paused", "/status", "/status/replicas", "",
])  # fmt: skip
VALUES: st.SearchStrategy[Any] = st.sampled_from([
    0, 1, 3, -1, None, True, "0", [], {}, {"replicas": 0}, {"no": "where"}, {"privileged": True},
    [{"apiVersion": "v1", "kind": "Pod", "name": "x", "uid": "0"}], ["example.com/other"], "powerful",
    {**WEB["spec"], "replicas": 0}, {**WEB["metadata"], "finalizers": []},
])  # fmt: skip
OPS = st.lists(
    st.one_of(
        st.fixed_dictionaries({"op": st.sampled_from(["add", "replace", "test"]), "path": PATHS, "value": VALUES}),
        st.fixed_dictionaries({"op": st.just("remove"), "path": PATHS}),
        st.fixed_dictionaries({"op": st.sampled_from(["copy", "move"]), "from": PATHS, "path": PATHS}),
    ),
    min_size=1,
    max_size=3,
)  # fmt: skip
KEYS = st.sampled_from(
    ["replicas", "paused", "revisionHistoryLimit", "template", "$patch", "$retainKeys", "selector"]
)
PARTS = st.fixed_dictionaries({}, optional={
    "spec": st.one_of(st.dictionaries(KEYS, VALUES, max_size=3), st.none(), st.just({"replicas": 0})),
    "metadata": st.one_of(
        st.just({"finalizers": None}), st.just({"finalizers": []}), st.just({"$patch": "replace"}),
        st.just({"ownerReferences": [{"apiVersion": "v1", "kind": "Pod", "name": "x", "uid": "0"}]}),
    ),
})  # fmt: skip
WHOLE = st.builds(
    lambda count, **more: {**WEB, "spec": {**WEB["spec"], "replicas": count}}, st.sampled_from([0, 1, 4])
)
QUERY = st.sampled_from(
    ["", "?force=true&fieldManager=a", "?fieldManager=a", "?dryRun=All", "?fieldValidation=Strict"]
)
REQUESTS = st.one_of(
    st.tuples(st.just("application/json-patch+json"), OPS, QUERY),
    st.tuples(st.sampled_from(["application/merge-patch+json", "application/strategic-merge-patch+json"]), PARTS, QUERY),
    st.tuples(st.just("application/apply-patch+yaml"), st.one_of(WHOLE, PARTS), QUERY),
    st.tuples(st.just("PUT"), WHOLE, QUERY),
)  # fmt: skip
PLACES = st.sampled_from(["", "/scale", "/status"])


@cache
def _world() -> World:
    return make_world(3, nodes=2, manifests=[WEB])


def _guarded(world: World) -> Host:
    host = Host(world, [AGENT], pace=Pace(speed=0))
    spec = {"kind": "rules", "name": "nobody"}
    host.guard = Authority(Policy.model_validate({**preset("operator").model_dump(), "approver": spec}))
    return host


async def _sent(host: Host, requests: list[Any]) -> None:
    headers = {"authorization": f"Bearer {AGENT.token}"}
    transport = httpx.ASGITransport(app=Gateway(host))
    async with httpx.AsyncClient(transport=transport, base_url="http://world", headers=headers) as client:
        for (kind, body, query), place in requests:
            method, media = ("PUT", "application/json") if kind == "PUT" else ("PATCH", kind)
            path = f"/apis/apps/v1/namespaces/default/deployments/web{place}{query}"
            answer = await client.request(
                method, path, content=json.dumps(body).encode(), headers={"content-type": media}
            )
            assert answer.status_code < 500, answer.text


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.tuples(REQUESTS, PLACES), min_size=1, max_size=4))
def test_no_patch_leads_around_it(requests: list[Any]) -> None:
    world = _world().fork()
    host = _guarded(world)
    asyncio.run(_sent(host, requests))
    assert not host.defects, "\n".join(host.defects)
    web = world.cluster.store.get("deployments.apps", "default", "web")
    assert web is not None
    assert web["spec"]["replicas"] > 0
    assert web["spec"]["revisionHistoryLimit"] >= 10
    assert web["metadata"]["finalizers"] == ["example.com/kept"]
    assert not web["metadata"].get("ownerReferences")
    assert web["status"]["replicas"] == 2
    spec = web["spec"]["template"]["spec"]
    assert not spec.get("hostNetwork")
    assert not spec.get("nodeSelector")
    assert not (spec["containers"][0].get("securityContext") or {}).get("privileged")


LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-1, 3)
    | st.floats(0, 1)
    | st.sampled_from(["", "a", "Bound", "*"])
)
WORDS = st.sampled_from([
    "spec", "template", "containers", "initContainers", "volumes", "hostPath", "secret", "projected", "sources",
    "env", "envFrom", "secretRef", "valueFrom", "secretKeyRef", "securityContext", "capabilities", "add", "replicas",
    "nodeSelector", "selector", "matchLabels", "metadata", "labels", "annotations", "finalizers", "ownerReferences",
    "uid", "name", "namespace", "rules", "verbs", "resources", "subjects", "roleRef", "http", "fault", "taints", "data",
    "status", "phase", "claimRef", "persistentVolumeReclaimPolicy", "persistentVolumeClaimRetentionPolicy", "suspend",
    "ttlSecondsAfterFinished", "activeDeadlineSeconds", "revisionHistoryLimit", "jobTemplate", "unschedulable",
    "livenessProbe", "type", "kind", "image", "serviceAccountName", "hostPID", "whenDeleted", "path",
])  # fmt: skip
ANY = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(WORDS, inner, max_size=4),
    max_leaves=25,
)
KINDS = st.sampled_from([
    "widgets.example.com", "virtualservices.networking.istio.io", "deployments.apps", "pods", "nodes", "secrets",
    "services", "persistentvolumes", "persistentvolumeclaims", "configmaps", "roles.rbac.authorization.k8s.io",
    "namespaces", "endpointslices.discovery.k8s.io", "endpoints", "jobs.batch", "podchaos.chaos-mesh.org",
])  # fmt: skip


def _object(content: Any, kind: str) -> dict[str, Any]:
    found = dict(content) if isinstance(content, dict) else {"spec": content}
    meta = found.get("metadata")
    fixed = {"name": "web", "namespace": "default", "uid": "1"}
    return {**found, "kind": kind, "metadata": {**(meta if isinstance(meta, dict) else {}), **fixed}}


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.sampled_from(["create", "patch", "delete", "deletecollection"]), KINDS, ANY, ANY,
    st.sampled_from(["", "status", "scale", "eviction"]),
    st.sampled_from(["Widget", "Deployment", "Pod", "PersistentVolume", "PersistentVolumeClaim", "Service"]),
)  # fmt: skip
def test_no_object_brings_it_down(verb: str, resource: str, old: Any, new: Any, sub: str, kind: str) -> None:
    """Custom resources may have any form: whoever makes one that cannot be read must not stop the episode."""
    asked = Asked(
        user="agent",
        verb=verb,
        resource=resource,
        subresource=sub,
        namespace="default",
        name="web",
        count=1,
        before=() if verb == "create" else (_object(old, kind),),
        after=_object(new, kind) if verb in {"create", "patch"} else None,
        store=_world().cluster.store,
        now_ms=_world().now,
    )
    assert effects_of(asked) <= set(EFFECTS)
    asyncio.run(Authority(preset("operator")).decide(asked))
