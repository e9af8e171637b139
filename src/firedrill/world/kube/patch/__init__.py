"""Changes of objects: JSON patch, merge patch, strategic merge patch, server-side apply."""

from firedrill.world.kube.patch.apply import server_side_apply
from firedrill.world.kube.patch.errors import PatchError
from firedrill.world.kube.patch.json_patch import json_patch
from firedrill.world.kube.patch.managers import track_update
from firedrill.world.kube.patch.merge import merge_patch
from firedrill.world.kube.patch.schema import SchemaView
from firedrill.world.kube.patch.strategic import strategic_merge

__all__ = [
    "PatchError",
    "SchemaView",
    "json_patch",
    "merge_patch",
    "server_side_apply",
    "strategic_merge",
    "track_update",
]
