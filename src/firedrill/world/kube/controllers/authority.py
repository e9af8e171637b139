"""The certificate that the cluster's own API server is signed with, as pods see it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from hashlib import blake2b
from typing import TYPE_CHECKING

from firedrill.world.sim.certificate import authority_extension, self_signed
from firedrill.world.sim.clock import EPOCH_MS

if TYPE_CHECKING:
    from firedrill.world.world import World

_YEARS = 10


def root_certificate(world: World) -> str:
    """The root certificate of the world's cluster in PEM: a function of its seed."""
    return _certificate(world.rng.seed)


@lru_cache(maxsize=16)
def _certificate(seed: int) -> str:
    raw = blake2b(f"cluster root {seed}".encode(), digest_size=48).digest()
    made = datetime.fromtimestamp(EPOCH_MS // 1000, UTC) - timedelta(days=30)
    serial = int.from_bytes(raw[32:40], "big") | 1
    end = made + timedelta(days=365 * _YEARS)
    return self_signed(raw[:32], "kubernetes", serial, made, end, (authority_extension(),))
