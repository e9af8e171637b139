"""The tools that a command inside a container may use."""

from __future__ import annotations

from typing import TYPE_CHECKING

from firedrill.world.kube.kubelet.execution import Executed
from firedrill.world.kube.kubelet.state import Container, PodState
from firedrill.world.kube.objects import Obj
from firedrill.world.kube.programs.model import Program

if TYPE_CHECKING:
    from firedrill.world.world import World


class Session:
    """One command in one container."""

    def __init__(self, world: World, pod: Obj, state: PodState, found: Container, program: Program) -> None:
        self.world, self.pod, self.state, self.found, self.program = world, pod, state, found, program

    def run(self, words: list[str]) -> Executed:
        return Executed()
