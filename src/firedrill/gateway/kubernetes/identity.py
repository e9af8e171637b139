"""Who asks: bearer tokens, tokens of service accounts, and acting for somebody else."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import unquote

from firedrill.gateway.kubernetes.wire import Scope, header, headers_named
from firedrill.world.kube import rbac, tokens
from firedrill.world.kube.api import errors
from firedrill.world.kube.api.request import ANONYMOUS, User, service_account

if TYPE_CHECKING:
    from firedrill.gateway.kubernetes.host import Host
    from firedrill.gateway.kubernetes.paths import Target
    from firedrill.world.world import World

_EXTRA = b"impersonate-extra-"
_ACCOUNT = "system:serviceaccount:"


def account_of(world: World, token: str) -> User | None:
    """The service account whose good token this is."""
    found = tokens.holder(world, token)
    return service_account(*found) if found is not None else None


def authenticate(host: Host, scope: Scope) -> User:
    """Who sends a request: the holder of its token, or nobody in particular.

    Raises:
        ApiError: 401 for a token that is not good.
    """
    given = header(scope, b"authorization")
    if not given:
        return ANONYMOUS
    scheme, _, token = given.partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        return ANONYMOUS
    user = host.user_of(token.strip())
    if user is None:
        raise errors.unauthorized()
    return user


def acting(world: World, user: User, scope: Scope) -> User:
    """Whom a request acts for, which is its sender unless it carries `Impersonate-…` headers.

    Raises:
        ApiError: 403 where the sender may not; 500 for groups without a user, as a real server answers.
    """
    names = {key for key, _ in scope["headers"] if key.startswith(b"impersonate-")}
    if not names:
        return user
    name = header(scope, b"impersonate-user")
    groups = tuple(headers_named(scope, b"impersonate-group"))
    uid = header(scope, b"impersonate-uid")
    extra: dict[str, tuple[str, ...]] = {}
    for key in sorted(names):
        if key.startswith(_EXTRA):
            label = unquote(key[len(_EXTRA) :].decode("latin-1"))
            extra[label] = tuple(headers_named(scope, key))
    if not name:
        raise errors.internal(
            f"requested [{{Group  {groups[0] if groups else ''}    }}] without impersonating a user"
        )
    account = _account(name)
    if account:
        _need(world, user, "serviceaccounts", account[1], account[0])
        groups = groups or service_account(*account).groups
    else:
        _need(world, user, "users", name)
    for group in headers_named(scope, b"impersonate-group"):
        _need(world, user, "groups", group)
    if uid:
        _need(world, user, "uids", uid, group="authentication.k8s.io")
    for label, values in extra.items():
        for value in values:
            _need(world, user, "userextras", value, sub=label, group="authentication.k8s.io")
    return User(name, groups, uid, extra)


def _account(name: str) -> tuple[str, str] | None:
    if not name.startswith(_ACCOUNT):
        return None
    namespace, _, account = name[len(_ACCOUNT) :].partition(":")
    return (namespace, account) if namespace and account else None


def _need(
    world: World, user: User, plural: str, name: str, namespace: str = "", *, sub: str = "", group: str = ""
) -> None:
    allowed, _ = rbac.authorize(world.cluster.store, user, "impersonate", group, plural, sub, namespace, name)
    if not allowed:
        raise rbac.denial(user, "impersonate", group, plural, sub, namespace, name)


def check_resource(world: World, user: User, verb: str, target: Target) -> None:
    """Let a request for a resource that nobody knows pass, or refuse it: roles are asked first.

    Raises:
        ApiError: 403.
    """
    where = (target.group, target.plural, target.subresource, target.namespace, target.name)
    if not rbac.authorize(world.cluster.store, user, verb, *where)[0]:
        raise rbac.denial(user, verb, *where)


def check_path(world: World, user: User, method: str, path: str) -> None:
    """Let a request for something that is no resource pass, or refuse it.

    Raises:
        ApiError: 403.
    """
    verb = method.lower()
    allowed, _ = rbac.authorize(world.cluster.store, user, verb, "", "", "", "", "", path)
    if not allowed:
        raise rbac.denial(user, verb, "", "", "", "", "", path)
