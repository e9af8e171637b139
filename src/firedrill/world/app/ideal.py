"""A cluster in which everything works, for trying out a graph without one."""

from __future__ import annotations

from collections.abc import Mapping

from firedrill.world.app.graph import Graph
from firedrill.world.app.rows import OK
from firedrill.world.app.topology import PodInfo, Topology, make_topology, reach_from


def ideal_topology(
    graph: Graph,
    *,
    users: float,
    replicas: int | Mapping[str, int] = 1,
    cores: float | Mapping[str, float] = 1.0,
    node_cores: float = 64.0,
) -> Topology:
    """Pods of all services on one node, and every call reaches every pod of its service.

    Args:
        graph: of the application.
        users: how many there are.
        replicas: pods of each service, or of those that are named; 1 of the others.
        cores: processors of each pod, likewise.
        node_cores: of the node.
    """
    services = graph.app.services
    pods: list[PodInfo] = []
    for index, service in enumerate(services):
        count = replicas if isinstance(replicas, int) else replicas.get(service.name, 1)
        limit = cores if isinstance(cores, int | float) else cores.get(service.name, 1.0)
        for number in range(count):
            name = f"{service.name}-{number}"
            pods.append(PodInfo(index, "default", name, name, 0, "node", limit, 0))
    pods.append(PodInfo(len(services), "default", "load-0", "load-0", 0, "node", 1.0, 0))
    of = [[place for place, pod in enumerate(pods) if pod.service == index] for index in range(len(services))]
    lists: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for edge, target in enumerate(graph.edge_target):
        if graph.entries <= edge < graph.roots:
            lists |= {(pod, edge): [(pod, OK)] for pod in of[int(graph.edge_service[edge])]}
            continue
        source = int(graph.edge_source[edge])
        callers = [len(pods) - 1] if source < 0 else of[int(graph.op_service[source])]
        for pod in callers:
            lists[pod, edge] = [(place, OK) for place in of[int(graph.op_service[target])]]
    return make_topology(
        graph,
        tuple(pods),
        reach_from(graph, lists, len(pods)),
        users=users,
        load_pods=(len(pods) - 1,),
        node_cores={"node": node_cores},
    )
