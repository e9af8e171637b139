"""Commands inside containers: a small set of tools, run without a shell on any real machine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from firedrill.world.kube.api import errors
from firedrill.world.kube.kubelet.state import Container, PodState, find_pod, node_of
from firedrill.world.kube.objects import Obj, dig
from firedrill.world.kube.programs import catalogue
from firedrill.world.kube.programs.launch import missing_executable
from firedrill.world.kube.programs.model import Executed, Program
from firedrill.world.kube.programs.reference import parse_reference

if TYPE_CHECKING:
    from firedrill.world.world import World


def program_in(world: World, pod: Obj, found: Container) -> Program:
    """The program of a container's image."""
    from firedrill.world.kube.kubelet.containers import spec_of

    item = spec_of(pod, found.name) or {}
    reference = parse_reference(str(item.get("image") or ""))
    return catalogue.program_of(world, reference) if reference is not None else Program("app")


def run_in(
    world: World, pod: Obj, state: PodState, found: Container, command: Sequence[str], stdin: str = ""
) -> Executed:
    """Run a command in a running container."""
    from firedrill.world.kube.kubelet import tools

    words = [str(word) for word in command]
    if not words:
        return Executed(stderr="exec: no command", code=126, failed=True)
    program = program_in(world, pod, found)
    missing = missing_executable(program, words[0])
    if missing:
        text = f"OCI runtime exec failed: exec failed: unable to start container process: {missing}: unknown"
        return Executed(stderr=text, code=126 if "/" in words[0] else 127, failed=True)
    return tools.Session(world, pod, state, found, program).run(words, stdin)


def execute(
    world: World, namespace: str, pod: str, container: str, command: Sequence[str], stdin: str = ""
) -> Executed:
    """Run a command in a container of a pod, as `kubectl exec` does.

    Args:
        world: where; commands change nothing but files of the container.
        namespace, pod, container: which one.
        command: the words; no shell reads them.
        stdin: what the command can read.

    Raises:
        ApiError: there is no such pod or container, or it does not run, in the words of the API.
    """
    obj = world.cluster.store.get("pods", namespace, pod)
    if obj is None:
        raise errors.not_found("pods", pod)
    node = node_of(world, str(obj["spec"].get("nodeName") or ""))
    if node is None:
        raise errors.bad_request(f"pod {pod} does not have a host assigned")
    if not node.runs("kubelet"):
        raise errors.internal(f"error dialing backend: dial tcp {node.ip}:10250: connect: connection refused")
    state = find_pod(world, namespace, pod)
    found = state.containers.get(container) if state is not None else None
    if found is None:
        raise errors.bad_request(f"container {container} is not valid for pod {pod}")
    if dig(obj, "status", "phase") in {"Succeeded", "Failed"}:
        raise errors.bad_request(
            f"cannot exec into a container in a completed pod; current phase is {obj['status']['phase']}"
        )
    if state is None or not found.running:
        raise errors.internal(f'unable to upgrade connection: container not found ("{container}")')
    return run_in(world, obj, state, found, command, stdin)
