"""Which of the shipped rules an application is watched by, with its own names in them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from firedrill.world.kube.objects import Obj, dig, name_of, namespace_of

if TYPE_CHECKING:
    from firedrill.world.app import Package
    from firedrill.world.app.model import Application, Service
    from firedrill.world.telemetry.rules import Group

_PROXIES = frozenset({"envoy", "nginx", "haproxy", "traefik"})
_NO_KEEPERS = frozenset({"", "redis", "valkey", "memcached", "kafka", "rabbitmq", "nats"})
"""What is not a database whose silence is alarming: caches and brokers are quiet now and then."""


def rules_for(package: Package) -> list[Group]:
    """The rules that ship with Firedrill and are about this application or about any cluster."""
    from firedrill.world.telemetry.producers import shipped_rules
    from firedrill.world.telemetry.traces.failures import family

    app = package.application
    space = app.namespace
    loader = app.load.workload[1]
    unwatched = _any([*sorted({flag.provider for flag in app.flags if flag.provider}), loader])
    out = [
        *shipped_rules("kubernetes"),
        *shipped_rules("request-alerts", space, fronts=_any(fronts(app)), unwatched=unwatched),
    ]
    keepers, queries = _databases(app)
    if keepers:
        out += shipped_rules("database-alerts", space, keepers=_any(keepers), queries=_any(queries))
    if app.queues:
        out += shipped_rules("queue-alerts", space)
    if any(family(service.language) == "java" for service in app.services):
        out += shipped_rules("jvm-alerts", space)
    if meshed(package.manifests, space):
        out += shipped_rules("mesh-alerts", space, loaders=_any(_loaders(package, loader)))
    return out


def fronts(app: Application) -> list[str]:
    """The services that users see: those that they call, and what stands right behind a mere proxy."""
    known = {service.name: service for service in app.services}
    out = sorted({entry.call.service for entry in app.load.entries})
    for name in list(out):
        service = known.get(name)
        if service is None or service.framework not in _PROXIES:
            continue
        passed = [operation.calls[0].service for operation in service.operations if operation.calls]
        most = max(sorted(set(passed)), key=passed.count, default="")
        if most and most not in out and 2 * passed.count(most) > len(passed):
            out.append(most)
    return sorted(out)


def _databases(app: Application) -> tuple[list[str], list[str]]:
    """Who uses databases, and how the spans of that are called."""
    from firedrill.world.telemetry.traces.describe import client_span_name

    kinds: dict[str, Service] = {service.name: service for service in app.services}
    users, names = set(), set()
    for service in app.services:
        for call in (call for operation in service.operations for call in operation.calls):
            store = kinds.get(call.service)
            if store is None or store.database in _NO_KEEPERS:
                continue
            title = next((op.title for op in store.operations if op.name == call.operation), "")
            users.add(service.name)
            names.add(client_span_name(service.language, call.protocol, title, store.database))
    return sorted(users), sorted(names)


def meshed(manifests: Iterable[Obj], namespace: str) -> bool:
    """Whether the namespace of an application, or one of its pods, asks to be in a service mesh."""
    for obj in manifests:
        labels = dig(obj, "metadata", "labels", default={}) or {}
        if obj.get("kind") == "Namespace" and name_of(obj) == namespace and _asks(labels):
            return True
        pod = dig(obj, "spec", "template", "metadata", "labels", default={}) or {}
        if namespace_of(obj) == namespace and _asks(pod):
            return True
    return False


def _asks(labels: Obj) -> bool:
    return (
        labels.get("istio.io/dataplane-mode") == "ambient"
        or labels.get("istio-injection") == "enabled"
        or labels.get("sidecar.istio.io/inject") == "true"
    )


def _loaders(package: Package, name: str) -> list[str]:
    """What a mesh calls the load generator: by the labels of its pods."""
    out = {name}
    for obj in package.manifests:
        if name_of(obj) == name and dig(obj, "spec", "template") is not None:
            labels = dig(obj, "spec", "template", "metadata", "labels", default={}) or {}
            for key in ("service.istio.io/canonical-name", "app.kubernetes.io/name", "app"):
                if labels.get(key):
                    out.add(str(labels[key]))
    return sorted(out)


def _any(names: Iterable[str]) -> str:
    """A part of a regular expression that takes these names."""
    return "|".join(name.replace(".", "[.]").replace("*", "[*]") for name in names)


__all__ = ["fronts", "meshed", "rules_for"]
