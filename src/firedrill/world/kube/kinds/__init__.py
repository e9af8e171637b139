"""Which kinds of objects there are: groups, versions, names, verbs and subresources."""

from firedrill.world.kube.kinds.model import Kind, Kinds, Subresource, custom_kinds, version_order
from firedrill.world.kube.kinds.registry import default_kinds

__all__ = ["Kind", "Kinds", "Subresource", "custom_kinds", "default_kinds", "version_order"]
