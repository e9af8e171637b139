"""Bearer tokens of service accounts: issued on request, good until they expire.

They look like the signed tokens of a real cluster and carry the same claims; the signature is a keyed hash
with a key of this world, since nobody outside needs to check it.
"""

from __future__ import annotations

import base64
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

import orjson

from firedrill.world.sim.clock import rfc3339

if TYPE_CHECKING:
    from firedrill.world.world import World

AUDIENCE = "https://kubernetes.default.svc.cluster.local"


def issue(world: World, namespace: str, name: str, seconds: int) -> tuple[str, str]:
    """A token of the service account and the time until which it is good (RFC 3339)."""
    now = world.now // 1000
    account = world.cluster.store.get("serviceaccounts", namespace, name) or {}
    claims = {
        "aud": [AUDIENCE],
        "exp": now + seconds,
        "iat": now,
        "iss": AUDIENCE,
        "jti": world.rng.uuid("token", namespace, name, world.now, len(world.cluster.audit)),
        "kubernetes.io": {
            "namespace": namespace,
            "serviceaccount": {"name": name, "uid": account.get("metadata", {}).get("uid", "")},
        },
        "nbf": now,
        "sub": f"system:serviceaccount:{namespace}:{name}",
    }
    head = _part({"alg": "RS256", "kid": world.rng.hexadecimal(40, "token-key")})
    body = f"{head}.{_part(claims)}"
    return f"{body}.{_sign(world, body)}", rfc3339((now + seconds) * 1000)


def holder(world: World, token: str) -> tuple[str, str] | None:
    """(namespace, name) of the service account whose good token this is, else None."""
    body, _, signature = token.rpartition(".")
    if len(token) > 8192 or not body or signature != _sign(world, body):
        return None
    claims: Any = orjson.loads(_decoded(body.partition(".")[2]))
    if claims["exp"] * 1000 <= world.now:
        return None
    reference = claims["kubernetes.io"]
    namespace, name = reference["namespace"], reference["serviceaccount"]["name"]
    account = world.cluster.store.get("serviceaccounts", namespace, name)
    if account is None or account["metadata"]["uid"] != reference["serviceaccount"]["uid"]:
        return None
    return namespace, name


def _part(value: object) -> str:
    return base64.urlsafe_b64encode(orjson.dumps(value)).decode().rstrip("=")


def _decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _sign(world: World, body: str) -> str:
    key = world.rng.hexadecimal(64, "token-signature").encode()
    digest = b"".join(
        blake2b(body.encode("utf-8", "replace"), key=key, salt=bytes([i])).digest() for i in range(4)
    )
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")
