"""Which objects recorders pull."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

from firedrill.world.sim.tables import table

if TYPE_CHECKING:
    from firedrill.world.kube.store import Store


@cache
def _document() -> Mapping[str, Any]:
    return table("firedrill.suites.exporting", "recorded.yaml")  # type: ignore[no-any-return]


def pulled_resources(store: Store) -> list[str]:
    """The resources of a cluster whose objects are recorded, in the order in which they are pulled."""
    groups = tuple(f".{group}" for group in _document()["groups"])
    custom = [resource for resource in store.resources() if resource.endswith(groups)]
    return [*_document()["pulled"], *custom]
