"""Names: what the cluster's DNS answers to a pod.

Source: the Kubernetes DNS specification and CoreDNS's `kubernetes` plugin; `resolv.conf` as the kubelet
writes it (search list, `ndots:5`).
"""

from __future__ import annotations

from functools import cache
from ipaddress import ip_address
from typing import Literal, NamedTuple

from firedrill.world.kube.network.services import backends_of, cluster_ips
from firedrill.world.kube.objects import Obj, dig, name_of, namespace_of
from firedrill.world.kube.store import Store
from firedrill.world.sim.tables import table

_NDOTS = 5
_MOST_ALIASES = 8

AnswerCode = Literal["ok", "nxdomain", "nodata", "timeout", "external"]


class Answer(NamedTuple):
    """What a look-up gave.

    Attributes:
        code: `external` is a name outside of the cluster, of which a world knows no address.
        name: the full name that was answered, without its last dot.
        addresses: in order.
        service: (namespace, name) of the service, empty where it is none.
        pod: the one pod that the name means, as in `web-0.web`.
    """

    code: AnswerCode
    name: str
    addresses: tuple[str, ...] = ()
    service: tuple[str, str] = ("", "")
    pod: tuple[str, str] = ("", "")


def is_address(host: str) -> bool:
    """Whether the host is an IP address."""
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


@cache
def _public() -> tuple[frozenset[str], frozenset[str]]:
    known = table("firedrill.world.kube.network", "domains.yaml")
    return frozenset(f"{known['generic']} {known['country']}".split()), frozenset(known["names"].split())


def is_public(name: str) -> bool:
    """Whether a name is taken to exist outside of the cluster."""
    domains, names = _public()
    head, _, last = name.strip(".").rpartition(".")
    return bool(head and last in domains) or name.strip(".") in names


def search_list(pod: Obj, domain: str = "cluster.local") -> tuple[tuple[str, ...], int]:
    """(search domains, ndots) of a pod's `resolv.conf`."""
    policy = dig(pod, "spec", "dnsPolicy", default="ClusterFirst")
    if policy == "ClusterFirst" and dig(pod, "spec", "hostNetwork"):
        policy = "Default"
    space = namespace_of(pod)
    cluster = policy in ("ClusterFirst", "ClusterFirstWithHostNet")
    searches: tuple[str, ...] = (f"{space}.svc.{domain}", f"svc.{domain}", domain) if cluster else ()
    ndots = _NDOTS if cluster else 1
    given = dig(pod, "spec", "dnsConfig", default={})
    searches += tuple(str(item) for item in given.get("searches") or () if item not in searches)
    for option in given.get("options") or ():
        if option.get("name") == "ndots" and str(option.get("value", "")).isdigit():
            ndots = int(option["value"])
    return searches, ndots


def uses_cluster_dns(pod: Obj) -> bool:
    """Whether the pod asks the cluster's DNS at all."""
    policy = dig(pod, "spec", "dnsPolicy", default="ClusterFirst")
    if policy == "ClusterFirst":
        return not dig(pod, "spec", "hostNetwork")
    return bool(policy == "ClusterFirstWithHostNet")


def dns_is_up(store: Store) -> bool:
    """Whether a ready pod answers for the cluster's DNS; True where the cluster has no such service."""
    service = store.get("services", "kube-system", "kube-dns")
    if service is None:
        return True
    return any(
        item.ready
        for port in dig(service, "spec", "ports", default=())
        for item in backends_of(
            store, service, str(port.get("name") or ""), str(port.get("protocol") or "TCP")
        )
    )


def candidates(host: str, pod: Obj, domain: str = "cluster.local") -> list[str]:
    """The full names that the resolver tries, in order."""
    if host.endswith("."):
        return [host.rstrip(".")]
    searches, ndots = search_list(pod, domain)
    extended = [f"{host}.{item}" for item in searches]
    return [host, *extended] if host.count(".") >= ndots else [*extended, host]


def hosts_entry(pod: Obj, host: str) -> str | None:
    """The address that the pod's own hosts file gives for the name."""
    if host.rstrip(".").lower() == "localhost":
        return "127.0.0.1"
    for alias in dig(pod, "spec", "hostAliases", default=()):
        if host.lower() in (alias.get("hostnames") or ()):
            return str(alias["ip"])
    return None


def resolve(store: Store, pod: Obj, host: str, *, domain: str = "cluster.local") -> Answer:
    """Look a name up as a program in the pod would.

    Args:
        store: the cluster.
        pod: who asks.
        host: a short or full name; an address is its own answer.
        domain: of the cluster.
    """
    if is_address(host):
        return Answer("ok", host, (host,))
    host = host.lower()
    known = hosts_entry(pod, host)
    if known is not None:
        return Answer("ok", host, (known,))
    inside = uses_cluster_dns(pod)
    if inside and not dns_is_up(store):
        return Answer("timeout", host)
    nodata: Answer | None = None
    for name in candidates(host, pod, domain):
        in_cluster = name == domain or name.endswith("." + domain)
        if not in_cluster or not inside:
            if is_public(name):
                return nodata or Answer("external", name)
            continue
        answer = _cluster_name(store, name, domain)
        if answer.code in ("ok", "external"):
            return answer
        if answer.code == "nodata":
            nodata = answer
    return nodata or Answer("nxdomain", host.rstrip("."))


def _cluster_name(store: Store, name: str, domain: str, depth: int = 0) -> Answer:
    labels = name[: -len(domain)].rstrip(".").split(".") if name != domain else []
    if len(labels) < 3:
        return Answer("nxdomain", name)
    if labels[-1] == "pod" and len(labels) == 3:
        return (
            Answer("ok", name, (labels[0].replace("-", "."),))
            if _dashed(labels[0])
            else Answer("nxdomain", name)
        )
    if labels[-1] != "svc":
        return Answer("nxdomain", name)
    *before, service_name, space, _ = labels
    service = store.get("services", space, service_name)
    if service is None:
        return Answer("nxdomain", name)
    key = (space, service_name)
    if dig(service, "spec", "type") == "ExternalName":
        return _alias(
            store, str(dig(service, "spec", "externalName", default="")), domain, key, before, depth
        )
    if dig(service, "spec", "clusterIP") == "None":
        return _headless(store, service, name, before)
    if before:
        return Answer("nxdomain", name)
    return Answer("ok", name, tuple(cluster_ips(service)), key)


def _dashed(text: str) -> bool:
    return is_address(text.replace("-", "."))


def _alias(
    store: Store, target: str, domain: str, key: tuple[str, str], before: list[str], depth: int
) -> Answer:
    target = target.rstrip(".").lower()
    if before or not target or depth >= _MOST_ALIASES:
        return Answer("nxdomain", target)
    if not target.endswith("." + domain):
        return Answer("external" if is_public(target) else "nxdomain", target, (), key)
    return _cluster_name(store, target, domain, depth + 1)


def _headless(store: Store, service: Obj, name: str, before: list[str]) -> Answer:
    """Addresses of the endpoints themselves; with one more label, of the pod with that host name."""
    if len(before) > 1:
        return Answer("nxdomain", name)
    key = (namespace_of(service), name_of(service))
    wanted = before[0] if before else None
    addresses, pods = [], []
    for item in store.list("endpointslices.discovery.k8s.io", key[0]):
        if (item["metadata"].get("labels") or {}).get("kubernetes.io/service-name") != key[1]:
            continue
        for endpoint in item.get("endpoints") or ():
            ready = (endpoint.get("conditions") or {}).get("ready") is not False
            address = str((endpoint.get("addresses") or [""])[0])
            host = endpoint.get("hostname") or address.replace(".", "-")
            if address and ready and wanted in (None, host) and address not in addresses:
                addresses.append(address)
                target = endpoint.get("targetRef") or {}
                pods.append((str(target.get("namespace") or ""), str(target.get("name") or "")))
    if not addresses:
        return Answer("nxdomain", name, (), key)
    pod = pods[0] if wanted is not None else ("", "")
    return Answer("ok", name, tuple(sorted(addresses)), key, pod)
