"""Chaos Mesh: experiments as objects, and the controllers that carry them out.

Source of names, fields, phases, events and annotations: Chaos Mesh 2.6, `api/v1alpha1` and `controllers/`.
"""

from __future__ import annotations

from firedrill.world.kube.chaos.kinds import (
    API,
    KINDS,
    NAMESPACE,
    PAUSE,
    Kind,
    kind_of,
    mesh_objects,
)
from firedrill.world.kube.chaos.schedules import SCHEDULES

__all__ = ["API", "KINDS", "NAMESPACE", "PAUSE", "SCHEDULES", "Kind", "kind_of", "mesh_objects"]
