"""A mesh and its gateways: who takes part, who may call whom, where requests go, and what proxies write."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firedrill.world import World, mesh
from firedrill.world.app import load_package, traffic
from firedrill.world.app.rows import KINDS
from firedrill.world.build import make_world
from firedrill.world.kube.api import Client
from firedrill.world.kube.kubelet import read_log
from firedrill.world.kube.objects import Obj, dig, labels_of, name_of
from firedrill.world.mesh.policy import Asked, Denial, decide, matches, mode_of
from firedrill.world.mesh.routing import find_rule, milliseconds
from firedrill.world.telemetry.producers.mesh import mode_of as counted_as

SPACE = "book-info"
ROUTES = "httproutes.gateway.networking.k8s.io"
GATEWAYS = "gateways.gateway.networking.k8s.io"
POLICIES = "authorizationpolicies.security.istio.io"
CALLER = "cluster.local/ns/shop/sa/cart"


def policy(action: str, *rules: Obj, name: str = "p") -> Obj:
    return {"metadata": {"name": name, "namespace": "shop"}, "spec": {"action": action, "rules": list(rules)}}


def from_(**source: list[str]) -> Obj:
    return {"from": [{"source": source}]}


def to(**operation: list[str]) -> Obj:
    return {"to": [{"operation": operation}]}


GET = Asked(CALLER, "10.244.1.7", 8080, "shop.example", "GET", "/cart/7?x=1")


@pytest.mark.parametrize(
    ("policies", "allowed"),
    [
        ([], True),
        ([policy("ALLOW")], False),
        ([policy("DENY")], True),
        ([policy("DENY", {})], False),
        ([policy("ALLOW", {})], True),
        ([policy("ALLOW", from_(principals=[CALLER]))], True),
        ([policy("ALLOW", from_(principals=["*/sa/cart"]))], True),
        ([policy("ALLOW", from_(serviceAccounts=["shop/cart"]))], True),
        ([policy("ALLOW", from_(namespaces=["other"]))], False),
        ([policy("ALLOW", from_(notNamespaces=["other"]))], True),
        ([policy("ALLOW", from_(ipBlocks=["10.244.0.0/16"]))], True),
        ([policy("ALLOW", from_(notIpBlocks=["10.244.0.0/16"]))], False),
        ([policy("ALLOW", to(methods=["POST"]), to(paths=["/cart/*"]))], True),
        ([policy("ALLOW", to(methods=["POST"], paths=["/cart/*"]))], False),
        ([policy("ALLOW", to(ports=["8080"]))], True),
        ([policy("ALLOW", {"when": [{"key": "source.namespace", "values": ["shop"]}]})], True),
        ([policy("ALLOW", {"when": [{"key": "destination.port", "notValues": ["8080"]}]})], False),
        ([policy("ALLOW", {}), policy("DENY", from_(namespaces=["shop"]))], False),
        ([policy("AUDIT", {})], True),
    ],
)
def test_policies_of_requests(policies: list[Obj], allowed: bool) -> None:
    assert (decide(policies, GET, requests=True) is None) == allowed


def test_proxies_of_nodes_know_connections_only() -> None:
    assert decide([policy("ALLOW", to(methods=["GET"]))], GET, requests=False) == Denial("")
    assert decide([policy("DENY", to(methods=["POST"]))], GET, requests=False) == Denial("shop/p", 0)
    assert decide([policy("DENY", to(ports=["9090"], methods=["GET"]))], GET, requests=False) is None


@given(st.text(max_size=8), st.text(max_size=8))
def test_patterns(start: str, end: str) -> None:
    assert matches(f"{start}x*", f"{start}x{end}")
    assert matches(f"*x{end}", f"{start}x{end}")
    assert not matches("*", "")


def peer(mode: str, namespace: str, **spec: Any) -> Obj:
    return {
        "metadata": {"name": mode.lower(), "namespace": namespace},
        "spec": {**({"mtls": {"mode": mode}} if mode else {}), **spec},
    }


def test_the_nearest_demand_for_encryption_counts() -> None:
    labels = {"app": "cart"}
    mesh_wide, own = peer("STRICT", "istio-system"), peer("PERMISSIVE", "shop")
    chosen = peer(
        "DISABLE", "shop", selector={"matchLabels": labels}, portLevelMtls={"9000": {"mode": "STRICT"}}
    )

    def mode(*policies: Obj, port: int = 80) -> str:
        return mode_of(policies, "istio-system", "shop", labels, port)

    assert mode() == "PERMISSIVE"
    assert mode(mesh_wide) == "STRICT"
    assert mode(mesh_wide, own) == "PERMISSIVE"
    assert mode(mesh_wide, own, chosen) == "DISABLE"
    assert mode(chosen, port=9000) == "STRICT"
    assert mode(peer("UNSET", "shop"), mesh_wide) == "STRICT"


def route(*rules: Obj, name: str = "r") -> Obj:
    return {
        "metadata": {"name": name, "namespace": "shop"},
        "spec": {"parentRefs": [{"name": "gate"}], "rules": list(rules)},
    }


GATE: Obj = {
    "metadata": {"name": "gate", "namespace": "shop"},
    "spec": {"listeners": [{"name": "http", "port": 80}]},
}


def rule(kind: str, value: str, service: str, **more: Any) -> Obj:
    match = {"path": {"type": kind, "value": value}, **more}
    return {"matches": [match], "backendRefs": [{"name": service, "port": 80}]}


@pytest.mark.parametrize(
    ("path", "service"),
    [("/cart", "exact"), ("/cart/7", "long"), ("/carts", "all"), ("/v2/x", "pattern"), ("/x?a=/cart", "all")],
)
def test_the_most_specific_match_of_a_route_counts(path: str, service: str) -> None:
    rules = [
        rule("PathPrefix", "/", "all"),
        rule("PathPrefix", "/cart", "long"),
        rule("Exact", "/cart", "exact"),
        rule("RegularExpression", "/v[0-9]/.", "pattern"),
        rule("PathPrefix", "/cart", "post", method="POST"),
    ]
    found = find_rule(GATE, [route(*rules)], port=80, host="h", method="GET", path=path)
    assert found is not None
    assert found.backends[0].service == service


def test_routes_that_do_not_attach_take_nothing() -> None:
    plain = route({"backendRefs": [{"name": "a", "port": 80}]})
    elsewhere = {**plain, "spec": {**plain["spec"], "parentRefs": [{"name": "gate", "sectionName": "https"}]}}
    hosts = {**plain, "spec": {**plain["spec"], "hostnames": ["*.shop.example"]}}
    asked = {"port": 80, "host": "www.shop.example", "method": "GET", "path": "/"}
    assert find_rule(GATE, [plain], **asked) is not None  # type: ignore[arg-type]
    assert find_rule(GATE, [hosts], **asked) is not None  # type: ignore[arg-type]
    assert find_rule(GATE, [elsewhere], **asked) is None  # type: ignore[arg-type]
    assert find_rule(GATE, [hosts], **{**asked, "host": "shop.example"}) is None  # type: ignore[arg-type]
    slow = route(rule("RegularExpression", "(a+)+$", "a"))
    assert find_rule(GATE, [slow], **{**asked, "path": "a" * 64}) is None  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "ms"), [("500ms", 500), ("1m30s", 90_000), ("", 0), (None, 0), ("5", 0), ("1x", 0)]
)
def test_durations(text: str | None, ms: int) -> None:
    assert milliseconds(text) == ms


@pytest.fixture(scope="module")
def pages() -> World:
    package = load_package("book-info")
    return make_world(4, manifests=package.manifests, application=package.application)


@pytest.fixture
def world(pages: World) -> World:
    return pages.fork()


def outcomes(world: World, ms: int = 60_000) -> dict[str, dict[str, int]]:
    """Outcomes of the calls to each service in the ticks of that time from now on."""
    world.run_for(15_000)
    world.run_for(ms)
    graph = world.cluster.part(traffic.Traffic).graph
    assert graph is not None
    out: dict[str, Counter[str]] = {}
    for number in range(-ms // 5000, 0):
        rows = traffic.rows_of(world, number)
        for edge, kind in zip(rows.edge.tolist(), rows.kind.tolist(), strict=True):
            out.setdefault(graph.edge_call[edge].service, Counter())[KINDS[kind]] += 1
    return {name: dict(count) for name, count in out.items()}


def pod_of(world: World, app: str) -> Obj:
    return next(pod for pod in world.cluster.store.list("pods", SPACE) if labels_of(pod).get("app") == app)


def log_of(world: World, namespace: str, word: str) -> str:
    pods = [pod for pod in world.cluster.store.list("pods", namespace) if word in name_of(pod)]
    lines = [read_log(world, namespace, name_of(pod), "istio-proxy", tail=200) for pod in pods]
    return "\n".join(line for part in lines for line in part)


def test_pods_take_part_by_the_labels_of_their_namespace_and_their_own(world: World) -> None:
    client = Client(world)
    assert mesh.in_mesh(world, pod_of(world, "details"))
    client.patch("namespaces", "", SPACE, {"metadata": {"labels": {"istio.io/dataplane-mode": "none"}}})
    assert not mesh.in_mesh(world, pod_of(world, "details"))
    own = {"metadata": {"labels": {"istio.io/dataplane-mode": "ambient"}}}
    client.patch("pods", SPACE, name_of(pod_of(world, "details")), own)
    assert mesh.in_mesh(world, pod_of(world, "details"))
    assert set(outcomes(world)["details"]) == {"ok"}


def test_plain_text_is_reset_where_encryption_is_demanded(world: World) -> None:
    strict = {
        "apiVersion": "security.istio.io/v1",
        "kind": "PeerAuthentication",
        "metadata": {"name": "strict", "namespace": SPACE},
        "spec": {"mtls": {"mode": "STRICT"}},
    }
    Client(world).create(strict)
    assert set(outcomes(world)["details"]) == {"ok"}
    leave = {"spec": {"template": {"metadata": {"labels": {"istio.io/dataplane-mode": "none"}}}}}
    Client(world).patch("deployments.apps", SPACE, "productpage-v1", leave)
    world.run_for(60_000)
    found = outcomes(world)
    assert set(found["details"]) == set(found["reviews"]) == {"reset"}
    assert set(found["bookinfo-gateway-istio"]) == {"ok"}
    told = log_of(world, "istio-system", "ztunnel")
    assert "explicitly denied by: istio-system/istio_converted_static_strict" in told
    assert 'dst.service="details.book-info.svc.cluster.local"' in told
    productpage = read_log(world, SPACE, name_of(pod_of(world, "productpage")), "productpage", tail=50)
    assert any("Connection reset by peer" in line for line in productpage)


def test_a_gateway_answers_what_its_policies_deny(world: World) -> None:
    deny = {
        "apiVersion": "security.istio.io/v1",
        "kind": "AuthorizationPolicy",
        "metadata": {"name": "no-reading", "namespace": SPACE},
        "spec": {
            "targetRefs": [
                {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "bookinfo-gateway"}
            ],
            "action": "DENY",
            "rules": [{"to": [{"operation": {"methods": ["GET"]}}]}],
        },
    }
    Client(world).create(deny)
    assert {name: set(kinds) for name, kinds in outcomes(world).items()} == {
        "bookinfo-gateway-istio": {"denied"}
    }
    told = log_of(world, SPACE, "gateway")
    assert '"GET /productpage HTTP/1.1" 403 - rbac_access_denied_matched_policy[ns[book-info]' in told
    Client(world).patch(
        POLICIES, SPACE, "no-reading", {"spec": {"rules": [{"to": [{"operation": {"methods": ["PUT"]}}]}]}}
    )
    assert set(outcomes(world)["bookinfo-gateway-istio"]) == {"ok"}


def backends(*pairs: tuple[str, int, int], **more: Any) -> Obj:
    refs = [{"name": name, "port": port, "weight": weight} for name, port, weight in pairs]
    return {"spec": {"rules": [{"backendRefs": refs, **more}]}}


def test_routes_lead_where_they_say(world: World) -> None:
    client = Client(world)

    def after(patch: Obj) -> dict[str, dict[str, int]]:
        client.patch(ROUTES, SPACE, "bookinfo", patch)
        return outcomes(world)

    def resolved() -> Any:
        conditions = dig(
            world.cluster.store.get(ROUTES, SPACE, "bookinfo"), "status", "parents", 0, "conditions"
        )
        return [(item["type"], item["status"], item["reason"]) for item in conditions]

    assert ("ResolvedRefs", "True", "ResolvedRefs") in resolved()
    assert set(after(backends(("productpage", 9081, 1)))["productpage"]) == {"no_backend"}
    assert " 500 NC cluster_not_found " in log_of(world, SPACE, "bookinfo-gateway")
    assert ("ResolvedRefs", "False", "BackendNotFound") in resolved()
    assert set(after(backends(("details", 9080, 1)))["productpage"]) == {"not_found"}
    mixed = after(backends(("productpage", 9080, 3), ("details", 9080, 1), ("ratings", 9080, 0)))[
        "productpage"
    ]
    assert 0.15 < mixed["not_found"] / sum(mixed.values()) < 0.35
    late = after(backends(("productpage", 9080, 1), timeouts={"request": "3ms"}))["productpage"]
    assert set(late) == {"timeout"}
    assert " 504 UT " in log_of(world, SPACE, "gateway")
    elsewhere = backends(("productpage", 9080, 1), matches=[{"path": {"type": "Exact", "value": "/other"}}])
    assert set(after(elsewhere)["bookinfo-gateway-istio"]) == {"not_found"}


def test_the_service_of_a_gateway_follows_its_listeners(world: World) -> None:
    def listen(port: int) -> None:
        listeners = [{"name": "http", "port": port, "protocol": "HTTP"}]
        Client(world).patch(GATEWAYS, SPACE, "bookinfo-gateway", {"spec": {"listeners": listeners}})
        world.run_for(5_000)

    def ports() -> list[int]:
        service = world.cluster.store.get("services", SPACE, "bookinfo-gateway-istio")
        return [item["port"] for item in dig(service, "spec", "ports")]

    listen(8008)
    assert ports() == [8008]
    assert set(outcomes(world)["bookinfo-gateway-istio"]) == {"dropped"}
    listen(80)
    assert ports() == [80]
    assert "ok" in outcomes(world)["bookinfo-gateway-istio"]


def test_a_waypoint_sees_requests(world: World) -> None:
    client = Client(world)
    label = {"gateway.networking.k8s.io/gateway-name": "waypoint"}
    listeners = [{"name": "mesh", "port": 15008, "protocol": "HBONE"}]
    gateway: Obj = {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "Gateway",
        "metadata": {"name": "waypoint", "namespace": SPACE},
        "spec": {"gatewayClassName": "istio-waypoint", "listeners": listeners},
    }
    client.create(gateway)
    client.patch(
        "services", SPACE, "reviews", {"metadata": {"labels": {"istio.io/use-waypoint": "waypoint"}}}
    )
    found = outcomes(world, 20_000)
    assert set(found["reviews"]) == {"reset"}, "there is a waypoint, but nobody in it"
    assert set(found["details"]) == {"ok"}
    container = {"name": "istio-proxy", "image": "docker.io/istio/proxyv2:1.24.2"}
    deployment: Obj = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "waypoint", "namespace": SPACE},
        "spec": {
            "selector": {"matchLabels": label},
            "template": {"metadata": {"labels": label}, "spec": {"containers": [container]}},
        },
    }
    client.create(deployment)
    world.run_for(30_000)
    assert set(outcomes(world, 20_000)["reviews"]) == {"ok"}
    deny: Obj = {
        "apiVersion": "security.istio.io/v1",
        "kind": "AuthorizationPolicy",
        "metadata": {"name": "readers", "namespace": SPACE},
        "spec": {
            "targetRefs": [{"group": "", "kind": "Service", "name": "reviews"}],
            "action": "DENY",
            "rules": [{"to": [{"operation": {"methods": ["GET"], "paths": ["/reviews/*"]}}]}],
        },
    }
    client.create(deny)
    assert set(outcomes(world, 20_000)["reviews"]) == {"denied"}


def test_without_the_proxy_of_its_node_no_pod_of_the_mesh_gets_through(world: World) -> None:
    nowhere = {"spec": {"template": {"spec": {"nodeSelector": {"pool": "none"}}}}}
    Client(world).patch("daemonsets.apps", "istio-system", "ztunnel", nowhere)
    world.run_for(120_000)
    assert set(outcomes(world)["bookinfo-gateway-istio"]) == {"refused"}
    assert not mesh.in_mesh(world, pod_of(world, "details"))
    assert counted_as(world, pod_of(world, "details")) == "", "nobody counts its connections"


def test_policies_of_the_network_see_the_port_of_the_tunnel(world: World) -> None:
    client = Client(world)
    rule = {"ports": [{"port": 9080}]}
    spec = {"podSelector": {"matchLabels": {"app": "details"}}, "ingress": [rule]}
    meta = {"name": "details", "namespace": SPACE}
    client.create(
        {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": meta, "spec": spec}
    )
    assert set(outcomes(world)["details"]) == {"dropped"}
    rule = {"ports": [{"port": 9080}, {"port": 15008}]}
    client.patch("networkpolicies.networking.k8s.io", SPACE, "details", {"spec": {"ingress": [rule]}})
    assert set(outcomes(world)["details"]) == {"ok"}


def test_without_its_control_plane_a_mesh_goes_on_as_it_was_told(world: World) -> None:
    client = Client(world)
    client.patch("deployments.apps", "istio-system", "istiod", {"spec": {"replicas": 0}})
    world.run_for(60_000)
    other = {"spec": {"rules": [{"from": [{"source": {"principals": ["cluster.local/ns/x/sa/y"]}}]}]}}
    client.patch(POLICIES, SPACE, "productpage-viewer", other)
    assert set(outcomes(world)["productpage"]) == {"ok"}
    again = {"spec": {"template": {"metadata": {"annotations": {"restarted": "now"}}}}}
    client.patch("deployments.apps", SPACE, "details-v1", again)
    world.run_for(60_000)
    assert set(outcomes(world)["details"]) == {"reset"}, "nobody has told proxies of the new pod"
    client.patch("deployments.apps", "istio-system", "istiod", {"spec": {"replicas": 1}})
    world.run_for(60_000)
    assert set(outcomes(world)["productpage"]) == {"reset"}


def test_forks_of_a_mesh_go_on_alike(world: World) -> None:
    Client(world).patch("deployments.apps", "istio-system", "istiod", {"spec": {"replicas": 0}})
    world.run_for(30_000)
    twin = world.fork()
    for each in (world, twin):
        each.run_for(120_000)
    assert world.digest() == twin.digest()


def test_where_there_is_no_mesh_there_is_nothing_to_see() -> None:
    plain = make_world(1)
    view = mesh.view(plain)
    assert view.root == ""
    pod = plain.cluster.store.list("pods", "kube-system")[0]
    assert not mesh.in_mesh(plain, pod)
    assert view.check(pod, pod, GET) == mesh.OK
