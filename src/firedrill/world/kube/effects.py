"""What acts on pods and nodes without being an object: slow networks, busy processors, leaks.

An effect is a row: on what, which parameter, how much, and what caused it. Who simulates the thing that a
parameter is about reads its rows; nobody else needs to know of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Self

if TYPE_CHECKING:
    from firedrill.world.world import World

Parameter = Literal[
    "delay_ms", "loss", "cpu_steal", "mem_ballast_mb", "mem_leak_mb_s", "io_delay_ms", "frozen"
]
"""Delay added to each packet in ms; share of packets lost; share of the CPU limit taken by something else;
memory held, memory growth, delay of disk operations; whether the pod's processes are stopped."""


@dataclass(frozen=True, slots=True)
class Effect:
    """One row.

    Attributes:
        on: `node/<name>` or `pod/<uid>`.
        parameter: what it changes.
        value: how much, in the parameter's unit; shares in thousandths.
        source: the entity or program that causes it, for those who undo it.
    """

    on: str
    parameter: Parameter
    value: int
    source: str


class Effects:
    """All rows of a cluster.

    Attributes:
        rows: in the order in which they came.
        version: moves with every change.
    """

    __slots__ = ("rows", "version")

    def __init__(self) -> None:
        self.rows: tuple[Effect, ...] = ()
        self.version = 0

    def fork(self) -> Self:
        """An independent copy."""
        twin = type(self)()
        twin.rows, twin.version = self.rows, self.version
        return twin

    def state(self) -> object:
        """All of it as plain data."""
        return [self.version, [[row.on, row.parameter, row.value, row.source] for row in self.rows]]


def add(world: World, effect: Effect) -> None:
    """Let an effect begin."""
    part = world.cluster.part(Effects)
    part.rows = (*part.rows, effect)
    part.version += 1
    _changed(world)


def remove(world: World, source: str) -> None:
    """Let the effects of a source end."""
    part = world.cluster.part(Effects)
    part.rows = tuple(row for row in part.rows if row.source != source)
    part.version += 1
    _changed(world)


def _changed(world: World) -> None:
    """Probers that had no reason to look again have one now."""
    from firedrill.world.kube.kubelet import probes

    probes.wake_all(world)


def total(world: World, on: tuple[str, ...], parameter: Parameter) -> int:
    """The sum of a parameter over the effects on any of these."""
    rows = world.cluster.part(Effects).rows
    return sum(row.value for row in rows if row.parameter == parameter and row.on in on)
