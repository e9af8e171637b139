"""Pull secrets: for which registries a pod brings credentials."""

from __future__ import annotations

import json
from base64 import b64decode
from typing import TYPE_CHECKING, Any

from firedrill.world.kube.objects import Obj, dig, namespace_of

if TYPE_CHECKING:
    from firedrill.world.world import World


def _names(world: World, pod: Obj) -> list[str]:
    return [str(item.get("name")) for item in pod["spec"].get("imagePullSecrets") or () if item.get("name")]


def missing(world: World, pod: Obj) -> list[str]:
    """The pull secrets that the pod names and that do not exist."""
    namespace = namespace_of(pod)
    store = world.cluster.store
    return [name for name in _names(world, pod) if store.get("secrets", namespace, name) is None]


def hosts(world: World, pod: Obj) -> frozenset[str]:
    """The registries for which the pod's secrets hold credentials."""
    out: set[str] = set()
    for name in _names(world, pod):
        secret = world.cluster.store.get("secrets", namespace_of(pod), name)
        text = dig(secret, "data", ".dockerconfigjson")
        out.update(_hosts_in(text) if isinstance(text, str) else ())
    return frozenset(out)


def _hosts_in(text: str) -> list[str]:
    try:
        document: Any = json.loads(b64decode(text, validate=True))
    except ValueError:
        return []
    auths = document.get("auths") if isinstance(document, dict) else None
    out = []
    for key in auths if isinstance(auths, dict) else ():
        host = str(key).partition("://")[2] or str(key)
        host = host.partition("/")[0]
        out.append("docker.io" if host in {"index.docker.io", "registry-1.docker.io"} else host)
    return out
