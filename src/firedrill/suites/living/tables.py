"""Short tables of incidents, made into specifications of the form in which ITBench writes them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from firedrill.world.sim.tables import table as packaged

Document = dict[str, Any]
_NAMESPACES = {
    "opentelemetryDemo": "otel-demo",
    "bookInfo": "book-info",
    "hotelReservation": "hotel-reservation",
}
_WAITERS = {
    "restart": "restart-kubernetes-workload",
    "scale": "scale-kubernetes-workload",
    "delete": "delete-workload-pods",
}
_VERSIONS = {"Deployment": "apps/v1", "StatefulSet": "apps/v1", "Gateway": "gateway.networking.k8s.io/v1"}
_SYSTEM = frozenset({"kube-apiserver", "etcd"})
_FLAGS = "opentelemetry-demo-feature-flag"
_CHAOS = "scheduled-chaos-mesh-experiment"


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a table: its id, how complex it is said to be, and the specification."""

    id: str
    complexity: str
    specification: Document


@cache
def rows(table: str) -> tuple[Row, ...]:
    """The rows of `itbench-sre` or `sre-paper`."""
    data = packaged("firedrill.suites", f"living/{table}.yaml")
    return tuple(
        Row(str(row["id"]), row.get("complexity", ""), _specification(row, data["application"]))
        for row in data["rows"]
    )


def _specification(row: Mapping[str, Any], usual: str) -> Document:
    application = row.get("application", usual)
    space = _NAMESPACES[application]
    injections = [_injection(space, *item) for item in row.get("do", ())]
    injections += [_chaos(space, *item) for item in row.get("chaos", ())]
    for flag, state in (row.get("flags") or {}).items():
        args = {**_object(space, "ConfigMap/flagd-config"), "flag": {"name": flag, "state": state}}
        injections.append({"id": _FLAGS, "args": args})
    fault: Document = {"injections": injections}
    waiters = {"preInjection": row.get("first", ()), "postInjection": row.get("then", ())}
    waits = {key: [_waiter(space, *item) for item in items] for key, items in waiters.items() if items}
    if waits:
        fault["waitFor"] = waits
    settings: Document = {"enabled": True}
    if row.get("options"):
        settings["options"] = row["options"]
    return {
        "apiVersion": "itbench.io/v2",
        "kind": "Scenario",
        "metadata": {"name": f"scenario-{row['id']}"},
        "spec": {
            "applications": {application: settings},
            "faults": [fault] if injections else [],
            "tools": {row.get("tools", "sre"): {"enabled": True}},
        },
    }


def _object(space: str, what: str) -> Document:
    kind, _, name = what.partition("/")
    meta = {"name": name} if kind == "Namespace" else {"name": name, "namespace": space}
    return {"kubernetesObject": {"apiVersion": _VERSIONS.get(kind, "v1"), "kind": kind, "metadata": meta}}


def _injection(space: str, name: str, what: str, more: Mapping[str, Any] | None = None) -> Document:
    return {"id": name, "args": {**_object(space, what), **(more or {})}}


def _selector(space: str, component: str) -> Document:
    if component in _SYSTEM:
        return {"labelSelectors": {"component": component}, "namespaces": ["kube-system"]}
    return {"labelSelectors": {"app.kubernetes.io/component": component}, "namespaces": [space]}


def _chaos(
    space: str, name: str, kind: str, component: str, spec: Mapping[str, Any], target: str = ""
) -> Document:
    inner = {"selector": _selector(space, component), **spec}
    if target:
        inner["target"] = {"mode": "all", "selector": _selector(space, target)}
    field = kind.replace("JVM", "jvm").replace("HTTP", "http").replace("IO", "io")
    field = field[0].lower() + field[1:]
    meta = {"name": name, "namespace": "chaos-mesh"}
    schedule = {"apiVersion": "chaos-mesh.org/v1alpha1", "kind": "Schedule", "metadata": meta}
    return {
        "id": _CHAOS,
        "args": {"kubernetesObject": schedule, "scheduleSpec": {"type": kind, field: inner}},
    }


def _waiter(space: str, name: str, workload: str, replicas: int = 0) -> Document:
    args = _object(space, f"Deployment/{workload}")
    return {"id": _WAITERS[name], "args": {**args, "replicas": replicas} if replicas else args}


__all__ = ["Row", "rows"]
