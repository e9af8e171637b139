"""The certificate that the cluster's own API server is signed with, as pods see it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from hashlib import blake2b
from typing import TYPE_CHECKING

from firedrill.world.sim.clock import EPOCH_MS

if TYPE_CHECKING:
    from firedrill.world.world import World

_YEARS = 10


def root_certificate(world: World) -> str:
    """The root certificate of the world's cluster in PEM: a function of its seed."""
    return _certificate(world.rng.seed)


@lru_cache(maxsize=16)
def _certificate(seed: int) -> str:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import Encoding
    from cryptography.x509.oid import NameOID

    raw = blake2b(f"cluster root {seed}".encode(), digest_size=48).digest()
    key = Ed25519PrivateKey.from_private_bytes(raw[:32])
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "kubernetes")])
    made = datetime.fromtimestamp(EPOCH_MS // 1000, UTC) - timedelta(days=30)
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(int.from_bytes(raw[32:40], "big") | 1)
        .not_valid_before(made)
        .not_valid_after(made + timedelta(days=365 * _YEARS))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    )
    return builder.sign(key, None).public_bytes(Encoding.PEM).decode()
