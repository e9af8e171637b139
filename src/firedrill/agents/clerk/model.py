"""What a requirement about pods and containers comes to, whatever engine is to judge it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Value = bool | int | str
Operator = Literal["in", "above", "at-most", "set", "all-in", "none-in", "has"]
Scope = Literal["pod", "container", "port", "volume"]


@dataclass(frozen=True)
class Condition:
    """Something that a field has to be.

    Attributes:
        path: from the pod's spec, the container, the port or the volume.
        operator: `in` (one of the values), `above`, `at-most` (a number), `set` (there at all), and of lists
            `all-in`, `none-in` and `has` (each of the values).
        values: to compare with.
        absent: what holds where the field is left out.
        inherited: the pod's own field of that path speaks for containers that are silent.
    """

    path: tuple[str, ...]
    operator: Operator
    values: tuple[Value, ...] = ()
    absent: bool = False
    inherited: bool = False


@dataclass(frozen=True)
class Demand:
    """Of everything in the scope at least one of `fine` holds, and none of `never`."""

    scope: Scope
    fine: tuple[Condition, ...]
    never: tuple[Condition, ...] = ()


LISTS = ("containers", "initContainers", "ephemeralContainers")

__all__ = ["LISTS", "Condition", "Demand", "Operator", "Scope", "Value"]
