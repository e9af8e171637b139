"""The scenarios that the template agent `clerk` is not written with: its score on these is the one to quote.

The twenty smallest ids of the catalogue by SHA-256 of the id, so that nobody chose them.
"""

from __future__ import annotations

from hashlib import sha256

CATALOGUE: tuple[str, ...] = (
    *(f"kg-{number:02d}" for number in range(1, 13)),
    *(f"ko-{number:02d}" for number in range(1, 15)),
    *(f"rh-{number:02d}" for number in range(1, 28)),
    *(f"ku-{number:02d}" for number in range(1, 13)),
)
"""All ids."""
BLIND: tuple[str, ...] = (
    "kg-07",
    "kg-08",
    "kg-12",
    "ko-05",
    "ko-08",
    "ko-10",
    "ko-11",
    "ko-12",
    "ku-03",
    "ku-05",
    "rh-03",
    "rh-04",
    "rh-06",
    "rh-16",
    "rh-17",
    "rh-18",
    "rh-23",
    "rh-24",
    "rh-25",
    "rh-26",
)


def by_hash(count: int = 20) -> tuple[str, ...]:
    """The ids with the smallest hashes, sorted by id."""
    ranked = sorted(CATALOGUE, key=lambda name: sha256(name.encode()).hexdigest())
    return tuple(sorted(ranked[:count]))


__all__ = ["BLIND", "CATALOGUE", "by_hash"]
