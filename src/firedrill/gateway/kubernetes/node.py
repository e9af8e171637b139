"""What the gateway asks of the nodes: logs, and commands in containers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from firedrill.world.world import World


class Executed(Protocol):
    """How a command ended."""

    @property
    def stdout(self) -> str:
        """What it printed."""
        ...

    @property
    def stderr(self) -> str:
        """What it complained of."""
        ...

    @property
    def code(self) -> int:
        """Its exit code."""
        ...


def read_log(world: World, namespace: str, pod: str, container: str, **options: Any) -> list[str]:
    """Lines of a container's log; see `kubelet.read_log`.

    Raises:
        ApiError: the pod is not there, or its node does not answer.
    """
    from firedrill.world.kube import kubelet

    return list(kubelet.read_log(world, namespace, pod, container, **options))


def execute(
    world: World, namespace: str, pod: str, container: str, command: Sequence[str], stdin: str = ""
) -> Executed:
    """Carry out a command in a container with this to read; see `kubelet.execute`.

    Raises:
        ApiError: the pod is not there, or its node does not answer.
    """
    from firedrill.world.kube import kubelet

    done: Executed = kubelet.execute(world, namespace, pod, container, command, stdin)
    return done
