"""Making facts of worlds: what became of an episode, seen from forks of its incident.

`Yardstick` holds what all episodes of an incident have in common; `assess` makes the facts of one.
"""

from firedrill.runner.living.assessing.assessing import PATIENCE_MS, VERIFY_MS, assess, intervene
from firedrill.runner.living.assessing.yardstick import PREPARED_MS, Line, Yardstick, steps_of

__all__ = ["PATIENCE_MS", "PREPARED_MS", "VERIFY_MS", "Line", "Yardstick", "assess", "intervene", "steps_of"]
