"""Names, services and policies, from objects alone."""

from __future__ import annotations

from ipaddress import ip_address, ip_network
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firedrill.world.kube.network import (
    NetworkState,
    Route,
    allocate_cluster_ip,
    allocate_node_port,
    next_pod_ip,
    resolve,
    route,
)
from firedrill.world.kube.network.allocate import RangeFullError, claim_cluster_ip
from firedrill.world.kube.network.policy import End, blocking
from firedrill.world.kube.store import Store
from firedrill.world.sim.rng import Rng


def put(
    store: Store, resource: str, kind: str, name: str, namespace: str = "shop", **rest: Any
) -> dict[str, Any]:
    labels = rest.pop("labels", {})
    metadata = {"name": name, "labels": labels, "uid": f"{kind}-{namespace}-{name}"}
    if namespace:
        metadata["namespace"] = namespace
    return store.put(resource, {"apiVersion": "v1", "kind": kind, "metadata": metadata, **rest})


def pod(
    store: Store, name: str, ip: str, port: int = 80, namespace: str = "shop", **rest: Any
) -> dict[str, Any]:
    ports = [
        {
            "containerPort": port,
            "name": rest.pop("port_name", "http"),
            "protocol": rest.pop("protocol", "TCP"),
        }
    ]
    spec = {
        "containers": [{"name": "c", "ports": ports}],
        "nodeName": rest.pop("node", "w1"),
        **rest.pop("spec", {}),
    }
    status = {"phase": "Running", "podIP": ip}
    return put(store, "pods", "Pod", name, namespace, spec=spec, status=status, **rest)


def service(store: Store, name: str, ip: str, namespace: str = "shop", port: int = 80, **spec: Any) -> None:
    ports = spec.pop("ports", [{"name": "http", "port": port, "protocol": "TCP"}])
    addresses = {"clusterIP": ip, "clusterIPs": [ip]}
    put(
        store,
        "services",
        "Service",
        name,
        namespace,
        spec={"type": "ClusterIP", **addresses, "ports": ports, **spec},
    )


def slice_of(
    store: Store, name: str, pods: list[dict[str, Any]], port: int = 80, namespace: str = "shop", **more: Any
) -> None:
    endpoints = [
        {
            "addresses": [item["status"]["podIP"]],
            "conditions": {"ready": True, "serving": True, "terminating": False},
            "nodeName": item["spec"]["nodeName"],
            "targetRef": {
                "kind": "Pod",
                "namespace": item["metadata"]["namespace"],
                "name": item["metadata"]["name"],
            },
            **({"hostname": item["spec"]["hostname"]} if "hostname" in item["spec"] else {}),
            **more,
        }
        for item in pods
    ]
    ports = [{"name": "http", "port": port, "protocol": "TCP"}]
    put(
        store,
        "endpointslices.discovery.k8s.io",
        "EndpointSlice",
        f"{name}-abc",
        namespace,
        labels={"kubernetes.io/service-name": name},
        endpoints=endpoints,
        ports=ports,
    )


@pytest.fixture
def store() -> Store:
    made = Store(freeze=True)
    for name in ("shop", "other"):
        put(made, "namespaces", "Namespace", name, "", labels={"kubernetes.io/metadata.name": name})
    for name, address in (("w1", "172.18.0.2"), ("w2", "172.18.0.3")):
        status = {"addresses": [{"type": "InternalIP", "address": address}]}
        cidr = {"w1": "10.244.1.0/24", "w2": "10.244.2.0/24"}[name]
        put(made, "nodes", "Node", name, "", spec={"podCIDR": cidr}, status=status)
    return made


@pytest.fixture
def client(store: Store) -> dict[str, Any]:
    return pod(store, "client", "10.244.1.9", 9999, labels={"app": "client"})


def go(
    store: Store, source: dict[str, Any], host: str, port: int = 80, protocol: str = "TCP", **more: Any
) -> Route:
    return route(store, source, host, port, protocol, rng=Rng(1), **more)


def web(store: Store, count: int = 2) -> list[dict[str, Any]]:
    pods = [
        pod(store, f"web-{i}", f"10.244.2.{i + 2}", 8080, node="w2", labels={"app": "web"})
        for i in range(count)
    ]
    service(store, "web", "10.96.0.10")
    slice_of(store, "web", pods, 8080)
    return pods


def test_a_short_name_reaches_an_endpoint(store: Store, client: dict[str, Any]) -> None:
    web(store)
    found = go(store, client, "web")
    assert (found.result, found.port, found.service) == ("ok", 8080, ("shop", "web"))
    reached = {go(store, client, "web.shop.svc.cluster.local", draw=n).pod for n in range(40)}
    assert reached == {("shop", "web-0"), ("shop", "web-1")}
    assert go(store, client, "web", draw=5) == go(store, client, "web", draw=5)


def test_a_client_address_sticks_where_affinity_is_asked_for(store: Store, client: dict[str, Any]) -> None:
    web(store, 5)
    service(store, "web", "10.96.0.10", sessionAffinity="ClientIP")
    assert len({go(store, client, "web", draw=n).pod for n in range(20)}) == 1


def test_names_that_do_not_exist(store: Store, client: dict[str, Any]) -> None:
    assert go(store, client, "nothing").result == "no_dns"
    assert go(store, client, "nothing").detail == "lookup nothing: no such host"
    assert go(store, client, "web.nowhere.svc.cluster.local").result == "no_dns"
    assert go(store, client, "example.com", 443).result == "external"


def test_search_lists_follow_the_dns_policy(store: Store) -> None:
    web(store)
    plain = pod(store, "plain", "10.244.1.8", spec={"dnsPolicy": "Default"})
    assert go(store, plain, "web").result == "no_dns"
    elsewhere = pod(store, "e", "10.244.1.7", namespace="other")
    assert go(store, elsewhere, "web").result == "no_dns"
    assert go(store, elsewhere, "web.shop").result == "ok"


def test_services_without_endpoints_refuse(store: Store, client: dict[str, Any]) -> None:
    service(store, "web", "10.96.0.10")
    assert go(store, client, "web").result == "no_endpoints"
    assert "connection refused" in go(store, client, "web").detail


def test_wrong_ports_and_protocols(store: Store, client: dict[str, Any]) -> None:
    pods = web(store)
    assert go(store, client, "web", 81).result == "dropped"
    assert go(store, client, "web", 80, "UDP").result == "wrong_protocol"
    slice_of(store, "web", pods, 9090)  # a target port on which nothing listens
    assert go(store, client, "web").result == "refused"


def test_headless_and_stateful_names(store: Store, client: dict[str, Any]) -> None:
    pods = [
        pod(store, f"db-{i}", f"10.244.2.{i + 2}", 5432, node="w2", spec={"hostname": f"db-{i}"})
        for i in range(2)
    ]
    service(store, "db", "None")
    slice_of(store, "db", pods, 5432)
    assert resolve(store, client, "db").addresses == ("10.244.2.2", "10.244.2.3")
    assert go(store, client, "db-1.db", 5432).pod == ("shop", "db-1")
    assert go(store, client, "db-9.db", 5432).result == "no_dns"


def test_external_names(store: Store, client: dict[str, Any]) -> None:
    web(store)
    put(
        store,
        "services",
        "Service",
        "alias",
        spec={"type": "ExternalName", "externalName": "web.shop.svc.cluster.local"},
    )
    put(store, "services", "Service", "out", spec={"type": "ExternalName", "externalName": "db.example.com"})
    put(
        store,
        "services",
        "Service",
        "loop",
        spec={"type": "ExternalName", "externalName": "loop.shop.svc.cluster.local"},
    )
    assert go(store, client, "alias").result == "ok"
    assert go(store, client, "out").result == "external"
    assert go(store, client, "loop").result == "no_dns"


def test_dns_without_pods_times_out(store: Store, client: dict[str, Any]) -> None:
    web(store)
    ports = [{"name": "dns", "port": 53, "protocol": "UDP"}]
    service(store, "kube-dns", "10.96.0.10", "kube-system", ports=ports)
    assert go(store, client, "web").result == "dns_timeout"


def with_dns(store: Store) -> None:
    dns = pod(store, "coredns", "10.244.2.53", 53, "kube-system", node="w2", protocol="UDP")
    ports = [{"name": "dns", "port": 53, "protocol": "UDP"}]
    service(store, "kube-dns", "10.96.0.53", "kube-system", ports=ports)
    slice_of(store, "kube-dns", [dns], 53, "kube-system")
    found = store.get("endpointslices.discovery.k8s.io", "kube-system", "kube-dns-abc")
    assert found is not None
    store.put(
        "endpointslices.discovery.k8s.io",
        {**found, "ports": [{"name": "dns", "port": 53, "protocol": "UDP"}]},
    )


def test_a_policy_on_egress_also_shuts_off_names(store: Store, client: dict[str, Any]) -> None:
    web(store)
    with_dns(store)
    assert go(store, client, "web").result == "ok"
    policy(store, "deny", policyTypes=["Egress"])
    assert go(store, client, "web").result == "dns_timeout"
    assert go(store, client, "10.96.0.10").result == "dropped"


def test_a_node_without_its_proxy_keeps_the_old_rules(store: Store, client: dict[str, Any]) -> None:
    pods = web(store)
    state = NetworkState()
    state.stop_proxy("w1", store)
    assert go(store, client, "web", state=state).result == "ok"
    new = pod(store, "late", "10.244.2.77", 8080, node="w2")
    service(store, "late", "10.96.0.11")
    slice_of(store, "late", [new], 8080)
    assert go(store, client, "late", state=state).result == "dropped"
    for item in pods:
        store.remove("pods", "shop", item["metadata"]["name"])
    assert go(store, client, "web", state=state).result == "dropped"
    state.start_proxy("w1")
    assert go(store, client, "late", state=state).result == "ok"
    state.stop_proxy("w1", store, flushed=True)
    assert go(store, client, "late", state=state).result == "dropped"
    assert state.fork().state() == state.state()


def test_a_cut_between_nodes(store: Store, client: dict[str, Any]) -> None:
    web(store)
    state = NetworkState()
    state.separate("w2", "w1")
    assert go(store, client, "web", state=state).result == "dropped"
    state.join("w1", "w2")
    assert go(store, client, "web", state=state).result == "ok"


def test_local_traffic_policy_and_node_ports(store: Store, client: dict[str, Any]) -> None:
    web(store)
    ports = [{"name": "http", "port": 80, "protocol": "TCP", "nodePort": 30080}]
    service(store, "web", "10.96.0.10", ports=ports, type="NodePort", internalTrafficPolicy="Local")
    assert go(store, client, "web").result == "dropped"
    service(store, "web", "10.96.0.10", ports=ports, type="NodePort")
    assert go(store, client, "172.18.0.2", 30080).result == "ok"
    assert go(store, client, "172.18.0.2", 30081).result == "refused"
    service(store, "web", "10.96.0.10", ports=ports, type="NodePort", externalTrafficPolicy="Local")
    assert go(store, client, "172.18.0.2", 30080).result == "dropped"
    assert go(store, client, "172.18.0.3", 30080).result == "ok"


def test_terminating_endpoints_serve_where_no_other_does(store: Store, client: dict[str, Any]) -> None:
    pods = web(store, 1)
    slice_of(store, "web", pods, 8080, conditions={"ready": False, "serving": True, "terminating": True})
    assert go(store, client, "web").result == "ok"
    slice_of(store, "web", pods, 8080, conditions={"ready": False, "serving": False, "terminating": False})
    assert go(store, client, "web").result == "no_endpoints"


def policy(store: Store, name: str, namespace: str = "shop", **spec: Any) -> None:
    put(
        store,
        "networkpolicies.networking.k8s.io",
        "NetworkPolicy",
        name,
        namespace,
        spec={"podSelector": {}, **spec},
    )


def test_default_deny_and_an_exception(store: Store, client: dict[str, Any]) -> None:
    web(store)
    policy(store, "deny", policyTypes=["Ingress"])
    found = go(store, client, "web")
    assert found.result == "dropped"
    assert found.detail == "timeout: ingress is isolated by deny"
    rule = {"from": [{"podSelector": {"matchLabels": {"app": "client"}}}], "ports": [{"port": "http"}]}
    policy(store, "let", podSelector={"matchLabels": {"app": "web"}}, ingress=[rule])
    assert go(store, client, "web").result == "ok"
    stranger = pod(store, "stranger", "10.244.1.5", namespace="other", labels={"app": "client"})
    assert go(store, stranger, "web.shop").result == "dropped"


@pytest.mark.parametrize(
    ("rule", "allowed"),
    [
        ({}, True),
        ({"from": []}, True),
        ({"from": [{"ipBlock": {"cidr": "10.244.0.0/16"}}]}, True),
        ({"from": [{"ipBlock": {"cidr": "10.244.0.0/16", "except": ["10.244.1.0/24"]}}]}, False),
        ({"from": [{"namespaceSelector": {}}]}, True),
        ({"from": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "other"}}}]}, False),
        ({"ports": [{"port": 8000, "endPort": 8100}]}, True),
        ({"ports": [{"port": 80}]}, False),
        ({"ports": [{"port": 8080, "protocol": "UDP"}]}, False),
        ({"ports": [{"protocol": "TCP"}]}, True),
    ],
)
def test_rules_of_ingress(store: Store, client: dict[str, Any], rule: dict[str, Any], allowed: bool) -> None:
    web(store)
    policy(store, "p", ingress=[rule])
    assert (go(store, client, "web").result == "ok") is allowed


APPS, SPACES, PORTS = ["a", "b"], ["shop", "other"], [80, 8080]
peer = st.one_of(
    st.builds(lambda app: {"podSelector": {"matchLabels": {"app": app}}}, st.sampled_from(APPS)),
    st.builds(lambda space: {"namespaceSelector": {"matchLabels": {"name": space}}}, st.sampled_from(SPACES)),
    st.builds(
        lambda app, space: {
            "podSelector": {"matchLabels": {"app": app}},
            "namespaceSelector": {"matchLabels": {"name": space}},
        },
        st.sampled_from(APPS),
        st.sampled_from(SPACES),
    ),
    st.builds(
        lambda cidr, out: {"ipBlock": {"cidr": cidr, "except": out}},
        st.sampled_from(["10.0.0.0/8", "10.244.0.0/30"]),
        st.lists(st.sampled_from(["10.244.0.2/32"]), max_size=1),
    ),
)
port_rule = st.one_of(
    st.builds(lambda p: {"port": p, "protocol": "TCP"}, st.sampled_from(PORTS)),
    st.just({"port": 80, "endPort": 9000}),
    st.just({"port": "http"}),
    st.just({"protocol": "UDP"}),
)
policy_spec = st.tuples(
    st.sampled_from(SPACES),
    st.sampled_from([{}, {"matchLabels": {"app": "a"}}]),
    st.sampled_from([["Ingress"], ["Egress"], ["Ingress", "Egress"]]),
    st.lists(st.tuples(st.lists(peer, max_size=2), st.lists(port_rule, max_size=2)), max_size=2),
    st.lists(st.tuples(st.lists(peer, max_size=2), st.lists(port_rule, max_size=2)), max_size=2),
)


@given(st.lists(policy_spec, max_size=4), st.integers(0, 3), st.integers(0, 3), st.sampled_from(PORTS))
def test_policies_agree_with_a_naive_reading(specs: list[Any], one: int, other: int, port: int) -> None:
    store = Store()
    for space in SPACES:
        put(store, "namespaces", "Namespace", space, "", labels={"name": space})
    pods = [
        pod(store, f"{space}-{app}", f"10.244.0.{2 * i + j + 1}", 80, space, labels={"app": app})
        for i, space in enumerate(SPACES)
        for j, app in enumerate(APPS)
    ]
    for index, (space, selector, types, ingress, egress) in enumerate(specs):
        policy(
            store,
            f"p{index}",
            space,
            podSelector=selector,
            policyTypes=types,
            ingress=[{"from": peers, "ports": ports} for peers, ports in ingress],
            egress=[{"to": peers, "ports": ports} for peers, ports in egress],
        )
    source, target = pods[one], pods[other]
    ends = End(source, source["status"]["podIP"]), End(target, target["status"]["podIP"])
    expected = one == other or (
        naive(specs, "Egress", source, target, target, port)
        and naive(specs, "Ingress", target, source, target, port)
    )
    assert (blocking(store, *ends, port, "TCP") is None) is expected


def naive(
    specs: list[Any],
    way: str,
    end: dict[str, Any],
    peer_pod: dict[str, Any],
    target: dict[str, Any],
    port: int,
) -> bool:
    """Straight from the text of the API documentation, for the shapes that are generated above."""

    def peer_ok(item: dict[str, Any], space: str) -> bool:
        if "ipBlock" in item:
            here = ip_address(peer_pod["status"]["podIP"])
            block = item["ipBlock"]
            return here in ip_network(block["cidr"]) and all(
                here not in ip_network(out) for out in block["except"]
            )
        label = item.get("podSelector", {}).get("matchLabels", {}).get("app")
        wanted = item["namespaceSelector"]["matchLabels"]["name"] if "namespaceSelector" in item else space
        meta = peer_pod["metadata"]
        return meta["namespace"] == wanted and label in (None, meta["labels"]["app"])

    def port_ok(item: dict[str, Any]) -> bool:
        if item.get("protocol") == "UDP":
            return False
        if item["port"] == "http":
            return port == 80  # the only port with that name
        return bool(item["port"] <= port <= item.get("endPort", item["port"]))

    meta = end["metadata"]
    relevant = [
        (space, ingress if way == "Ingress" else egress)
        for space, selector, types, ingress, egress in specs
        if space == meta["namespace"]
        and way in types
        and selector.get("matchLabels", {}).get("app") in (None, meta["labels"]["app"])
    ]
    if not relevant:
        return True
    return any(
        (not peers or any(peer_ok(item, space) for item in peers)) and (not ports or any(map(port_ok, ports)))
        for space, rules in relevant
        for peers, ports in rules
    )


def test_addresses_are_unique_and_repeatable() -> None:
    store = Store()
    seen = set()
    for index in range(200):
        item = {"metadata": {"name": f"s{index}", "namespace": "shop"}}
        address = allocate_cluster_ip(store, Rng(3), item, cidr="10.96.0.0/23")
        assert address == allocate_cluster_ip(store, Rng(3), item, cidr="10.96.0.0/23")
        port = allocate_node_port(store, Rng(3), item)
        assert 30000 <= port <= 32767
        assert (address, port) not in seen
        seen.add((address, port))
        put(
            store,
            "services",
            "Service",
            f"s{index}",
            spec={"clusterIP": address, "ports": [{"nodePort": port}]},
        )
    assert len({address for address, _ in seen}) == len({port for _, port in seen}) == 200
    taken = next(iter(sorted(seen)))[0]
    assert claim_cluster_ip(store, {}, taken, cidr="10.96.0.0/23") == (
        f"failed to allocate IP {taken}: provided IP is already allocated"
    )


def test_pod_addresses_go_round() -> None:
    assert next_pod_ip("10.244.1.0/24", []) == "10.244.1.2"
    assert next_pod_ip("10.244.1.0/24", ["10.244.1.2"], "10.244.1.2") == "10.244.1.3"
    assert next_pod_ip("10.244.1.0/29", ["10.244.1.2", "10.244.1.6"], "10.244.1.6") == "10.244.1.3"
    with pytest.raises(RangeFullError):
        next_pod_ip("10.244.1.0/30", ["10.244.1.2"])


def test_endpoints_that_are_no_pods_lie_outside(store: Store, client: dict[str, Any]) -> None:
    service(store, "kubernetes", "10.96.0.1", port=443)
    endpoints = [{"addresses": ["172.18.0.2"], "conditions": {"ready": True}}]
    labels = {"kubernetes.io/service-name": "kubernetes"}
    ports = [{"name": "http", "port": 6443, "protocol": "TCP"}]
    put(
        store,
        "endpointslices.discovery.k8s.io",
        "EndpointSlice",
        "kubernetes",
        labels=labels,
        endpoints=endpoints,
        ports=ports,
    )
    found = go(store, client, "kubernetes", 443)
    assert (found.result, found.address, found.port) == ("external", "172.18.0.2", 6443)
    assert found.service == ("shop", "kubernetes")
