"""A request as the API server sees it, free of any wire format, and its answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from firedrill.world.kube.objects import Obj

Verb = Literal["get", "list", "watch", "create", "update", "patch", "delete", "deletecollection"]
PatchType = Literal["json", "merge", "strategic", "apply"]


@dataclass(frozen=True, slots=True)
class User:
    """Who asks.

    Attributes:
        name: as in `system:serviceaccount:kube-system:deployment-controller`.
        groups: without `system:authenticated`, which everybody with a name has.
        uid: may be empty.
        extra: further claims.
    """

    name: str
    groups: tuple[str, ...] = ()
    uid: str = ""
    extra: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


ADMIN = User("kubernetes-admin", ("system:masters",))
ANONYMOUS = User("system:anonymous", ("system:unauthenticated",))


def service_account(namespace: str, name: str) -> User:
    """The user that a service account is."""
    return User(
        f"system:serviceaccount:{namespace}:{name}",
        ("system:serviceaccounts", f"system:serviceaccounts:{namespace}"),
    )


def node_user(node: str) -> User:
    """The user that a kubelet is."""
    return User(f"system:node:{node}", ("system:nodes",))


@dataclass(frozen=True, slots=True)
class Options:
    """The query of a request, as `ListOptions`, `CreateOptions`, … name it."""

    label_selector: str = ""
    field_selector: str = ""
    limit: int = 0
    continue_token: str = ""
    resource_version: str = ""
    resource_version_match: str = ""
    field_manager: str = ""
    field_validation: str = ""
    dry_run: bool = False
    force: bool = False
    pretty: bool = False
    grace_period_seconds: int | None = None
    propagation_policy: str = ""
    preconditions: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Request:
    """One call of the API.

    Attributes:
        verb: what is asked.
        group, version, plural: of the resource, as in the path.
        namespace: empty for cluster-scoped things and for all namespaces.
        name: empty for collections.
        subresource: as in `status`; empty for the object itself.
        body: the object, the patch (a list for a JSON patch) or delete options.
        patch_type: how to read the body of a patch.
        raw_query: parameters that only a subresource understands (`container`, `tailLines`, …).
        trusted: the caller is a component of the world that writes what it built itself, so the
            schema need not be checked again.
        size: of the body as it came over the wire, in bytes; 0 where it did not.
        notes: what the steps of the request add to its audit event, filled on the way.
    """

    verb: Verb
    group: str
    version: str
    plural: str
    namespace: str = ""
    name: str = ""
    subresource: str = ""
    body: Any = None
    patch_type: PatchType | None = None
    options: Options = Options()
    raw_query: Mapping[str, str] = field(default_factory=dict)
    user: User = ADMIN
    user_agent: str = ""
    source_ip: str = "127.0.0.1"
    trusted: bool = False
    size: int = 0
    notes: dict[str, str] = field(default_factory=dict, compare=False)


@dataclass(frozen=True, slots=True)
class Response:
    """The answer to a request that was not refused.

    Attributes:
        code: HTTP status: 200, 201 or 202.
        obj: the object, list or `Status`.
        warnings: texts for `Warning` headers.
    """

    code: int
    obj: Obj
    warnings: tuple[str, ...] = ()
