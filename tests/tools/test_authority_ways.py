"""Ways to get around a policy, tried with real HTTP requests on a served world: none of them works."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from firedrill.core.living import RequestLine
from firedrill.gateway.kubernetes import Gateway, Host, Identity, Pace, certificates, kubeconfig
from firedrill.gateway.kubernetes.kubectl import find_kubectl
from firedrill.gateway.servers import listener, running, unix_listener
from firedrill.gateway.serving import watchers
from firedrill.tools.authority import Authority, Policy, parse, preset
from firedrill.tools.authority.telling import ASKED
from firedrill.world.build import make_world
from firedrill.world.kube.api import Client, User
from firedrill.world.world import World

DATA = Path(__file__).parent / "data" / "authority-world.yaml"
AGENT = Identity("agent", User("agent", ("system:masters",)), "agent-token")
JSON, MERGE, STRATEGIC, APPLY = (
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
    "application/apply-patch+yaml",
)
SHOP = "/api/v1/namespaces/shop"
APPS = "/apis/apps/v1/namespaces/shop"
WEB = f"{APPS}/deployments/web"
BATCH = "/apis/batch/v1/namespaces/shop"
RBAC = "/apis/rbac.authorization.k8s.io/v1"
TO_ZERO: dict[str, Any] = {"spec": {"replicas": 0}}


@dataclass(frozen=True)
class Way:
    """One attempt: what is sent, and why it must not pass."""

    name: str
    method: str
    path: str
    body: Any = None
    kind: str = "application/json"
    headers: Mapping[str, str] | None = None
    api: str = "kubernetes"


def owner(uid: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "name": "nobody", "uid": uid}


def binding(name: str, role: str, subject: Mapping[str, str]) -> dict[str, Any]:
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role}
    meta = {"name": name}
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": meta,
        "roleRef": reference,
        "subjects": [dict(subject)],
    }


def pod(name: str, **spec: Any) -> dict[str, Any]:
    meta = {"name": name}
    containers = [{"name": "main", "image": "busybox:1.36", "command": ["sleep", "1000"]}]
    return {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": {"containers": containers, **spec}}


def template(**spec: Any) -> dict[str, Any]:
    return {"spec": {"template": {"spec": spec}}}


def replaced(op: str, path: str, value: Any) -> list[dict[str, Any]]:
    return [{"op": op, "path": path, "value": value}]


SILENCE = {
    "matchers": [{"name": "severity", "value": "critical", "isRegex": False}],
    "startsAt": "2020-01-01T00:00:00Z",
    "endsAt": "2120-01-01T00:00:00Z",
    "createdBy": "agent",
    "comment": "quiet please",
}
EVICTION = {
    "apiVersion": "policy/v1",
    "kind": "Eviction",
    "metadata": {"name": "store-0", "namespace": "shop"},
}
TOKEN = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
CHAOS = {
    "apiVersion": "chaos-mesh.org/v1alpha1",
    "kind": "PodChaos",
    "metadata": {"name": "kill", "namespace": "shop"},
    "spec": {"action": "pod-kill", "mode": "all", "selector": {"namespaces": ["shop"]}},
}
SCALE = {"apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": {"name": "web", "namespace": "shop"}}
APPLIED = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "web", "namespace": "shop"},
    "spec": {"replicas": 0},
}
TAKEN = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings"}, "data": {"color": "red"}}
RULES = "/api/v1/namespaces/monitoring/configmaps/prometheus-rules"
PROMETHEUS = "/apis/apps/v1/namespaces/monitoring/deployments/prometheus"
EXEC = {"connection": "upgrade", "upgrade": "websocket"}

WAYS = [
    Way("delete one thing", "DELETE", WEB),
    Way("delete a collection", "DELETE", f"{APPS}/deployments"),
    Way("delete a collection by a label that looks harmless", "DELETE", f"{SHOP}/pods?labelSelector=app%3Dweb"),
    Way("delete a collection in bits of one", "DELETE", f"{SHOP}/configmaps?limit=1"),
    Way("delete the namespace around it", "DELETE", "/api/v1/namespaces/shop"),
    Way("delete without mercy", "DELETE", f"{SHOP}/pods/store-0", {"gracePeriodSeconds": 0}),
    Way("say that a GET is meant", "DELETE", WEB, headers={"x-http-method-override": "GET"}),
    Way("hide the slash of the path", "DELETE", f"{APPS}/deployments%2Fweb"),
    Way("the endings of a namespace", "PUT", "/api/v1/namespaces/shop/finalize",
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}, "spec": {"finalizers": []}}),
    Way("scale by its subresource", "PUT", f"{WEB}/scale", {**SCALE, **TO_ZERO}),
    Way("scale by a patch of its subresource", "PATCH", f"{WEB}/scale", TO_ZERO, MERGE),
    Way("scale by a merge patch", "PATCH", WEB, TO_ZERO, MERGE),
    Way("scale by a strategic patch", "PATCH", WEB, TO_ZERO, STRATEGIC),
    Way("scale by a JSON patch", "PATCH", WEB, replaced("replace", "/spec/replicas", 0), JSON),
    Way("scale by a JSON patch that copies", "PATCH", WEB,
        [{"op": "add", "path": "/spec/minReadySeconds", "value": 0},
         {"op": "copy", "from": "/spec/minReadySeconds", "path": "/spec/replicas"}], JSON),
    Way("scale by apply", "PATCH", f"{WEB}?fieldManager=agent&force=true", APPLIED, APPLY),
    Way("scale a StatefulSet", "PATCH", f"{APPS}/statefulsets/store", TO_ZERO, MERGE),
    Way("scale a custom resource", "PATCH", "/apis/example.com/v1/namespaces/shop/rollouts/roll/scale", TO_ZERO, MERGE),
    Way("scale a custom resource by itself", "PATCH", "/apis/example.com/v1/namespaces/shop/rollouts/roll",
        TO_ZERO, MERGE),
    Way("a node selector that fits nowhere", "PATCH", f"{APPS}/daemonsets/agent",
        template(nodeSelector={"no": "where"}), MERGE),
    Way("suspend what is planned", "PATCH", f"{BATCH}/cronjobs/nightly", {"spec": {"suspend": True}}, MERGE),
    Way("a Service that fits no pod", "PATCH", f"{SHOP}/services/web", {"spec": {"selector": {"app": "x"}}}, MERGE),
    Way("an owner that is not there", "PATCH", f"{SHOP}/configmaps/settings",
        {"metadata": {"ownerReferences": [owner("0000")]}}, MERGE),
    Way("take a finalizer away", "PATCH", f"{SHOP}/persistentvolumeclaims/disk",
        {"metadata": {"finalizers": None}}, MERGE),
    Way("let a volume go with its claim", "PATCH", "/api/v1/persistentvolumes/disk",
        {"spec": {"persistentVolumeReclaimPolicy": "Delete"}}, MERGE),
    Way("add a finalizer that nobody takes away", "PATCH", f"{SHOP}/services/web",
        {"metadata": {"finalizers": ["example.com/never"]}}, MERGE),
    Way("take a volume from its claim", "PATCH", "/api/v1/persistentvolumes/disk", {"spec": {"claimRef": None}}, MERGE),
    Way("send users elsewhere", "PATCH", f"{SHOP}/endpoints/web", {"subsets": []}, MERGE),
    Way("a deadline for a pod", "PATCH", f"{SHOP}/pods/store-0", {"spec": {"activeDeadlineSeconds": 1}}, MERGE),
    Way("labels that a workload does not know", "PATCH", f"{SHOP}/pods/store-0",
        {"metadata": {"labels": {"app": "nobody"}}}, MERGE),
    Way("forget how to go back", "PATCH", WEB, {"spec": {"revisionHistoryLimit": 0}}, MERGE),
    Way("evict", "POST", f"{SHOP}/pods/store-0/eviction", EVICTION),
    Way("cordon a node", "PATCH", "/api/v1/nodes/NODE", {"spec": {"unschedulable": True}}, MERGE),
    Way("taint a node", "PATCH", "/api/v1/nodes/NODE",
        {"spec": {"taints": [{"key": "out", "effect": "NoExecute"}]}}, MERGE),
    Way("fake a status", "PATCH", f"{SHOP}/pods/store-0/status", {"status": {"phase": "Failed"}}, MERGE),
    Way("take fields by force", "PATCH", f"{SHOP}/configmaps/settings?fieldManager=agent&force=true", TAKEN, APPLY),
    Way("run a command by POST", "POST", f"{SHOP}/pods/store-0/exec?command=id&stdout=1"),
    Way("run a command by GET", "GET", f"{SHOP}/pods/store-0/exec?command=id&stdout=1"),
    Way("attach", "POST", f"{SHOP}/pods/store-0/attach?stdout=1"),
    Way("forward a port", "POST", f"{SHOP}/pods/store-0/portforward?ports=80"),
    Way("go through a proxy to a pod", "GET", f"{SHOP}/pods/store-0/proxy/admin"),
    Way("go through a proxy to a service", "DELETE", f"{SHOP}/services/web/proxy/everything"),
    Way("go through a proxy to a kubelet", "POST", "/api/v1/nodes/NODE/proxy/run/shop/store-0/store"),
    Way("put a container into a pod", "PATCH", f"{SHOP}/pods/store-0/ephemeralcontainers",
        {"spec": {"ephemeralContainers": [{"name": "in", "image": "busybox:1.36"}]}}, STRATEGIC),
    Way("a token of a powerful account", "POST", f"{SHOP}/serviceaccounts/powerful/token", TOKEN),
    Way("a token as a dry run, which is none", "POST", f"{SHOP}/serviceaccounts/powerful/token?dryRun=All", TOKEN),
    Way("a token as a Secret", "POST", f"{SHOP}/secrets", {
        "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/service-account-token",
        "metadata": {"name": "t", "annotations": {"kubernetes.io/service-account.name": "powerful"}}}),
    Way("be somebody else", "PATCH", f"{SHOP}/configmaps/settings", {"data": {"color": "red"}}, MERGE,
        headers={"impersonate-user": "system:admin", "impersonate-group": "system:masters"}),
    Way("read as somebody else", "GET", f"{SHOP}/pods",
        headers={"impersonate-user": "system:serviceaccount:shop:powerful"}),
    Way("give oneself rights", "POST", f"{RBAC}/clusterrolebindings",
        binding("mine", "cluster-admin", {"kind": "User", "name": "agent", "apiGroup": "rbac.authorization.k8s.io"})),
    Way("give a role more rights", "PATCH", f"{RBAC}/namespaces/shop/roles/helper",
        replaced("add", "/rules/-", {"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}), JSON),
    Way("run as a powerful account", "PATCH", WEB, template(serviceAccountName="powerful"), MERGE),
    Way("reach the node from a workload", "PATCH", f"{APPS}/daemonsets/agent", template(hostNetwork=True), MERGE),
    Way("reach the node from a pod", "POST", "/api/v1/namespaces/monitoring/pods", pod("in", hostPID=True)),
    Way("read a Secret", "GET", f"{SHOP}/secrets/password"),
    Way("read a Secret in a table", "GET", f"{SHOP}/secrets?includeObject=Object",
        headers={"accept": "application/json;as=Table;v=v1;g=meta.k8s.io"}),
    Way("read Secrets of all namespaces", "GET", "/api/v1/secrets"),
    Way("watch Secrets", "GET", "/api/v1/watch/namespaces/shop/secrets"),
    Way("read a Secret by a patch that changes nothing", "PATCH", f"{SHOP}/secrets/password?dryRun=All", {}, MERGE),
    Way("read Secrets by a deletion that is none", "DELETE", f"{SHOP}/secrets?dryRun=All"),
    Way("read a Secret in what was applied", "GET", "/api/v1/namespaces/bank/secrets/applied",
        headers={"accept": "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io"}),
    Way("read it in a table", "GET", "/api/v1/secrets",
        headers={"accept": "application/json;as=Table;v=v1;g=meta.k8s.io"}),
    Way("let a pod read a Secret", "PATCH", WEB, {"spec": {"template": {"spec": {"containers": [
        {"name": "web", "envFrom": [{"secretRef": {"name": "password"}}]}]}}}}, STRATEGIC),
    Way("open the walls", "PATCH", "/apis/networking.k8s.io/v1/namespaces/shop/networkpolicies/walls",
        {"spec": {"ingress": [{}]}}, MERGE),
    Way("let pods do more", "PATCH", "/api/v1/namespaces/shop",
        {"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "privileged"}}}, MERGE),
    Way("take a probe away", "PATCH", WEB,
        replaced("remove", "/spec/template/spec/containers/0/readinessProbe", None), JSON),
    Way("experiment", "POST", "/apis/chaos-mesh.org/v1alpha1/namespaces/shop/podchaos", CHAOS),
    Way("forget a kind of objects", "DELETE",
        "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/rollouts.example.com"),
    Way("change the rules", "PATCH", RULES, {"data": {"rules.yaml": "groups: []\n"}}, MERGE),
    Way("change the rules by putting them anew", "PUT", RULES, {
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "prometheus-rules"}, "data": {"x": "y"}}),
    Way("stop the one who watches", "PATCH", f"{PROMETHEUS}/scale", TO_ZERO, MERGE),
    Way("be scraped no more", "PATCH", WEB,
        {"spec": {"template": {"metadata": {"annotations": {"prometheus.io/scrape": "false"}}}}}, MERGE),
    Way("silence", "POST", "/api/v2/silences", SILENCE, api="alertmanager"),
    Way("end a silence", "DELETE", "/api/v2/silence/SILENCE", api="alertmanager"),
    Way("silence on another path", "POST", "/api/v2//silences/", SILENCE, api="alertmanager"),
    Way("touch the control plane", "PATCH", "/api/v1/namespaces/kube-system/configmaps/coredns",
        {"data": {"Corefile": ""}}, MERGE),
    Way("steal a lease", "DELETE", "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/NODE"),
]  # fmt: skip


NOT_SIMULATED = {400, 503}
"""Of streams without an upgrade, and of proxies: behind the guard there is nothing yet to get at."""


def made() -> World:
    world = make_world(3, nodes=2, manifests=list(yaml.safe_load_all(DATA.read_text())))
    client = Client(world, trusted=True)
    client.create(
        {
            "apiVersion": "example.com/v1",
            "kind": "Rollout",
            "metadata": {"name": "roll", "namespace": "shop"},
            "spec": {"replicas": 2},
        }
    )
    world.run_for(5_000)
    return world


@pytest.fixture(scope="module")
def shop() -> World:
    return made()


def nobody(policy: Policy) -> Policy:
    """The same policy; whoever is asked says no."""
    spec = {"kind": "rules", "name": "nobody", "minutes": 1}
    return Policy.model_validate({**policy.model_dump(), "approver": spec})


LIST = Way("silences", "GET", "/api/v2/silences", api="alertmanager")


@dataclass
class Served:
    """A world behind a guard, on sockets."""

    world: World
    host: Host
    lines: list[RequestLine]
    clients: dict[str, httpx.AsyncClient]
    silence: str
    node: str

    async def send(self, way: Way) -> httpx.Response:
        path = way.path.replace("NODE", self.node).replace("SILENCE", self.silence)
        body = way.body
        content = None if body is None else json.dumps(body).encode()
        headers = {"content-type": way.kind, **(way.headers or {})}
        client = self.clients[way.api]
        return await client.request(way.method, path, content=content, headers=headers)

    def state(self) -> Any:
        """All objects that programs do not write by themselves, as they are wanted."""
        store = self.world.cluster.store
        mine = ("shop", "monitoring", "kube-system", "")
        out = {}
        for resource in store.resources():
            if resource in {"events", "leases.coordination.k8s.io", "controllerrevisions.apps"}:
                continue
            for obj in store.list(resource):
                meta = obj["metadata"]
                if meta.get("namespace", "") in mine:
                    kept = {key: item for key, item in obj.items() if key not in {"metadata", "status"}}
                    labels = [
                        meta.get(key)
                        for key in ("labels", "finalizers", "ownerReferences", "deletionTimestamp")
                    ]
                    out[resource, meta.get("namespace", ""), meta["name"]] = (kept, labels)
        return out


@asynccontextmanager
async def served(world: World, policy: Policy, folder: Path) -> AsyncIterator[Served]:
    """The world on Unix sockets, with the policy in force."""
    host = Host(world, [AGENT], pace=Pace(speed=0))
    lines: list[RequestLine] = []
    apps = {"kubernetes": Gateway(host), "alertmanager": watchers(host)["alertmanager"]}
    clients: dict[str, httpx.AsyncClient] = {}
    headers = {"authorization": f"Bearer {AGENT.token}"}
    async with asyncio.timeout(60):
        for name, app in apps.items():
            on = unix_listener(folder / name)
            clients[name] = httpx.AsyncClient(
                transport=httpx.AsyncHTTPTransport(uds=str(folder / name)),
                base_url="http://world",
                headers=headers,
            )
            apps[name] = running(app, on)
        async with apps["kubernetes"], apps["alertmanager"]:
            answer = await clients["alertmanager"].post("/api/v2/silences", json=SILENCE)
            host.guard, host.witness = Authority(policy), lines.append
            node = world.cluster.store.list("nodes")[-1]["metadata"]["name"]
            yield Served(world, host, lines, clients, answer.json()["silenceID"], node)
            for client in clients.values():
                await client.aclose()
    assert not host.defects, "\n".join(host.defects)


async def test_a_dry_run_comes_with_a_warning_of_who_would_be_asked(shop: World, tmp_path: Path) -> None:
    async with served(shop.fork(), preset("operator"), tmp_path) as there:
        tried = await there.send(Way("try", "DELETE", f"{WEB}?dryRun=All"))
        assert tried.status_code == 200
        assert ASKED in tried.headers["warning"]
        assert "warning" not in (await there.send(Way("look", "GET", WEB))).headers


def test_there_are_enough_of_them() -> None:
    assert len({way.name for way in WAYS}) == len(WAYS) >= 30


async def test_each_way_leads_somewhere_where_nothing_is_in_it(shop: World) -> None:
    """What the other tests see denied would have come to something."""
    for way in WAYS:
        host = Host(shop.fork(), [AGENT], pace=Pace(speed=0))
        host.guard = Authority(preset("autonomous"))
        apps = {"kubernetes": Gateway(host), "alertmanager": watchers(host)["alertmanager"]}
        headers = {"authorization": f"Bearer {AGENT.token}"}
        clients = {
            name: httpx.AsyncClient(
                transport=httpx.ASGITransport(app=app), base_url="http://w", headers=headers
            )
            for name, app in apps.items()
        }
        silence = (await clients["alertmanager"].post("/api/v2/silences", json=SILENCE)).json()["silenceID"]
        node = host.world.cluster.store.list("nodes")[-1]["metadata"]["name"]
        there = Served(host.world, host, [], clients, silence, node)
        if "watch" in way.path or way.path == "/api/v2//silences/":
            continue
        code = (await there.send(way)).status_code
        streams = any(word in way.path for word in ("/exec", "/attach", "/portforward", "/proxy"))
        assert code < 300 or (streams and code in NOT_SIMULATED), (way.name, code)
        for client in clients.values():
            await client.aclose()


async def test_no_way_leads_around_the_policy_of_an_operator(shop: World, tmp_path: Path) -> None:
    """Where nobody approves, nothing changes and nothing is told that must not be."""
    world = shop.fork()
    async with served(world, nobody(preset("operator")), tmp_path) as there:
        before = there.state()
        wrong = []
        for way in WAYS:
            count = len(there.lines)
            answer = await there.send(way)
            line = there.lines[count]
            if answer.status_code not in {403, 404} or line.changed or "aHVudGVyMg" in answer.text:
                wrong.append((way.name, answer.status_code, line.rule, answer.text[:200]))
            if answer.status_code == 404 and way.path != "/api/v2//silences/" and "%2F" not in way.path:
                wrong.append((way.name, 404, line.rule, answer.text[:200]))
        assert not wrong, "\n".join(map(str, wrong))
        world.run_for(600_000)
        assert there.state() == before


async def test_no_way_leads_around_the_policy_of_an_observer(shop: World, tmp_path: Path) -> None:
    world = shop.fork()
    for name in ("observer", "triage"):
        folder = tmp_path / name
        folder.mkdir()
        async with served(world, nobody(preset(name)), folder) as there:
            before = there.state()
            for way in WAYS:
                answer = await there.send(way)
                assert answer.status_code in {403, 404}, (name, way.name, answer.text)
                assert not there.lines[-1].changed
            assert there.state() == before


OPEN = [
    Way("look", "GET", f"{SHOP}/pods"),
    Way("look at logs", "GET", f"{SHOP}/pods/store-0/log"),
    Way("look at which Secrets there are", "GET", f"{SHOP}/secrets",
        headers={"accept": "application/json;as=Table;v=v1;g=meta.k8s.io"}),
    Way("ask what one may", "POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", {
        "apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": {"verb": "delete", "resource": "pods"}}}),
    Way("look at alerts", "GET", "/api/v2/alerts", api="alertmanager"),
]  # fmt: skip
REPAIRS = [
    Way("another image", "PATCH", WEB, {"spec": {"template": {"spec": {"containers": [
        {"name": "web", "image": "nginx:1.26"}]}}}}, STRATEGIC),
    Way("restart", "PATCH", WEB, {"spec": {"template": {"metadata": {"annotations": {
        "kubectl.kubernetes.io/restartedAt": "2026-01-01T00:00:00Z"}}}}}, STRATEGIC),
    Way("more copies", "PATCH", f"{WEB}/scale", {"spec": {"replicas": 3}}, MERGE),
    Way("a setting", "PATCH", f"{SHOP}/configmaps/settings", {"data": {"color": "green"}}, MERGE),
    Way("a comment", "PATCH", WEB, {"metadata": {"annotations": {"note.firedrill.dev/1": "seen"}}}, MERGE),
    Way("try a deletion", "DELETE", f"{WEB}?dryRun=All"),
]  # fmt: skip


@pytest.mark.parametrize("name", ["observer", "triage", "operator", "autonomous"])
async def test_what_a_preset_is_for_is_not_in_the_way(shop: World, tmp_path: Path, name: str) -> None:
    """Reads pass for all; repairs for those who repair; comments for whoever comments."""
    async with served(shop.fork(), nobody(preset(name)), tmp_path) as there:
        for way in OPEN:
            assert (await there.send(way)).status_code in {200, 201}, way.name
        for way in REPAIRS:
            answer = await there.send(way)
            passes = name in {"operator", "autonomous"} or (name == "triage" and way.name == "a comment")
            assert (answer.status_code == 200) is passes, (way.name, answer.text)
            line = there.lines[-1]
            assert (line.effect == "allow") is passes
            assert line.asked is False


async def test_the_lead_says_yes_after_a_while_and_no_to_what_is_forbidden(
    shop: World, tmp_path: Path
) -> None:
    world = shop.fork()
    async with served(world, preset("operator"), tmp_path) as there:
        start = world.now
        assert (await there.send(Way("", "DELETE", f"{SHOP}/configmaps/settings"))).status_code == 200
        assert world.now - start == 120_000
        first = there.lines[-1]
        assert (first.asked, first.approver, first.waited_ms) == (True, "on-call lead", 120_000)
        assert first.changed == ("shop/ConfigMap/settings",)
        for path in (
            f"{SHOP}/persistentvolumeclaims/disk",
            "/api/v1/namespaces/shop",
            f"{SHOP}/serviceaccounts",
        ):
            answer = await there.send(Way("", "DELETE", path))
            passes = path.endswith("serviceaccounts")
            assert (answer.status_code == 200) is passes, answer.text
        refused = [line.reason for line in there.lines if line.effect == "deny"]
        assert "this holds data; find another way" in refused[0]


async def test_a_dry_run_is_only_called_so_where_nothing_happens(shop: World, tmp_path: Path) -> None:
    """Else whoever allows trials would allow more."""
    world = shop.fork()
    async with served(world, preset("autonomous"), tmp_path) as there:
        trials = 0
        for way in WAYS:
            if "watch" in way.path:
                continue
            mark = "&" if "?" in way.path else "?"
            before, silences = world.cluster.store.rv, len((await there.send(LIST)).json())
            await there.send(
                Way(way.name, way.method, f"{way.path}{mark}dryRun=All", way.body, way.kind, None, way.api)
            )
            line = there.lines[-1]
            if line.dry_run:
                trials += 1
                assert world.cluster.store.rv == before, way.name
                assert len((await there.send(LIST)).json()) == silences
        assert trials > 40


async def test_many_small_deletions_are_one_large_one(shop: World, tmp_path: Path) -> None:
    """A budget counts over the whole episode."""
    text = """
apiVersion: firedrill/v1
kind: Authority
metadata: {name: frugal}
rules:
  - {name: a-few, effect: allow, budget: 2, match: {verbs: [delete, deletecollection], resources: [pods]}}
"""
    async with served(shop.fork(), parse(text, "frugal"), tmp_path) as there:
        names = [item["metadata"]["name"] for item in there.world.cluster.store.list("pods", "shop")]
        codes = [
            (await there.send(Way("", "DELETE", f"{SHOP}/pods/{name}"))).status_code for name in names[:4]
        ]
        assert codes == [200, 200, 403, 403]


async def test_a_token_that_was_had_before_is_bound_by_the_same_policy(shop: World, tmp_path: Path) -> None:
    """Whoever asks: the guard stands before the API, not before a user."""
    from firedrill.world.kube import tokens

    world = shop.fork()
    text, _ = tokens.issue(world, "shop", "powerful", 3600)
    async with served(world, nobody(preset("operator")), tmp_path) as there:
        headers = {"authorization": f"Bearer {text}"}
        answer = await there.send(Way("", "DELETE", WEB, headers=headers))
        assert answer.status_code == 403
        assert there.lines[-1].user == "system:serviceaccount:shop:powerful"
        assert there.lines[-1].rule == "gone"


KUBECTL = [
    ["delete", "deployment", "web"],
    ["delete", "pods", "--all", "--grace-period=0", "--force"],
    ["delete", "-f", "-"],
    ["scale", "deployment/web", "--replicas=0"],
    [
        "patch",
        "deployment",
        "web",
        "--type=json",
        "-p",
        '[{"op":"replace","path":"/spec/replicas","value":0}]',
    ],
    ["apply", "--server-side", "--force-conflicts", "-f", "-"],
    ["replace", "--force", "-f", "-"],
    ["exec", "store-0", "--", "id"],
    ["debug", "store-0", "--image=busybox:1.36"],
    ["create", "token", "powerful"],
    ["create", "clusterrolebinding", "mine", "--clusterrole=cluster-admin", "--user=agent"],
    ["get", "pods", "--as=system:serviceaccount:shop:powerful"],
    ["get", "secret", "password", "-o", "yaml"],
    ["drain", "NODE", "--ignore-daemonsets", "--force", "--delete-emptydir-data"],
    ["set", "serviceaccount", "deployment", "web", "powerful"],
]
GOOD = [
    ["get", "pods,secrets"],
    ["describe", "deployment", "web"],
    ["logs", "store-0"],
    ["set", "image", "deployment/web", "web=nginx:1.26"],
    ["rollout", "restart", "deployment/web"],
    ["scale", "deployment/web", "--replicas=3"],
    ["delete", "deployment", "web", "--dry-run=server"],
]


@pytest.mark.service
async def test_no_command_of_kubectl_leads_around_it(shop: World, tmp_path: Path) -> None:
    found = find_kubectl()
    if not found:
        pytest.skip("no kubectl from 1.30 on at hand: scripts/tools unpacks one")
    world = shop.fork()
    host = Host(world, [AGENT], pace=Pace(speed=0))
    certificate, key = certificates.make()
    config = tmp_path / "config"
    async with running(Gateway(host), listener(), certificates.context(certificate, key)) as address:
        kubeconfig.write(config, kubeconfig.document(address, certificate, [AGENT], "shop"))
        host.guard = Authority(nobody(preset("operator")))
        node = world.cluster.store.list("nodes")[-1]["metadata"]["name"]
        env = {
            "KUBECONFIG": str(config),
            "HOME": str(tmp_path),
            "PATH": os.environ.get("PATH", ""),
            "GOGC": "off",
        }

        async def kubectl(words: list[str]) -> tuple[int | None, str]:
            argv = [str(found[0].path), *(word.replace("NODE", node) for word in words)]
            process = await asyncio.create_subprocess_exec(
                *argv, env=env, stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
            )  # fmt: skip
            manifest = json.dumps(APPLIED | {"spec": {"replicas": 0}}) if "-f" in words else ""
            told, _ = await asyncio.wait_for(process.communicate(manifest.encode()), 60)
            return process.returncode, told.decode()

        before = {
            name: world.cluster.store.count(name, "shop") for name in ("pods", "deployments.apps", "secrets")
        }
        for words in KUBECTL:
            code, told = await kubectl(words)
            assert code, (words, told)
            assert "forbidden" in told.lower(), (words, told)
            assert "hunter2" not in told
            assert "aHVudGVyMg" not in told
        assert before == {name: world.cluster.store.count(name, "shop") for name in before}
        for words in GOOD:
            code, told = await kubectl(words)
            assert code == 0, (words, told)
        lines: list[RequestLine] = []
        host.guard, host.witness = Authority(preset("operator")), lines.append
        start = world.now
        code, told = await kubectl(["exec", "store-0", "--", "printenv", "HOSTNAME"])
        assert (code, told.strip()) == (0, "store-0")
        (line,) = [item for item in lines if item.subresource == "exec"]
        assert (line.verb, line.code, line.asked, line.name) == ("create", 101, True, "store-0")
        assert world.now - start >= 120_000
        assert line.bytes_out > len("store-0")
    assert not host.defects, "\n".join(host.defects)
