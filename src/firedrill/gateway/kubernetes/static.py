"""What is no resource: discovery, OpenAPI documents, version, health, metrics."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import orjson

from firedrill.gateway.kubernetes import discovery, negotiate
from firedrill.gateway.kubernetes.wire import Answer, Headers, Scope, dumps, header
from firedrill.world.kube import schema
from firedrill.world.kube.api import errors

if TYPE_CHECKING:
    from firedrill.gateway.kubernetes.host import Host
    from firedrill.world.kube.kinds import Kinds

_TEXT = b"text/plain; charset=utf-8"
_CHECKS = ("ping", "log", "etcd", "informer-sync", "poststarthook/start-apiextensions-controllers")
_V2_PROTOBUF = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf"
_PUBLIC: Headers = ((b"cache-control", b"public"), (b"vary", b"Accept"))


def serve(host: Host, scope: Scope, path: str) -> Answer:
    """Answer a request for a path that names no resource.

    Raises:
        ApiError: there is nothing, or not for this method.
    """
    if scope["type"] != "http":
        raise errors.no_such_path()
    if scope["method"] not in {"GET", "HEAD"}:
        raise errors.method_not_allowed()
    world = host.world
    parts = [part for part in path.split("/") if part]
    head = parts[0] if parts else ""
    if head in {"healthz", "livez", "readyz"}:
        return _health(head, parts[1:], scope)
    if parts == ["version"]:
        return Answer(200, dumps(discovery.version(world.cluster.settings), pretty=True) + b"\n")
    if parts == ["metrics"]:
        return _metrics(host)
    if head == "openapi":
        return _openapi(host, parts[1:], scope)
    if head in {"api", "apis"}:
        return _discovery(host, parts, scope)
    if not parts:
        known = ["/api", "/apis", "/healthz", "/livez", "/metrics", "/openapi/v2", "/openapi/v3"]
        known += ["/readyz", "/version"]
        return Answer(200, dumps({"paths": known}, pretty=True))
    raise errors.no_such_path()


def _health(head: str, rest: list[str], scope: Scope) -> Answer:
    if rest:
        if "/".join(rest) not in _CHECKS:
            raise errors.no_such_path()
        return Answer(200, b"ok", _TEXT)
    if b"verbose" not in scope.get("query_string", b""):
        return Answer(200, b"ok", _TEXT)
    lines = [f"[+]{name} ok" for name in _CHECKS]
    return Answer(200, ("\n".join([*lines, f"{head} check passed"]) + "\n").encode(), _TEXT)


def _metrics(host: Host) -> Answer:
    store = host.world.cluster.store
    lines = [
        "# HELP apiserver_storage_objects Number of stored objects at the time of last check split by kind.",
        "# TYPE apiserver_storage_objects gauge",
        *(
            f'apiserver_storage_objects{{resource="{name}"}} {store.count(name)}'
            for name in store.resources()
        ),
        "# HELP apiserver_longrunning_requests Gauge of all active long-running apiserver requests.",
        "# TYPE apiserver_longrunning_requests gauge",
        f'apiserver_longrunning_requests{{verb="WATCH"}} {len(host.hub)}',
    ]
    return Answer(200, ("\n".join(lines) + "\n").encode(), b"text/plain; version=0.0.4; charset=utf-8")


def _openapi(host: Host, parts: list[str], scope: Scope) -> Answer:
    kinds, release = host.world.cluster.kinds, host.world.cluster.settings.version
    if parts == ["v3"]:
        return _tagged(dumps(schema.openapi_v3_index(kinds, release)), scope)
    if parts == ["v2"]:
        if _V2_PROTOBUF in header(scope, b"accept"):
            media = _V2_PROTOBUF.replace("@", ".")  # what servers answer: "@" is no part of a media type
            return _tagged(_v2_protobuf(release), scope, media.encode())
        return _tagged(schema.openapi_v2_bytes(release), scope)
    if len(parts) in {3, 4} and parts[0] == "v3" and parts[1] in {"api", "apis"}:
        group, version = ("", parts[2]) if len(parts) == 3 else (parts[2], parts[3])
        found = schema.openapi_v3_bytes(kinds, group, version, release)
        if found and (parts[1] == "api") == (not group):
            return _tagged(found, scope)
    raise errors.no_such_path()


def _v2_protobuf(release: str) -> bytes:
    """A document with a title and no definitions.

    kubectl asks for it where a group has no document of version 3 and for `kind: List`. With nothing in it,
    it leaves validation to the server and merges by the types it has itself.
    """
    title, version = b"Kubernetes", f"v{release}.0".encode()
    info = b"\x0a" + bytes([len(title)]) + title + b"\x12" + bytes([len(version)]) + version
    return b"\x0a\x032.0\x12" + bytes([len(info)]) + info


def _discovery(host: Host, parts: list[str], scope: Scope) -> Answer:
    kinds: Kinds = host.world.cluster.kinds
    wanted = negotiate.parse(header(scope, b"accept"))
    if len(parts) == 1:
        core = parts[0] == "api"
        if wanted.discovery:
            body = orjson.dumps(discovery.aggregated(kinds, wanted.discovery, core=core))
            media = f"application/json;g=apidiscovery.k8s.io;v={wanted.discovery};as=APIGroupDiscoveryList"
            return _tagged(body, scope, media.encode())
        if core:
            address = scope.get("server") or ("127.0.0.1", 6443)
            return Answer(200, dumps(discovery.core_versions(f"{address[0]}:{address[1]}")))
        return Answer(200, dumps(discovery.group_list(kinds)))
    if parts[0] == "api":
        found = discovery.resource_list(kinds, "", parts[1]) if len(parts) == 2 else None
    elif len(parts) == 2:
        found = discovery.group(kinds, parts[1])
    else:
        found = discovery.resource_list(kinds, parts[1], parts[2]) if len(parts) == 3 else None
    if found is None:
        raise errors.no_such_path()
    return Answer(200, dumps(found))


def _tagged(body: bytes, scope: Scope, media_type: bytes = b"application/json") -> Answer:
    """An answer that a client may keep, or the news that what it keeps is still right."""
    tag = f'"{hashlib.sha256(body).hexdigest()[:32].upper()}"'
    headers: Headers = (*_PUBLIC, (b"etag", tag.encode()))
    if header(scope, b"if-none-match") == tag:
        return Answer(304, b"", media_type, headers)
    return Answer(200, body, media_type, headers)
