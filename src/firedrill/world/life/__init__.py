"""Background life: what happens in a cluster without being anybody's trouble.

`begin(world, level, red_herrings)` lets it start; `changes(world)` tells those who judge what was changed.
"""

from firedrill.world.life.habits import LEVELS, begin
from firedrill.world.life.neighbours import manifests
from firedrill.world.life.state import Change, Life, changes

__all__ = ["LEVELS", "Change", "Life", "begin", "changes", "manifests"]
