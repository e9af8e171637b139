"""Tables as a server gives them to kubectl: columns from data, cells from one function per kind."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any, Protocol

from firedrill.world.kube.objects import Obj, dig, meta, name_of
from firedrill.world.kube.printers import cluster, network, pods, storage, texts, workloads
from firedrill.world.kube.printers.ages import Since, since
from firedrill.world.kube.printers.jsonpath import compile_path
from firedrill.world.sim.tables import table as packaged

Cell = str | int | float | bool | None | Since
_Source = Callable[[Obj, Obj], Cell]


class HasResource(Protocol):
    """A kind, as far as a table needs to know it."""

    @property
    def resource(self) -> str:
        """`pods`, `deployments.apps`."""
        ...


@dataclass(frozen=True, slots=True)
class _Column:
    definition: Mapping[str, Any]
    source: _Source


_ROWS: Mapping[str, Callable[[Obj], Obj]] = {
    "pods": pods.pod,
    "podtemplates": workloads.pod_template,
    "replicationcontrollers": workloads.replication_controller,
    "replicasets.apps": texts.template,
    "deployments.apps": workloads.deployment,
    "statefulsets.apps": workloads.statefulset,
    "daemonsets.apps": workloads.daemonset,
    "controllerrevisions.apps": workloads.controller_revision,
    "jobs.batch": workloads.job,
    "cronjobs.batch": workloads.cronjob,
    "horizontalpodautoscalers.autoscaling": workloads.autoscaler,
    "poddisruptionbudgets.policy": workloads.budget,
    "services": network.service,
    "endpoints": network.endpoints,
    "endpointslices.discovery.k8s.io": network.endpoint_slice,
    "ingresses.networking.k8s.io": network.ingress,
    "ingressclasses.networking.k8s.io": network.ingress_class,
    "networkpolicies.networking.k8s.io": network.network_policy,
    "apiservices.apiregistration.k8s.io": network.api_service,
    "mutatingwebhookconfigurations.admissionregistration.k8s.io": network.webhooks,
    "validatingwebhookconfigurations.admissionregistration.k8s.io": network.webhooks,
    "validatingadmissionpolicies.admissionregistration.k8s.io": network.admission_policy,
    "validatingadmissionpolicybindings.admissionregistration.k8s.io": network.admission_binding,
    "persistentvolumes": storage.volume,
    "persistentvolumeclaims": storage.claim,
    "storageclasses.storage.k8s.io": storage.storage_class,
    "volumeattachments.storage.k8s.io": storage.attachment,
    "csinodes.storage.k8s.io": storage.csi_node,
    "csidrivers.storage.k8s.io": storage.csi_driver,
    "flowschemas.flowcontrol.apiserver.k8s.io": storage.flow_schema,
    "nodes": cluster.node,
    "events": cluster.event,
    "events.events.k8s.io": cluster.event,
    "namespaces": cluster.namespace,
    "configmaps": cluster.configmap,
    "secrets": cluster.secret,
    "serviceaccounts": cluster.service_account,
    "resourcequotas": cluster.quota,
    "rolebindings.rbac.authorization.k8s.io": cluster.binding,
    "clusterrolebindings.rbac.authorization.k8s.io": cluster.binding,
    "certificatesigningrequests.certificates.k8s.io": cluster.signing_request,
    "componentstatuses": cluster.component_status,
    "prioritylevelconfigurations.flowcontrol.apiserver.k8s.io": cluster.priority_level,
    "pods.metrics.k8s.io": cluster.pod_metrics,
}


def columns(kind: HasResource, columns_for_crd: Sequence[Mapping[str, Any]] | None = None) -> list[Obj]:
    """The `columnDefinitions` of a kind's table.

    Args:
        kind: any kind of the registry, or a custom one.
        columns_for_crd: `additionalPrinterColumns` of a custom kind's version.
    """
    return [dict(column.definition) for column in _columns(kind, columns_for_crd)]


def cells(
    kind: HasResource, obj: Obj, columns_for_crd: Sequence[Mapping[str, Any]] | None = None
) -> tuple[Cell, ...]:
    """An object's row with ages still open (`Since`): depends on the object alone, so it may be kept."""
    chosen = _columns(kind, columns_for_crd)
    special = {} if columns_for_crd is not None or kind.resource not in _ROWS else _ROWS[kind.resource](obj)
    return tuple(column.source(obj, special) for column in chosen)


def at(row_cells: Iterable[Cell], now_ms: int) -> list[Any]:
    """The cells at that moment (virtual milliseconds), as they go over the wire."""
    return [cell.text(now_ms) if isinstance(cell, Since) else cell for cell in row_cells]


def row(
    kind: HasResource, obj: Obj, now_ms: int, columns_for_crd: Sequence[Mapping[str, Any]] | None = None
) -> list[Any]:
    """The cells of one object at that moment."""
    return at(cells(kind, obj, columns_for_crd), now_ms)


def table(
    kind: HasResource,
    objects: Iterable[Obj],
    now_ms: int,
    *,
    columns_for_crd: Sequence[Mapping[str, Any]] | None = None,
) -> Obj:
    """`columnDefinitions` and `rows` (their `cells`) of a `meta.k8s.io/v1` Table; the caller adds objects."""
    return {
        "columnDefinitions": columns(kind, columns_for_crd),
        "rows": [{"cells": row(kind, obj, now_ms, columns_for_crd)} for obj in objects],
    }


def _columns(kind: HasResource, custom: Sequence[Mapping[str, Any]] | None) -> tuple[_Column, ...]:
    if custom is not None:
        return _custom(tuple(_frozen(item) for item in custom))
    return _declared().get(kind.resource) or _fallback()


# --- columns from data


_DESCRIPTIONS = {
    "Name": "Name of the object, unique among its kind in a namespace.",
    "Age": "Time since the object was created.",
    "Created At": "When the object was created.",
}


def _definition(name: str, type_: str, priority: int, format_: str = "", description: str = "") -> Obj:
    return {
        "name": name,
        "type": type_,
        "format": format_,
        "description": description or _DESCRIPTIONS.get(name, f"{name} of the object."),
        "priority": priority,
    }


def _name(obj: Obj, special: Obj) -> Cell:
    return special.get("Name") or name_of(obj)


def _age(obj: Obj, _: Obj) -> Cell:
    return since(meta(obj).get("creationTimestamp"))


def _created(obj: Obj, _: Obj) -> Cell:
    found: Any = meta(obj).get("creationTimestamp")
    return str(found) if found else None


_NAME = _Column(_definition("Name", "string", 0, "name"), _name)
_EMPTY: Mapping[str, Cell] = {"integer": 0, "boolean": False}


@cache
def _declared() -> Mapping[str, tuple[_Column, ...]]:
    return {
        resource: (
            *(() if resource.startswith("events") else (_NAME,)),
            *(_column(line) for line in lines),
        )
        for resource, lines in packaged(__package__, "columns.yaml").items()
    }


def _column(line: str) -> _Column:
    head, *rest = (part.strip() for part in line.split(";"))
    name, _, source = (part.strip() for part in head.partition(":"))
    type_ = rest[0] if rest and rest[0] else "string"
    priority = int(len(rest) > 1 and rest[1] == "wide")
    if type_ == "name":
        return _Column(_definition(name, "string", priority, "name"), _at_path(source, ""))
    if source in ("age", "created"):
        found = _age if source == "age" else _created
        return _Column(_definition(name, type_ if source == "created" else "string", priority), found)
    if source:
        return _Column(_definition(name, type_, priority), _at_path(source, _EMPTY.get(type_, "")))
    return _Column(_definition(name, type_, priority), lambda _obj, special: special[name])


def _at_path(path: str, missing: Cell) -> _Source:
    steps = path.split(".")

    def find(obj: Obj, _: Obj) -> Cell:
        found: Cell = dig(obj, *steps)
        return missing if found is None else found

    return find


@cache
def _fallback() -> tuple[_Column, ...]:
    return (_NAME, _Column(_definition("Age", "string", 0), _age))


# --- columns of custom resources


def _frozen(item: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple(item.get(key) for key in ("name", "type", "format", "description", "priority", "jsonPath"))


@lru_cache(maxsize=256)
def _custom(items: tuple[tuple[Any, ...], ...]) -> tuple[_Column, ...]:
    if not items:
        return (_NAME, _Column(_definition("Age", "date", 0), _age))
    out = [_NAME]
    for name, type_, format_, description, priority, path in items:
        definition = _definition(
            str(name), str(type_), int(priority or 0), str(format_ or ""), str(description or "")
        )
        out.append(_Column(definition, _by_jsonpath(str(path), str(type_))))
    return tuple(out)


def _by_jsonpath(path: str, type_: str) -> _Source:
    try:
        find = compile_path(path)
    except ValueError:
        return lambda _obj, _special: None

    def cell(obj: Obj, _: Obj) -> Cell:
        found = find(obj)
        if not found:
            return None
        return _typed(found, type_)

    return cell


def _typed(found: list[Any], type_: str) -> Cell:
    first = found[0]
    if type_ == "string":
        return " ".join(_plain(item) for item in found)
    if type_ == "date":
        return since(first, broken="<invalid>") if isinstance(first, str) else "<invalid>"
    if type_ == "boolean":
        return first if isinstance(first, bool) else None
    if isinstance(first, bool) or not isinstance(first, int | float):
        return None
    return int(first) if type_ == "integer" else first


def _plain(value: Any) -> str:
    if isinstance(value, dict | list):
        import orjson

        return orjson.dumps(value).decode()
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else str(value)
