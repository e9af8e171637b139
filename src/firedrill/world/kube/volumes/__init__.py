"""Claims and volumes: which belongs to which, who makes new ones, and what keeps them from going.

Importing the room makes its controllers part of every world.
"""

from firedrill.world.kube.volumes.attaching import ATTACHER, is_attached
from firedrill.world.kube.volumes.controller import VOLUME_BINDER
from firedrill.world.kube.volumes.protection import CLAIM_PROTECTION, VOLUME_PROTECTION

__all__ = ["ATTACHER", "CLAIM_PROTECTION", "VOLUME_BINDER", "VOLUME_PROTECTION", "is_attached"]
