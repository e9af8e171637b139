"""Logs and usage of containers, computed when they are asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from firedrill.world.kube.api import errors
from firedrill.world.kube.api.errors import ApiError
from firedrill.world.kube.kubelet import history, lines, running
from firedrill.world.kube.kubelet.state import Container, PodState, Run, find_pod, node_of
from firedrill.world.kube.objects import Obj
from firedrill.world.sim.clock import rfc3339

if TYPE_CHECKING:
    from firedrill.world.world import World

_KEPT = 10_000


def read_log(
    world: World,
    namespace: str,
    pod: str,
    container: str,
    *,
    previous: bool = False,
    tail: int | None = None,
    since_ms: int | None = None,
    limit_bytes: int | None = None,
    timestamps: bool = False,
) -> list[str]:
    """The lines that a container has written.

    Args:
        world: where.
        namespace, pod, container: which one.
        previous: of the run before.
        tail: only so many of the last lines.
        since_ms: only lines written at or after that moment, in ms since the Unix epoch.
        limit_bytes: stop after so many bytes.
        timestamps: put the time before each line.

    Raises:
        ApiError: there is no such pod or container, or it has no log, in the words of the API.
    """
    obj = world.cluster.store.get("pods", namespace, pod)
    if obj is None:
        raise errors.not_found("pods", pod)
    state = find_pod(world, namespace, pod)
    found = _container(obj, state, container)
    node = node_of(world, str(obj["spec"].get("nodeName") or ""))
    if node is not None and not node.runs("kubelet"):
        raise errors.internal(
            f'Get "https://{node.ip}:10250/containerLogs/{namespace}/{pod}/{container}": '
            f"dial tcp {node.ip}:10250: connect: connection refused"
        )
    run = _run(found, previous)
    if run is None:
        raise _nothing(found, container, pod, previous)
    record = history.runs(world).records.get((str(obj["metadata"]["uid"]), container, run.attempt))
    if record is None:
        return []
    count = _KEPT if tail is None or tail < 0 else tail
    if since_ms is None:
        told = lines.last_lines(world, record, count)
    else:
        told = lines.lines_of(world, record, since_ms * lines.MS, (world.now + 1) * lines.MS)
        told = told[-count:] if count else []
    return _limited([f"{_stamp(at)} {text}" if timestamps else text for at, text in told], limit_bytes)


def _stamp(ns: int) -> str:
    """A moment as runtimes write it: RFC 3339 with nine digits."""
    return f"{rfc3339(ns // lines.MS)[:-1]}.{ns % 1_000_000_000:09d}Z"


def _container(obj: Obj, state: PodState | None, name: str) -> Container:
    names = [
        item["name"]
        for key in ("containers", "initContainers", "ephemeralContainers")
        for item in obj["spec"].get(key) or ()
    ]
    if name not in names:
        raise errors.bad_request(f"container {name} is not valid for pod {obj['metadata']['name']}")
    return (state.containers.get(name) if state is not None else None) or Container(name)


def _run(found: Container, previous: bool) -> Run | None:
    if not previous:
        return found.run
    if found.waiting and found.ended:
        return found.run
    return found.previous


def _nothing(found: Container, container: str, pod: str, previous: bool) -> ApiError:
    if previous:
        return errors.bad_request(f'previous terminated container "{container}" in pod "{pod}" not found')
    text = f'container "{container}" in pod "{pod}" is waiting to start: '
    if found.waiting in {"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull"}:
        word = (
            "trying and failing to pull image"
            if found.waiting == "ImagePullBackOff"
            else "image can't be pulled"
        )
        return errors.bad_request(text + word)
    return errors.bad_request(text + (found.waiting or "ContainerCreating"))


def _limited(lines: list[str], limit: int | None) -> list[str]:
    if limit is None:
        return lines
    out: list[str] = []
    left = limit
    for line in lines:
        size = len(line.encode()) + 1
        if size > left:
            cut = line.encode()[: max(left, 0)].decode("utf-8", "ignore")
            return [*out, cut] if cut else out
        out.append(line)
        left -= size
    return out


def usage(world: World, namespace: str, pod: str) -> dict[str, tuple[int, int]]:
    """(thousandths of a core, bytes) that each running container of a pod uses."""
    state = find_pod(world, namespace, pod)
    return usage_of(world, state) if state is not None else {}


def usage_of(world: World, state: PodState) -> dict[str, tuple[int, int]]:
    """The same of a pod as its kubelet knows it."""
    out = {}
    for found in state.containers.values():
        if found.running and found.run is not None:
            slot = world.now // 15_000
            wobble = world.rng.uniform("usage", state.uid, found.name, slot)
            cpu = int((found.run.plan.cpu + found.health.cpu) * (0.8 + 0.4 * wobble))
            cpu += found.load.cpu
            out[found.name] = (cpu, int(running.memory(found, world.now) * (0.98 + 0.04 * wobble)))
    return out
