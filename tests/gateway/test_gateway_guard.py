"""A guard is asked before anything happens, and a witness is told of everything that did."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from firedrill.core.living import RequestLine
from firedrill.gateway.kubernetes import Asked, Decision, Host, Pace
from firedrill.gateway.serving import watchers
from firedrill.world.kube.api import Client
from firedrill.world.world import World


def config_map(name: str, **data: str) -> dict[str, Any]:
    meta: dict[str, Any] = {"name": name, "namespace": "default"}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": data}


MAPS = "/api/v1/namespaces/default/configmaps"
SECRETS = "/api/v1/namespaces/default/secrets"


class Book:
    """A guard that writes down what it is asked and answers as told."""

    def __init__(self, **answer: Any) -> None:
        self.asked: list[Asked] = []
        self.answer: dict[str, Any] = {"effect": "allow", "rule": "all", **answer}

    async def decide(self, asked: Asked) -> Decision:
        self.asked.append(asked)
        return Decision(**self.answer)


@pytest.fixture
def lines(host: Host) -> list[RequestLine]:
    told: list[RequestLine] = []
    host.witness = told.append
    return told


@pytest.fixture
async def alertmanager(host: Host) -> AsyncIterator[httpx.AsyncClient]:
    app = watchers(host)["alertmanager"]
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://am") as client:
        yield client


def secret(name: str) -> dict[str, Any]:
    meta = {"name": name, "namespace": "default"}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": meta, "data": {"password": "aHVudGVyMg=="}}


async def test_a_denied_request_changes_nothing_and_says_why(
    world: World, host: Host, http: httpx.AsyncClient, lines: list[RequestLine]
) -> None:
    host.guard = Book(effect="deny", rule="hands-off", reason="you may only look")
    before = world.digest()
    answer = await http.post(MAPS, json=config_map("one", a="1"))
    assert answer.status_code == 403
    assert answer.json()["reason"] == "Forbidden"
    told = 'configmaps "one" is forbidden: you may only look (rule hands-off)'
    assert answer.json()["message"] == told
    assert world.digest() == before
    (line,) = lines
    assert (line.effect, line.rule, line.code, line.reason) == ("deny", "hands-off", 403, "you may only look")
    assert line.changed == ()


async def test_the_guard_sees_what_a_patch_comes_to(
    world: World, host: Host, http: httpx.AsyncClient
) -> None:
    Client(world).create(config_map("one", a="1"))
    guard = host.guard = Book()
    patch = [{"op": "replace", "path": "/data/a", "value": "2"}]
    kind = {"content-type": "application/json-patch+json"}
    before = world.cluster.store.rv
    assert (await http.patch(f"{MAPS}/one?dryRun=All", json=patch, headers=kind)).status_code == 200
    assert world.cluster.store.rv == before
    assert (await http.patch(f"{MAPS}/one", json=patch, headers=kind)).status_code == 200
    trial, real = guard.asked
    assert (trial.dry_run, real.dry_run) == (True, False)
    assert real.before[0]["data"] == {"a": "1"}
    assert real.after is not None
    assert real.after["data"] == {"a": "2"}
    assert (real.user, real.verb, real.resource, real.count) == ("kubernetes-admin", "patch", "configmaps", 1)


async def test_a_deletecollection_counts_what_it_would_delete(
    world: World, host: Host, http: httpx.AsyncClient, lines: list[RequestLine]
) -> None:
    for number in range(5):
        body = config_map(f"m{number}")
        body["metadata"]["labels"] = {"odd": str(number % 2)}
        Client(world).create(body)
    space = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}}
    Client(world).create(space)
    for number in range(3):
        body = config_map(f"m{number}")
        Client(world).create({**body, "metadata": {**body["metadata"], "namespace": "shop"}})
    guard = host.guard = Book()
    assert (await http.delete(MAPS, params={"labelSelector": "odd=1"})).status_code == 200
    assert (await http.delete("/api/v1/namespaces/shop")).status_code == 200
    some, whole = guard.asked
    assert some.count == 2
    assert {obj["metadata"]["name"] for obj in some.before} == {"m1", "m3"}
    assert whole.count == 4
    assert lines[0].changed == ("default/ConfigMap/m1", "default/ConfigMap/m3")
    assert lines[1].changed == ("cluster/Namespace/shop",)


async def test_a_dry_run_in_the_body_counts_and_one_that_is_not_honoured_does_not(
    world: World, host: Host, http: httpx.AsyncClient
) -> None:
    Client(world).create(config_map("one"))
    guard = host.guard = Book()
    await http.request(
        "DELETE", f"{MAPS}/one", json={"kind": "DeleteOptions", "apiVersion": "v1", "dryRun": ["All"]}
    )
    token = "/api/v1/namespaces/default/serviceaccounts/default/token?dryRun=All"
    body = {"kind": "TokenRequest", "apiVersion": "authentication.k8s.io/v1", "spec": {}}
    assert (await http.post(token, json=body)).status_code == 201
    assert [asked.dry_run for asked in guard.asked] == [True, False]
    assert Client(world).find("configmaps", "default", "one") is not None


async def test_who_asks_is_told_even_where_he_acts_for_another(host: Host, http: httpx.AsyncClient) -> None:
    guard = host.guard = Book()
    await http.get(MAPS, headers={"impersonate-user": "jane"})
    assert (guard.asked[0].user, guard.asked[0].acting_as) == ("kubernetes-admin", "jane")


async def test_what_is_carried_out_is_what_was_approved(
    world: World, host: Host, http: httpx.AsyncClient
) -> None:
    client = Client(world)
    client.create(config_map("one", a="1"))

    class Slow(Book):
        async def decide(self, asked: Asked) -> Decision:
            client.patch("configmaps", "default", "one", {"data": {"b": "9"}}, patch_type="merge")
            return await super().decide(asked)

    host.guard = Slow(asked=True, approver="lead")
    patch = [{"op": "copy", "from": "/data", "path": "/metadata/annotations"}]
    kind = {"content-type": "application/json-patch+json"}
    answer = await http.patch(f"{MAPS}/one", json=patch, headers=kind)
    assert answer.status_code == 409
    assert "annotations" not in client.get("configmaps", "default", "one")["metadata"]


async def test_waiting_for_an_approver_takes_virtual_time(
    world: World, host: Host, http: httpx.AsyncClient, lines: list[RequestLine]
) -> None:
    host.guard = Book(asked=True, approver="lead", waited_ms=120_000)
    start = world.now
    await http.post(MAPS, json=config_map("one"))
    assert world.now - start == 120_000
    (line,) = lines
    assert (line.asked, line.approver, line.waited_ms, line.at_ms) == (True, "lead", 120_000, start)


async def test_a_request_that_the_api_would_refuse_is_not_carried_out(
    host: Host, http: httpx.AsyncClient, lines: list[RequestLine]
) -> None:
    guard = host.guard = Book()
    answer = await http.delete(f"{MAPS}/nobody")
    assert answer.status_code == 404
    assert "not found" in guard.asked[0].refusal
    assert (lines[0].code, lines[0].reason) == (404, "NotFound")


async def test_the_witness_is_told_what_was_written_and_what_was_disclosed(
    world: World, host: Host, http: httpx.AsyncClient, lines: list[RequestLine]
) -> None:
    Client(world).create(secret("key"))
    start = world.cluster.store.rv
    await http.post(MAPS, json={**config_map("x"), "metadata": {"generateName": "note-"}})
    await http.get(SECRETS)
    await http.get(SECRETS, headers={"accept": "application/json;as=Table;v=v1;g=meta.k8s.io"})
    await http.patch(
        f"{SECRETS}/key?dryRun=All", json={}, headers={"content-type": "application/merge-patch+json"}
    )
    await http.get("/version")
    await http.get("/nowhere")
    made, listed, table, empty, version, nowhere = lines
    assert made.changed == (f"default/ConfigMap/{made.name}",)
    assert made.name.startswith("note-")
    assert (made.since_rv, made.rv) == (start, start + 1)
    assert listed.disclosed == ("default/Secret/key",)
    assert table.disclosed == ()
    assert empty.disclosed == ("default/Secret/key",)
    assert (empty.dry_run, empty.changed, empty.writes) == (True, (), False)
    assert (version.code, version.path, version.resource) == (200, "/version", "")
    assert nowhere.code in {403, 404}
    assert all(line.bytes_out > 0 for line in lines)


async def test_questions_about_rights_are_reads(
    host: Host, http: httpx.AsyncClient, lines: list[RequestLine]
) -> None:
    guard = host.guard = Book()
    review = {
        "kind": "SelfSubjectAccessReview",
        "apiVersion": "authorization.k8s.io/v1",
        "spec": {"resourceAttributes": {"verb": "delete", "resource": "pods"}},
    }
    await http.post("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", json=review)
    assert not guard.asked[0].writes
    assert not lines[0].writes


async def test_a_watch_is_told_when_it_begins(stream: Any, lines: list[RequestLine], host: Host) -> None:
    async with stream(MAPS, "watch=true") as wire:
        while not wire.status:
            await asyncio.sleep(0)
        assert [line.verb for line in lines] == ["watch"]
    assert len(lines) == 1


async def test_silences_are_writes_of_alertmanager(
    world: World, host: Host, alertmanager: httpx.AsyncClient, lines: list[RequestLine]
) -> None:
    every = {"name": "alertname", "value": ".*", "isRegex": True}
    body = {
        "matchers": [every, {"name": "severity", "value": "x", "isRegex": False}],
        "startsAt": "2020-01-01T00:00:00Z",
        "endsAt": "2120-01-01T00:00:00Z",
        "createdBy": "me",
        "comment": "quiet",
    }
    made = await alertmanager.post("/api/v2/silences", json=body)
    assert made.status_code == 200, made.text
    guard = host.guard = Book(effect="deny", rule="no-silences", reason="alerts stay")
    again = await alertmanager.post("/api/v2/silences", json=body)
    ended = await alertmanager.delete(f"/api/v2/silence/{made.json()['silenceID']}")
    assert (again.status_code, ended.status_code) == (403, 403)
    assert again.json() == "silences is forbidden: alerts stay (rule no-silences)"
    assert [asked.verb for asked in guard.asked] == ["create", "delete"]
    first, second, third = lines
    assert first.changed == (f"cluster/Silence/{made.json()['silenceID']}",)
    assert (second.effect, second.code, second.changed) == ("deny", 403, ())
    assert third.verb == "delete"


async def test_nothing_is_told_where_nobody_listens(world: World, http: httpx.AsyncClient) -> None:
    """A host without guard and witness answers as if there were no such things."""
    plain = await http.post(MAPS, json=config_map("one"))
    twin = Host(world.fork(), pace=Pace(speed=0))
    assert twin.guard is None
    assert twin.witness is None
    assert plain.status_code == 201
