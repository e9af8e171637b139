"""What the proxies of a service mesh tell of requests and connections, under Istio's names.

Whether a pod is in the mesh, and how, is read from labels of its namespace and of itself, as Istio does:
with a sidecar each HTTP request is told of by both ends' proxies; in ambient mode nodes' proxies tell of
connections, and only Envoys on the way (gateways) of requests.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from firedrill.world.kube.objects import Obj, dig, namespace_of, uid_of
from firedrill.world.telemetry import labels as label_sets
from firedrill.world.telemetry.monitoring import Monitoring
from firedrill.world.telemetry.producers.appstate import AppMetering
from firedrill.world.telemetry.producers.cells import Ints, growth
from firedrill.world.telemetry.traces import failures

if TYPE_CHECKING:
    from firedrill.world.app.cluster import Placed
    from firedrill.world.app.graph import Graph
    from firedrill.world.app.rows import Rows
    from firedrill.world.app.topology import Topology
    from firedrill.world.telemetry.labels import Labels
    from firedrill.world.telemetry.store import SeriesStore
    from firedrill.world.telemetry.traces.requests import Names
    from firedrill.world.world import World

TARGET = "istio-proxies"
BOUNDS_MS = (0.5, 1, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000, 30000, 60000)
_BOUNDS = (np.array(BOUNDS_MS) * 1000).astype(np.int64)
_TCP = (
    "istio_tcp_connections_opened_total",
    "istio_tcp_connections_closed_total",
    "istio_tcp_sent_bytes_total",
    "istio_tcp_received_bytes_total",
)
_SENT, _RECEIVED = 640.0, 2900.0
"""Bytes of a request and of an answer, encryption included."""
_FLAGS = {
    "timeout": "UT",
    "dropped": "UF",
    "refused": "UF",
    "reset": "UC",
    "overload": "UO",
    "pool": "UO",
    "not_found": "NR",
    "no_backend": "NC",
}
_SOURCE, _DESTINATION = "source", "destination"


class Member(NamedTuple):
    """A pod as the mesh sees it.

    Attributes:
        mode: `sidecar`, `ambient`, or empty for none.
        envoy: it is an Envoy itself, such as a gateway.
        labels: of its end, without `source_` or `destination_` before their names.
        pod, uid, node: which one.
    """

    mode: str
    envoy: bool
    labels: Mapping[str, str]
    pod: str
    uid: str
    node: str

    @property
    def workload(self) -> str:
        """What tells it from pods that have other labels."""
        return "/".join((self.mode, *self.labels.values()))


def begin(world: World, store: SeriesStore) -> None:
    """Say what the metrics are; the proxies become a target with the first pod of the mesh."""
    store.describe("istio_requests_total", "counter", "Requests.")
    store.describe("istio_request_duration_milliseconds", "histogram", "Duration of requests in ms.")
    for name in _TCP:
        store.describe(name, "counter", name.removeprefix("istio_tcp_").replace("_", " ").capitalize() + ".")
    store.describe("request_result_total", "counter", "Results of requests.")


def mode_of(world: World, pod: Obj) -> str:
    """How a pod takes part in a mesh that works: `sidecar`, `ambient`, or not at all."""
    from firedrill.world.mesh import in_mesh

    labels = dig(pod, "metadata", "labels", default={}) or {}
    space = world.cluster.store.get("namespaces", "", namespace_of(pod))
    inject = str(labels.get("sidecar.istio.io/inject") or "")
    wanted = dig(space, "metadata", "labels", "istio-injection") == "enabled"
    if inject == "true" or (wanted and inject != "false"):
        return "sidecar"
    return "ambient" if in_mesh(world, pod) else ""


def _member(world: World, names: Names, service: int, obj: Obj) -> Member:
    meta = obj["metadata"]
    namespace = str(meta.get("namespace") or "")
    labels = dict(meta.get("labels") or {})
    mode = mode_of(world, obj)
    images = [str(one.get("image") or "") for one in dig(obj, "spec", "containers", default=())]
    envoy = bool(images) and "proxyv2" in images[0]
    known = names.services[service]
    owner = str(meta.get("generateName") or meta.get("name") or "").rstrip("-")
    mark = labels.get("pod-template-hash")
    workload = owner.removesuffix(f"-{mark}") if mark else owner
    app = str(labels.get("app") or labels.get("app.kubernetes.io/name") or known.name)
    account = str(dig(obj, "spec", "serviceAccountName", default="default"))
    return Member(
        mode or ("sidecar" if envoy else ""),
        envoy,
        {
            "workload": workload,
            "workload_namespace": namespace,
            "principal": f"spiffe://cluster.local/ns/{namespace}/sa/{account}",
            "app": app,
            "version": str(labels.get("version") or "latest"),
            "canonical_service": str(labels.get("service.istio.io/canonical-name") or app),
            "canonical_revision": str(labels.get("version") or "latest"),
            "cluster": "Kubernetes",
        },
        str(meta.get("name") or ""),
        uid_of(obj),
        str(dig(obj, "spec", "nodeName", default="")),
    )


_OUTSIDE = Member("", False, {}, "", "", "")


def _members(world: World, part: AppMetering, names: Names, topology: Topology, pods: Placed) -> list[Member]:
    from firedrill.world.mesh import view

    names_here = sorted({info.namespace for info in topology.pods})
    spaces = [world.cluster.store.get("namespaces", "", name) for name in names_here]
    mark = (topology, pods, view(world), *spaces)
    held: Any = part.scratch.get("members")
    before = held[0] if isinstance(held, tuple) else ()
    if len(before) == len(mark) and all(old is new for old, new in zip(before, mark, strict=True)):
        return list(held[1])
    objects = {uid_of(obj): (service, obj) for service, _, obj in pods}
    found = [
        _member(world, names, *objects[info.uid]) if info.uid in objects else _OUTSIDE
        for info in topology.pods
    ]
    part.scratch["members"] = (mark, found)
    return found


def update(world: World, names: Names, graph: Graph, topology: Topology, rows: Rows, pods: Placed) -> None:
    """Count what the proxies saw in a tick."""
    part, store = world.cluster.part(AppMetering), world.cluster.part(Monitoring).store
    members = _members(world, part, names, topology, pods)
    if not any(member.mode for member in members):
        if part.mesh:
            _retire(world, part, store, set())
        return
    if not any(target.name == TARGET for target in store.targets()):
        labels = {"job": TARGET, "instance": f"{TARGET}.monitoring.svc:15090"}
        store.add_target(TARGET, labels, world.now, offset_ms=0)
    _retire(world, part, store, {info.uid for info in topology.pods})
    web = np.array([call.protocol in {"http", "grpc"} for call in graph.edge_call])
    here = np.flatnonzero(~np.isin(rows.edge, np.arange(graph.entries, graph.roots)) & (rows.source >= 0))
    if not len(here):
        return
    sides = _Sides(world, part, store, names, graph, topology, members)
    _told(sides, rows, here, web)


class _Sides(NamedTuple):
    """What is needed to find a block."""

    world: World
    part: AppMetering
    store: SeriesStore
    names: Names
    graph: Graph
    topology: Topology
    members: list[Member]


def _told(sides: _Sides, rows: Rows, here: Ints, web: Any) -> None:
    """Group rows by (caller's pod, call, callee's pod, outcome), and let the proxies of each group tell."""
    outcomes, edges = len(sides.names.outcomes), len(sides.graph.edge_call)
    pods = len(sides.topology.pods) + 1
    key = (rows.source[here] * edges + rows.edge[here]) * pods + rows.pod[here] + 1
    key = key * outcomes + rows.kind[here]
    cells, place = np.unique(key, return_inverse=True)
    amounts = growth(_BOUNDS, place, len(cells), rows.duration[here], rows.weight, 1000.0)
    store = sides.store
    for cell, amount in zip(cells.tolist(), amounts, strict=True):
        rest, outcome = divmod(cell, outcomes)
        rest, callee = divmod(rest, pods)
        caller, edge = divmod(rest, edges)
        count = float(amount[-1])
        for side, block in _tellers(sides, caller, edge, callee - 1, outcome, web=bool(web[edge])):
            if side == "tcp":
                store.values(block)[:] += [count, count, count * _SENT, count * _RECEIVED]
            elif side == "page":
                store.values(block)[0] += count
            else:
                row = store.values(block)
                row[:-1] += amount
                row[-1] += count


def _tellers(
    sides: _Sides, caller: int, edge: int, callee: int, outcome: int, *, web: bool
) -> list[tuple[str, int]]:
    """The blocks of the proxies that tell of a group, and what these are about."""
    one = sides.members[caller]
    other = sides.members[callee] if callee >= 0 else _OUTSIDE
    answer = _answer(sides, edge, sides.names.outcomes[outcome])
    out = []
    for side, member in ((_SOURCE, one), (_DESTINATION, other)):
        if web and (member.mode == "sidecar" or member.envoy):
            out.append(("web", _find(sides, ("web", side), one, other, edge, answer)))
        elif callee >= 0 and member.mode:
            out.append(("tcp", _find(sides, ("tcp", side), one, other, edge, ("", "", ""))))
    maker = sides.names.services[int(sides.graph.edge_service[edge])]
    if web and one.mode and not one.envoy and maker.framework == "flask":
        out.append(("page", _find(sides, ("page", _SOURCE), one, _OUTSIDE, edge, (answer[0], "", ""))))
    return out


def _answer(sides: _Sides, edge: int, outcome: str) -> tuple[str, str, str]:
    """Status, flags of the proxy, and status of gRPC."""
    grpc = sides.graph.edge_call[edge].protocol == "grpc"
    if outcome == sides.names.outcomes[0]:
        return "200", "-", "0" if grpc else ""
    own = failures.http_status(outcome)
    code = own or int(failures.tables()["proxied"].get(outcome, 503))
    flag = _FLAGS.get(outcome, "UF" if not own else "-")
    return str(code), flag, str(failures.grpc_status(outcome)[1]) if grpc else ""


def _find(
    sides: _Sides, what: tuple[str, str], one: Member, other: Member, edge: int, answer: tuple[str, str, str]
) -> int:
    service = int(sides.graph.op_service[sides.graph.edge_target[edge]])
    teller, far = (one, other) if what[1] == _SOURCE else (other, one)
    protocol = sides.graph.edge_call[edge].protocol
    key = (*what, teller.uid, far.workload, str(service), protocol, *answer)
    found = sides.part.mesh.get(key)
    if found is None:
        series = (
            _page(sides, one, edge, service, answer[0])
            if what[0] == "page"
            else _series(sides, what, one, other, edge, answer)
        )
        found = sides.part.mesh[key] = sides.store.block(TARGET, series, sides.world.now)
    return found


def _page(sides: _Sides, one: Member, edge: int, service: int, code: str) -> list[Labels]:
    maker = sides.names.services[int(sides.graph.edge_service[edge])]
    common = {
        "job": f"{sides.names.application}/{maker.name}",
        "namespace": sides.graph.app.namespace,
        "pod": one.pod,
        "instance": one.uid,
        "destination_app": sides.names.services[service].name,
        "response_code": code,
    }
    return [label_sets.make(common, "request_result_total")]


def _series(
    sides: _Sides, what: tuple[str, str], one: Member, other: Member, edge: int, answer: tuple[str, str, str]
) -> list[Labels]:
    known = sides.names.services[int(sides.graph.op_service[sides.graph.edge_target[edge]])]
    space = sides.graph.app.namespace
    teller = one if what[1] == _SOURCE else other
    labels = {
        "reporter": what[1],
        "pod": teller.pod,
        "node": teller.node,
        "instance": teller.uid,
        **{f"source_{key}": value for key, value in one.labels.items()},
        **{f"destination_{key}": value for key, value in other.labels.items()},
        "destination_service": f"{known.name}.{space}.svc.cluster.local",
        "destination_service_name": known.name,
        "destination_service_namespace": space,
        "request_protocol": sides.graph.edge_call[edge].protocol if what[0] == "web" else "tcp",
        "connection_security_policy": "mutual_tls" if one.mode and other.mode else "none",
    }
    if not one.labels:
        labels |= {"source_workload": "unknown", "source_canonical_service": "unknown"}
    if not other.labels:
        labels |= {"destination_workload": "unknown", "destination_workload_namespace": space}
        labels |= {"destination_canonical_service": known.name, "destination_app": "unknown"}
    if what[0] == "tcp":
        return [label_sets.make({**labels, "response_flags": "-"}, name) for name in _TCP]
    labels |= {"response_code": answer[0], "response_flags": answer[1], "grpc_response_status": answer[2]}
    name = "istio_request_duration_milliseconds"
    bounds = [*(f"{bound:g}" for bound in BOUNDS_MS), "+Inf"]
    out = [label_sets.make({**labels, "le": bound}, f"{name}_bucket") for bound in bounds]
    out += [label_sets.make(labels, f"{name}_{part}") for part in ("sum", "count")]
    return [*out, label_sets.make(labels, "istio_requests_total")]


def _retire(world: World, part: AppMetering, store: SeriesStore, here: set[str]) -> None:
    """The proxy of a pod is gone with it."""
    for key in list(part.mesh):
        if key[2] not in here:
            store.retire(part.mesh.pop(key), world.now)


__all__ = ["BOUNDS_MS", "TARGET", "Member", "begin", "mode_of", "update"]
