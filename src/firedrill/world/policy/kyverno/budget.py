"""How much one evaluation may cost: policies and objects come from outside."""

from __future__ import annotations

STEPS = 400_000
"""Nodes and elements looked at in one evaluation of one rule."""


class Exhausted(Exception):
    """An evaluation was given up; the text says why."""


class Budget:
    """Counts steps down."""

    __slots__ = ("left",)

    def __init__(self, steps: int = STEPS) -> None:
        self.left = steps

    def step(self, count: int = 1) -> None:
        """Take `count` steps.

        Raises:
            Exhausted: there are none left.
        """
        self.left -= count
        if self.left < 0:
            raise Exhausted("evaluation takes too many steps")

    def fail(self, why: str) -> None:
        """Give up.

        Raises:
            Exhausted: always.
        """
        self.left = min(self.left, 0)
        raise Exhausted(why)
