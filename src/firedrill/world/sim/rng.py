"""Seeded draws by name: a draw is a function of (seed, name), never of how many were drawn before it.

So one more consumer changes nobody else's draws, and a fork has no state to copy.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from hashlib import blake2b
from typing import TypeVar

T = TypeVar("T")
_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"
"""What Kubernetes makes names of: no vowels, no 0, 1 or 3 (apimachinery's rand.SafeEncodeString)."""


@lru_cache(maxsize=16)
def _key(seed: int) -> bytes:
    return blake2b(str(seed).encode(), digest_size=32).digest()


class Rng:
    """Draws of one world."""

    __slots__ = ("_key", "seed")

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self._key = _key(seed)

    def _bytes(self, name: tuple[object, ...], size: int) -> bytes:
        text = "\x1f".join(map(str, name)).encode("utf-8", "surrogatepass")
        return blake2b(text, digest_size=size, key=self._key).digest()

    def uniform(self, *name: object) -> float:
        """A float in [0, 1)."""
        return (int.from_bytes(self._bytes(name, 8), "big") >> 11) * 2.0**-53

    def integer(self, low: int, high: int, *name: object) -> int:
        """A whole number in [low, high], both included."""
        return low + int.from_bytes(self._bytes(name, 12), "big") % (high - low + 1)

    def choice(self, items: Sequence[T], *name: object) -> T:
        """One of the items.

        Raises:
            IndexError: there are none.
        """
        if not items:
            raise IndexError("nothing to choose from")
        return items[self.integer(0, len(items) - 1, *name)]

    def suffix(self, length: int, *name: object) -> str:
        """Letters and digits as Kubernetes appends them to generated names."""
        number = int.from_bytes(self._bytes(name, 32), "big")
        out = []
        for _ in range(length):
            number, digit = divmod(number, len(_ALPHABET))
            out.append(_ALPHABET[digit])
        return "".join(out)

    def hexadecimal(self, length: int, *name: object) -> str:
        """Lower-case hex digits, at most 128 of them."""
        return self._bytes(name, 64).hex()[:length]

    def uuid(self, *name: object) -> str:
        """A random (version 4) UUID."""
        raw = bytearray(self._bytes(name, 16))
        raw[6] = (raw[6] & 0x0F) | 0x40
        raw[8] = (raw[8] & 0x3F) | 0x80
        text = raw.hex()
        return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
