"""The living environment of one episode: a cluster, what runs in it, and its own clock."""

from firedrill.world.kube.cluster import Cluster, Settings
from firedrill.world.world import World

__all__ = ["Cluster", "Settings", "World"]
