"""What the API server allots to Services, and what their types change."""

from __future__ import annotations

from ipaddress import ip_address, ip_network
from typing import Any

import pytest

from firedrill.world.kube.api import ApiError, Client
from firedrill.world.kube.cluster import Settings
from firedrill.world.kube.objects import Obj
from firedrill.world.world import World


@pytest.fixture
def client() -> Client:
    world = World(settings=Settings(freeze=True))
    client = Client(world)
    client.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}})
    return client


def service(client: Client, name: str = "web", **spec: Any) -> Obj:
    body = {"selector": {"app": "web"}, "ports": [{"port": 80}], **spec}
    given = {"name": name, "namespace": "shop"}
    return client.create(
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": given,
            "spec": {key: item for key, item in body.items() if item is not None},
        }
    )


def change(client: Client, **spec: Any) -> Obj:
    return client.patch("services", "shop", "web", {"spec": spec})


def test_a_service_gets_an_address_and_a_family(client: Client) -> None:
    made = service(client)
    spec = made["spec"]
    assert ip_address(spec["clusterIP"]) in ip_network("10.96.0.0/12")
    assert spec["clusterIPs"] == [spec["clusterIP"]]
    assert (spec["ipFamilies"], spec["ipFamilyPolicy"]) == (["IPv4"], "SingleStack")
    assert (spec["internalTrafficPolicy"], spec["sessionAffinity"]) == ("Cluster", "None")
    assert made["status"] == {"loadBalancer": {}}
    assert service(client, "two")["spec"]["clusterIP"] != spec["clusterIP"]


def test_an_address_that_is_taken_is_refused(client: Client) -> None:
    service(client, clusterIP="10.96.0.77")
    with pytest.raises(ApiError) as caught:
        service(client, "two", clusterIP="10.96.0.77")
    assert caught.value.message == (
        'Service "two" is invalid: spec.clusterIPs: Invalid value: []string{"10.96.0.77"}: '
        "failed to allocate IP 10.96.0.77: provided IP is already allocated"
    )
    assert caught.value.code == 422


def test_an_address_out_of_range_is_refused(client: Client) -> None:
    with pytest.raises(ApiError, match="not in the valid range"):
        service(client, clusterIP="192.0.2.1")


def test_a_headless_service_has_no_address(client: Client) -> None:
    spec = service(client, clusterIP="None")["spec"]
    assert (spec["clusterIP"], spec["clusterIPs"]) == ("None", ["None"])
    alone = service(client, "two", clusterIP="None", selector=None)["spec"]
    assert (alone["ipFamilies"], alone["ipFamilyPolicy"]) == (["IPv4", "IPv6"], "RequireDualStack")


def test_a_node_port_is_given_out_once(client: Client) -> None:
    spec = service(client, type="NodePort")["spec"]
    taken = spec["ports"][0]["nodePort"]
    assert 30_000 <= taken <= 32_767
    assert spec["externalTrafficPolicy"] == "Cluster"
    with pytest.raises(ApiError) as caught:
        service(client, "two", type="NodePort", ports=[{"port": 80, "nodePort": taken}])
    assert caught.value.message == (
        f'Service "two" is invalid: spec.ports[0].nodePort: Invalid value: {taken}: '
        "provided port is already allocated"
    )


def test_two_protocols_of_one_port_share_their_node_port(client: Client) -> None:
    ports = [{"name": "a", "port": 53}, {"name": "b", "port": 53, "protocol": "UDP"}]
    spec = service(client, type="NodePort", ports=ports)["spec"]
    assert spec["ports"][0]["nodePort"] == spec["ports"][1]["nodePort"]


def test_a_load_balancer_that_keeps_traffic_local_has_a_port_for_health_checks(client: Client) -> None:
    spec = service(client, type="LoadBalancer", externalTrafficPolicy="Local")["spec"]
    assert spec["allocateLoadBalancerNodePorts"] is True
    assert spec["healthCheckNodePort"] not in {0, spec["ports"][0]["nodePort"]}


def test_a_name_outside_has_no_address(client: Client) -> None:
    spec = service(client, type="ExternalName", externalName="db.example.com", selector=None)["spec"]
    assert "clusterIP" not in spec


def test_an_update_that_leaves_out_what_was_allotted_keeps_it(client: Client) -> None:
    made = service(client, type="NodePort")
    lean = {"type": "NodePort", "selector": {"app": "web"}, "ports": [{"port": 80}]}
    again = client.update({**made, "spec": lean})
    assert again["spec"]["clusterIP"] == made["spec"]["clusterIP"]
    assert again["spec"]["ports"][0]["nodePort"] == made["spec"]["ports"][0]["nodePort"]


def test_a_change_of_type_takes_and_gives_back(client: Client) -> None:
    made = service(client)
    address = made["spec"]["clusterIP"]
    exposed = change(client, type="NodePort")["spec"]
    assert (exposed["clusterIP"], "nodePort" in exposed["ports"][0]) == (address, True)
    hidden = change(client, type="ClusterIP")["spec"]
    assert (hidden["clusterIP"], "nodePort" in hidden["ports"][0]) == (address, False)
    assert "externalTrafficPolicy" not in hidden
    named = change(client, type="ExternalName", externalName="db.example.com")["spec"]
    assert not {"clusterIP", "clusterIPs", "ipFamilies"} & named.keys()
    back = change(client, type="ClusterIP")["spec"]
    assert (back.get("externalName"), bool(back["clusterIP"])) == (None, True)


def test_the_address_cannot_be_changed(client: Client) -> None:
    service(client)
    with pytest.raises(ApiError, match=r"may not change once set|field is immutable"):
        change(client, clusterIP="10.96.0.99", clusterIPs=["10.96.0.99"])


def test_the_address_of_a_deleted_service_can_be_had_again(client: Client) -> None:
    service(client, clusterIP="10.96.0.77")
    client.delete("services", "shop", "web")
    assert service(client, "two", clusterIP="10.96.0.77")["spec"]["clusterIP"] == "10.96.0.77"
