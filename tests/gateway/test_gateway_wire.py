"""What goes over the wire: discovery, objects, tables, refusals."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from firedrill.gateway.kubernetes import Gateway, Host, Pace
from firedrill.world.world import World

from firedrill.world.kube.api import Client  # isort: skip

DATA = Path(__file__).parent / "data"
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"
V2 = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
MAPS = "/api/v1/namespaces/default/configmaps"


def cm(name: str, **data: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


def golden(name: str) -> Any:
    return json.loads((DATA / name).read_text())


async def test_aggregated_discovery_echoes_its_media_type(http: httpx.AsyncClient) -> None:
    answer = await http.get("/apis", headers={"accept": f"{V2},application/json"})
    assert answer.headers["content-type"] == V2
    body = answer.json()
    assert (body["kind"], body["apiVersion"]) == ("APIGroupDiscoveryList", "apidiscovery.k8s.io/v2")
    apps = next(item for item in body["items"] if item["metadata"]["name"] == "apps")
    deployments = next(r for r in apps["versions"][0]["resources"] if r["resource"] == "deployments")
    assert deployments == golden("discovery-deployments.json")


async def test_a_kept_discovery_is_confirmed(http: httpx.AsyncClient) -> None:
    first = await http.get("/api", headers={"accept": V2})
    again = await http.get("/api", headers={"accept": V2, "if-none-match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


async def test_plain_discovery(http: httpx.AsyncClient) -> None:
    assert (await http.get("/api")).json()["versions"] == ["v1"]
    groups = (await http.get("/apis")).json()
    assert groups["kind"] == "APIGroupList"
    scaling = next(item for item in groups["groups"] if item["name"] == "autoscaling")
    assert scaling["preferredVersion"] == {"groupVersion": "autoscaling/v2", "version": "v2"}
    core = (await http.get("/api/v1")).json()
    assert (core["kind"], core["groupVersion"]) == ("APIResourceList", "v1")
    eviction = next(item for item in core["resources"] if item["name"] == "pods/eviction")
    assert eviction == golden("discovery-eviction.json")
    assert (await http.get("/apis/batch")).json()["name"] == "batch"


async def test_version_and_health(http: httpx.AsyncClient) -> None:
    version = (await http.get("/version")).json()
    assert (version["major"], version["minor"], version["gitVersion"]) == ("1", "31", "v1.31.2")
    for path in ("/healthz", "/livez", "/readyz", "/readyz/ping"):
        assert (await http.get(path)).text == "ok"
    assert (await http.get("/readyz?verbose")).text.endswith("readyz check passed\n")


async def test_openapi_documents_are_reached_through_their_index(http: httpx.AsyncClient) -> None:
    index = (await http.get("/openapi/v3")).json()["paths"]
    document = (await http.get(index["apis/apps/v1"]["serverRelativeURL"])).json()
    assert document["openapi"].startswith("3.")
    assert "/apis/apps/v1/namespaces/{namespace}/deployments/{name}" in document["paths"]


async def test_an_object_lives_and_dies(http: httpx.AsyncClient) -> None:
    made = await http.post(MAPS, json=cm("a", k="v"))
    assert made.status_code == 201
    assert made.content.endswith(b"\n")
    assert made.headers["cache-control"] == "no-cache, private"
    assert len(made.headers["audit-id"]) == 36
    found = (await http.get(f"{MAPS}/a")).json()
    assert found == made.json()
    found["data"]["k"] = "w"
    assert (await http.put(f"{MAPS}/a", json=found)).json()["data"] == {"k": "w"}
    stale = await http.put(f"{MAPS}/a", json=found)
    assert stale.json()["reason"] == "Conflict"
    gone = await http.delete(f"{MAPS}/a")
    assert gone.json()["status"] == "Success"
    missing = await http.get(f"{MAPS}/a")
    assert missing.status_code == 404
    assert missing.json() == golden("status-not-found.json")


async def test_items_of_a_list_carry_no_type(http: httpx.AsyncClient) -> None:
    await http.post(MAPS, json=cm("a", k="v"))
    body = (await http.get(MAPS)).json()
    assert (body["kind"], body["apiVersion"]) == ("ConfigMapList", "v1")
    assert [sorted(item) for item in body["items"] if item["metadata"]["name"] == "a"] == [
        ["data", "metadata"]
    ]


async def test_a_table(http: httpx.AsyncClient, world: World) -> None:
    await http.post(MAPS, json=cm("a", k="v"))
    world.run_for(90_000)
    answer = await http.get(f"{MAPS}/a", headers={"accept": TABLE})
    body = answer.json()
    assert (body["kind"], body["apiVersion"]) == ("Table", "meta.k8s.io/v1")
    assert [item["name"] for item in body["columnDefinitions"]] == ["Name", "Data", "Age"]
    (row,) = body["rows"]
    assert row["cells"] == ["a", 1, "90s"]
    assert row["object"]["kind"] == "PartialObjectMetadata"
    world.run_for(60_000)
    later = (await http.get(f"{MAPS}/a", headers={"accept": TABLE})).json()
    assert later["rows"][0]["cells"] == ["a", 1, "2m30s"], "kept rows grow older all the same"


@pytest.mark.parametrize(("include", "kind"), [("Object", "ConfigMap"), ("None", None)])
async def test_what_rows_carry(http: httpx.AsyncClient, include: str, kind: str | None) -> None:
    await http.post(MAPS, json=cm("a"))
    body = (await http.get(f"{MAPS}/a?includeObject={include}", headers={"accept": TABLE})).json()
    assert (body["rows"][0]["object"] or {}).get("kind") == kind


async def test_metadata_alone(http: httpx.AsyncClient) -> None:
    await http.post(MAPS, json=cm("a", k="v"))
    accept = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"
    body = (await http.get(MAPS, headers={"accept": accept})).json()
    assert body["kind"] == "PartialObjectMetadataList"
    assert all("data" not in item for item in body["items"])


async def test_what_cannot_be_served_is_not_acceptable(http: httpx.AsyncClient) -> None:
    answer = await http.get(MAPS, headers={"accept": "image/png"})
    assert answer.status_code == 406
    assert answer.json()["reason"] == "NotAcceptable"


async def test_yaml_and_pretty_answers(http: httpx.AsyncClient) -> None:
    await http.post(MAPS, json=cm("a", k="v"))
    answer = await http.get(f"{MAPS}/a", headers={"accept": "application/yaml"})
    assert answer.headers["content-type"] == "application/yaml"
    assert "kind: ConfigMap" in answer.text
    assert '\n  "kind": "ConfigMap"' in (await http.get(f"{MAPS}/a?pretty=true")).text


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"{", "unexpected end of JSON input ({)"),
        (b"", "unexpected end of JSON input (<empty>)"),
        (b"{x", "invalid character 'x' looking for beginning of object key string ({x)"),
        (b'{"a" 1}', "invalid character '1' after object key"),
        (b'{"a":1}}', "invalid character '}' after top-level value"),
        (b"[]", "json: cannot unmarshal array into Go value of type"),
        (b"[" * 5000, "exceeded max depth"),
    ],
)
async def test_broken_bodies(http: httpx.AsyncClient, body: bytes, words: str) -> None:
    answer = await http.post(MAPS, content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 400
    assert answer.json()["reason"] == "BadRequest"
    assert words in answer.json()["message"]
    assert answer.json()["message"].startswith(
        "the object provided is unrecognized (must be of type ConfigMap)"
    )


async def test_bodies_in_yaml(http: httpx.AsyncClient) -> None:
    text = b"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: y}\ndata: {day: '2024-01-01'}\n"
    answer = await http.post(MAPS, content=text, headers={"content-type": "application/yaml"})
    assert answer.status_code == 201
    bomb = b"a: &a [x,x,x,x,x,x,x,x,x]\n" + b"".join(
        b"%c: &%c [%s]\n" % (97 + i, 97 + i, b",".join([b"*%c" % (96 + i)] * 9)) for i in range(1, 12)
    )
    refused = await http.post(MAPS, content=bomb, headers={"content-type": "application/yaml"})
    assert refused.status_code == 400


async def test_a_body_may_not_be_larger_than_three_mebibytes(http: httpx.AsyncClient) -> None:
    answer = await http.post(MAPS, content=b" " * 3145729, headers={"content-type": "application/json"})
    assert answer.json() == golden("status-too-large.json")


async def test_formats_that_nobody_reads(http: httpx.AsyncClient) -> None:
    answer = await http.post(MAPS, content=b"<a/>", headers={"content-type": "text/xml"})
    assert (answer.status_code, answer.json()["reason"]) == (415, "UnsupportedMediaType")
    patch = await http.patch(f"{MAPS}/a", json={})
    assert patch.status_code == 415


@pytest.mark.parametrize(
    ("query", "code", "words"),
    [
        ("limit=x", 400, 'strconv.ParseInt: parsing "x": invalid syntax'),
        ("watch=perhaps", 400, 'strconv.ParseBool: parsing "perhaps": invalid syntax'),
        ("dryRun=Some", 422, 'dryRun: Unsupported value: "Some": supported values: "All"'),
        ("resourceVersionMatch=Exact", 422, "resourceVersionMatch is forbidden unless resourceVersion"),
        ("labelSelector=a%20b%20c", 400, ""),
        ("fieldSelector=spec.nosuch%3Dx", 400, "field label not supported: spec.nosuch"),
        ("continue=rubbish", 400, "continue key is not valid"),
        ("sendInitialEvents=true", 422, "sendInitialEvents is forbidden for list"),
    ],
)
async def test_bad_queries(http: httpx.AsyncClient, query: str, code: int, words: str) -> None:
    answer = await http.get(f"{MAPS}?{query}")
    assert answer.status_code == code
    assert words in answer.json()["message"]


async def test_only_an_apply_may_be_forced(http: httpx.AsyncClient) -> None:
    answer = await http.patch(
        f"{MAPS}/a?force=true", content=b"{}", headers={"content-type": "application/merge-patch+json"}
    )
    assert answer.json()["message"] == (
        'PatchOptions.meta.k8s.io "" is invalid: force: Forbidden: may not be specified for non-apply patch'
    )


async def test_paging(http: httpx.AsyncClient) -> None:
    for name in "abcde":
        await http.post(MAPS, json=cm(f"page-{name}"))
    names: list[str] = []
    token = ""
    while True:
        body = (await http.get(MAPS, params={"limit": 2, "continue": token})).json()
        names += [item["metadata"]["name"] for item in body["items"]]
        token = body["metadata"].get("continue", "")
        if not token:
            break
    assert [name for name in names if name.startswith("page-")] == [f"page-{name}" for name in "abcde"]


async def test_unknown_paths_get_a_bare_404(http: httpx.AsyncClient) -> None:
    for path in ("/apis/nosuch/v1/things", "/api/v1/nosuch", "/nosuch", "/api/v1/namespaces/default/nodes"):
        answer = await http.get(path)
        assert (answer.status_code, answer.text) == (404, "404 page not found\n"), path


# --- who asks


async def test_a_wrong_token_is_nobody(http: httpx.AsyncClient) -> None:
    answer = await http.get(MAPS, headers={"authorization": "Bearer wrong"})
    assert answer.status_code == 401
    assert answer.json() == golden("status-unauthorized.json")


async def test_without_a_token_one_is_anonymous(host: Host) -> None:
    transport = httpx.ASGITransport(app=Gateway(host))
    async with httpx.AsyncClient(transport=transport, base_url="https://world") as nobody:
        answer = await nobody.get(MAPS)
        assert answer.json()["message"] == (
            'configmaps is forbidden: User "system:anonymous" cannot list resource "configmaps" '
            'in API group "" in the namespace "default"'
        )
        assert (await nobody.get("/version")).status_code == 200
        secret = await nobody.get("/metrics")
        assert secret.json()["message"] == 'forbidden: User "system:anonymous" cannot get path "/metrics"'


async def test_roles_bind_identities(http: httpx.AsyncClient) -> None:
    jane = {"authorization": "Bearer jane-token"}
    assert (await http.get(MAPS, headers=jane)).status_code == 403
    assert (await http.get("/api/v1/nosuch", headers=jane)).status_code == 403
    rbac = "/apis/rbac.authorization.k8s.io/v1/namespaces/default"
    rules = [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["list"]}]
    await http.post(f"{rbac}/roles", json={"metadata": {"name": "reader"}, "rules": rules})
    bound = {
        "metadata": {"name": "readers"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "reader"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": "developers"}],
    }
    assert (await http.post(f"{rbac}/rolebindings", json=bound)).status_code == 201
    assert (await http.get(MAPS, headers=jane)).status_code == 200
    assert (await http.get(f"{MAPS}/a", headers=jane)).status_code == 403


async def test_acting_for_somebody_else(http: httpx.AsyncClient) -> None:
    answer = await http.get(MAPS, headers={"impersonate-user": "joe", "impersonate-group": "ops"})
    assert 'User "joe" cannot list' in answer.json()["message"]
    refused = await http.get(MAPS, headers={"authorization": "Bearer jane-token", "impersonate-user": "joe"})
    assert refused.json()["message"] == (
        'users "joe" is forbidden: User "jane" cannot impersonate resource "users" '
        'in API group "" at the cluster scope'
    )


async def test_tokens_of_service_accounts(http: httpx.AsyncClient, world: World) -> None:
    path = "/api/v1/namespaces/default/serviceaccounts/default/token"
    asked = {
        "kind": "TokenRequest",
        "apiVersion": "authentication.k8s.io/v1",
        "spec": {"expirationSeconds": 600},
    }
    token = (await http.post(path, json=asked)).json()["status"]["token"]
    mine = {"authorization": f"Bearer {token}"}
    answer = await http.get(MAPS, headers=mine)
    assert 'User "system:serviceaccount:default:default" cannot list' in answer.json()["message"]
    world.run_for(601_000)
    assert (await http.get(MAPS, headers=mine)).status_code == 401


# --- the clock, tenants, warnings


async def test_requests_take_virtual_time(world: World) -> None:
    host = Host(world, pace=Pace(speed=0, read_ms=200, write_ms=500))
    before = world.now
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app=Gateway(host)), base_url="https://world"
    ) as client:
        await client.get("/version")  # of the client's plumbing: free
        await client.get("/api/v1/nodes")
        await client.delete(MAPS)
    assert world.now - before == 700


def test_a_world_follows_a_clock(world: World) -> None:
    now = [100.0]
    host = Host(world, pace=Pace(speed=10), clock=lambda: now[0])
    before = world.now
    now[0] += 1.5
    host.catch_up()
    assert world.now - before == 15_000
    now[0] += 3600  # the machine was asleep: the world does not rush after it
    host.catch_up()
    assert world.now - before <= 15_000 + 20_000


async def test_many_worlds_behind_one_port(world: World, host: Host) -> None:
    other = world.fork()
    Client(other).create({**cm("only-here"), "metadata": {"name": "only-here", "namespace": "default"}})
    app = Gateway({"a": host, "b": Host(other, host.identities)})
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app=app),
        base_url="https://world",
        headers={"authorization": "Bearer admin-token"},
    ) as client:
        assert (await client.get(f"/t/a{MAPS}/only-here")).status_code == 404
        assert (await client.get(f"/t/b{MAPS}/only-here")).status_code == 200
        assert (await client.get(f"/t/c{MAPS}")).status_code == 404
        assert (await client.get(MAPS)).status_code == 404


async def test_unknown_fields_are_warned_of(http: httpx.AsyncClient) -> None:
    answer = await http.post(MAPS, json={**cm("a"), "nosuch": 1})
    assert answer.status_code == 201
    assert answer.headers["warning"] == '299 - "unknown field \\"nosuch\\""'
    strict = await http.post(f"{MAPS}?fieldValidation=Strict", json={**cm("b"), "nosuch": 1})
    assert 'strict decoding error: unknown field "nosuch"' in strict.json()["message"]


async def test_proxies_are_refused_politely(http: httpx.AsyncClient) -> None:
    answer = await http.get("/api/v1/namespaces/kube-system/services/dns/proxy/metrics")
    assert answer.status_code == 503
    assert "not simulated" in answer.json()["message"]
