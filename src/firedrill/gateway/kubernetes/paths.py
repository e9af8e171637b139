"""What a path of the API means. Source: apiserver's `request.RequestInfoFactory`."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Target:
    """The resource that a path names.

    Attributes:
        group, version, plural: as in the path.
        namespace: empty for cluster-scoped things and all namespaces.
        name: empty for collections.
        subresource: as in `status`.
        rest: what follows a subresource (`proxy/…`).
        watch: the old form of a path, `/api/v1/watch/…`.
    """

    group: str
    version: str
    plural: str
    namespace: str = ""
    name: str = ""
    subresource: str = ""
    rest: str = ""
    watch: bool = False


_PLUMBING = frozenset({"api", "apis", "openapi", "version", "healthz", "livez", "readyz"})


def is_plumbing(path: str) -> bool:
    """Whether a path is of discovery, OpenAPI, the version or health: what clients ask of any cluster."""
    return path.strip("/").split("/")[0] in _PLUMBING and parse(path) is None


def parse(path: str) -> Target | None:
    """The resource that a path names; None for everything else (discovery, health, unknown paths)."""
    parts = path.strip("/").split("/")
    if parts[0] == "api":
        group, version, rest = "", parts[1] if len(parts) > 1 else "", parts[2:]
    elif parts[0] == "apis" and len(parts) > 2:
        group, version, rest = parts[1], parts[2], parts[3:]
    else:
        return None
    watch = bool(rest) and rest[0] == "watch"
    if watch:
        rest = rest[1:]
    if not rest or "" in rest or not version:
        return None
    namespace = ""
    if rest[0] == "namespaces" and len(rest) > 2 and rest[2] not in {"status", "finalize"}:
        namespace, rest = rest[1], rest[2:]
    name = rest[1] if len(rest) > 1 else ""
    if rest[0] == "namespaces" and name and not namespace:
        namespace = name  # a namespace counts as lying in itself, for roles
    return Target(
        group=group,
        version=version,
        plural=rest[0],
        namespace=namespace,
        name=name,
        subresource=rest[2] if len(rest) > 2 else "",
        rest="/".join(rest[3:]),
        watch=watch,
    )
