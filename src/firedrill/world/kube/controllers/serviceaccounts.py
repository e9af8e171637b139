"""Service accounts: a `default` one and the cluster's root certificate in every namespace, and token secrets.

Source: the serviceaccount, serviceaccount-token and root-ca-cert-publisher controllers of Kubernetes 1.31.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable
from typing import TYPE_CHECKING

from firedrill.world.kube import tokens
from firedrill.world.kube.api.client import Client, component_client
from firedrill.world.kube.api.errors import ApiError
from firedrill.world.kube.api.request import User
from firedrill.world.kube.controllers.authority import root_certificate
from firedrill.world.kube.controllers.base import Controller, all_keys, key_of, own_key, register, split_key
from firedrill.world.kube.objects import Obj, annotations_of, dig, is_deleting, name_of, namespace_of, uid_of

if TYPE_CHECKING:
    from firedrill.world.kube.store import Change
    from firedrill.world.world import World

_ACCOUNTS = "service-account-controller"
_TOKENS = "tokens-controller"
_MANAGER_NAME = "kube-controller-manager"
_MANAGER = User(f"system:{_MANAGER_NAME}")
_ROOT_CA = "root-ca-cert-publisher"
_CONFIG_MAP = "kube-root-ca.crt"
_DESCRIPTION = (
    "Contains a CA bundle that can be used to verify the kube-apiserver when using internal endpoints such "
    "as the internal service IP or kubernetes.default.svc. No other usage is guaranteed across distributions "
    "of Kubernetes clusters."
)
_TOKEN_TYPE = "kubernetes.io/service-account-token"  # noqa: S105 - the type of a Secret, not a secret
_NAME_KEY = "kubernetes.io/service-account.name"
_UID_KEY = "kubernetes.io/service-account.uid"
_CENTURY = 100 * 365 * 86_400


def _is_open(world: World, name: str) -> bool:
    namespace = world.cluster.store.get("namespaces", "", name)
    return namespace is not None and not is_deleting(namespace)


def _namespace_keys(_: World, change: Change) -> Iterable[str]:
    return (name_of(change.obj),) if change.type != "DELETED" and not is_deleting(change.obj) else ()


def _resync(world: World) -> Iterable[str]:
    return [name_of(obj) for obj in world.cluster.store.list("namespaces")]


def _create(world: World, controller: str, obj: Obj) -> None:
    """Create it; not being able to because the namespace goes away is no failure."""
    try:
        component_client(world, controller).create(obj)
    except ApiError as refusal:
        ends = refusal.code == 403 and "being terminated" in refusal.message
        if refusal.reason != "AlreadyExists" and not ends:
            raise


# --- the account called default


def _account_deleted(_: World, change: Change) -> Iterable[str]:
    gone = change.type == "DELETED" and name_of(change.obj) == "default"
    return (namespace_of(change.obj),) if gone else ()


def _accounts(world: World, name: str) -> None:
    if not _is_open(world, name) or world.cluster.store.get("serviceaccounts", name, "default"):
        return
    given = {"name": "default", "namespace": name}
    _create(world, _ACCOUNTS, {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": given})


# --- the root certificate


def _config_map_changed(_: World, change: Change) -> Iterable[str]:
    mine = name_of(change.obj) == _CONFIG_MAP and change.type != "ADDED"
    return (namespace_of(change.obj),) if mine else ()


def _publish(world: World, name: str) -> None:
    if not _is_open(world, name):
        return
    data = {"ca.crt": root_certificate()}
    found = world.cluster.store.get("configmaps", name, _CONFIG_MAP)
    note = "kubernetes.io/description"
    if found is None:
        given = {"name": _CONFIG_MAP, "namespace": name, "annotations": {note: _DESCRIPTION}}
        made = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": given, "data": data}
        _create(world, _ROOT_CA, made)
    elif found.get("data") != data or annotations_of(found).get(note) != _DESCRIPTION:
        marks = {**annotations_of(found), note: _DESCRIPTION}
        given = {**found["metadata"], "annotations": marks}
        component_client(world, _ROOT_CA).update({**found, "metadata": given, "data": data})


# --- token secrets


def _account_secrets(world: World, change: Change) -> Iterable[str]:
    space, name = namespace_of(change.obj), name_of(change.obj)
    if change.type == "MODIFIED":
        return ()
    return [
        key_of(space, name_of(secret))
        for secret in world.cluster.store.list("secrets", space)
        if secret.get("type") == _TOKEN_TYPE and annotations_of(secret).get(_NAME_KEY) == name
    ]


def _token(world: World, key: str) -> None:
    namespace, name = split_key(key)
    store, client = world.cluster.store, Client(world, _MANAGER, manager=_MANAGER_NAME, trusted=True)
    secret = store.get("secrets", namespace, name)
    if secret is None or secret.get("type") != _TOKEN_TYPE or is_deleting(secret):
        return
    wanted, uid = annotations_of(secret).get(_NAME_KEY, ""), annotations_of(secret).get(_UID_KEY, "")
    account = store.get("serviceaccounts", namespace, wanted)
    if account is None or (uid and uid != uid_of(account)):
        client.delete("secrets", namespace, name, uid=uid_of(secret))
        return
    data = dict(secret.get("data") or {})
    full = {"ca.crt": root_certificate(), "namespace": namespace}
    new = {name_: base64.b64encode(text.encode()).decode() for name_, text in full.items()}
    if not data.get("token"):
        text, _ = tokens.issue(world, namespace, wanted, _CENTURY)
        new["token"] = base64.b64encode(text.encode()).decode()
    if uid and all(data.get(item) == text for item, text in new.items()):
        return
    marks = {**annotations_of(secret), _UID_KEY: uid_of(account)}
    given = {**secret["metadata"], "annotations": marks}
    client.update({**secret, "metadata": given, "data": {**data, **new}})


def _token_keys(world: World, change: Change) -> Iterable[str]:
    is_token = dig(change.obj, "type") == _TOKEN_TYPE and change.type != "DELETED"
    return own_key(world, change) if is_token else ()


register(
    Controller(
        name=_ACCOUNTS,
        component="kube-controller-manager",
        watches={"namespaces": _namespace_keys, "serviceaccounts": _account_deleted},
        reconcile=_accounts,
        resync=_resync,
    )
)
register(
    Controller(
        name=_ROOT_CA,
        component="kube-controller-manager",
        watches={"namespaces": _namespace_keys, "configmaps": _config_map_changed},
        reconcile=_publish,
        resync=_resync,
    )
)
register(
    Controller(
        name=_TOKENS,
        component="kube-controller-manager",
        watches={"secrets": _token_keys, "serviceaccounts": _account_secrets},
        reconcile=_token,
        resync=all_keys("secrets"),
    )
)
