"""One container: its image, its creation, its start, and the pauses between its runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from firedrill.world.kube.kubelet import credentials, environment, heartbeat, running, sync
from firedrill.world.kube.kubelet.state import (
    Container,
    NodeState,
    PodState,
    keep,
    keep_node,
    kubelets,
    node_of,
)
from firedrill.world.kube.kubelet.status import is_sidecar
from firedrill.world.kube.objects import Obj, dig, is_deleting, uid_of
from firedrill.world.kube.programs import catalogue, pulling
from firedrill.world.kube.programs.reference import Reference, parse_reference
from firedrill.world.sim.handlers import handler

if TYPE_CHECKING:
    from firedrill.world.world import World


def advance(world: World, pod: Obj, state: PodState, node: NodeState, item: Mapping[str, Any]) -> PodState:
    """Do the next thing for a container that is to run; sets `busy` where that takes time."""
    found = state.containers[item["name"]]
    if found.running:
        return _renew(world, pod, state, found) if _changed(item, found) else state
    if found.ended:
        if not _restarts(pod, item, found):
            return state
        pause, counted = _pause(world, found), not found.renew or found.previous is not None
        if found.renew:
            found = replace(found, renew=False)
            state = keep(world, state.having(found))
        if pause > 0:
            return _hold(world, pod, state, item, found)
        found = _next_pause(world, found) if counted else found
        state = keep(world, state.having(found))
    if state.busy:
        return state
    return _prepare(world, pod, state, node, item, found)


def _changed(item: Mapping[str, Any], found: Container) -> bool:
    """Whether a container is to run another image than the one that it runs."""
    image = str(item.get("image") or "")
    if not found.image or found.killing or image == found.image:
        return False
    return parse_reference(image) is not None


def _renew(world: World, pod: Obj, state: PodState, found: Container) -> PodState:
    """End a run whose definition is no longer the pod's; the next one follows at once."""
    message = f"Container {found.name} definition changed, will be restarted"
    sync.tell(world, pod, "Normal", "Killing", message, found.name)
    return running.kill(world, pod, state, found, "definition", None)


def _restarts(pod: Obj, item: Mapping[str, Any], found: Container) -> bool:
    policy = pod["spec"].get("restartPolicy") or "Always"
    if any(other.get("name") == item["name"] for other in pod["spec"].get("ephemeralContainers") or ()):
        return False
    if is_sidecar(item):
        return True
    if found.waiting in {"CreateContainerConfigError", "CreateContainerError", "ErrImagePull"}:
        return True
    failed = found.run is not None and found.run.code != 0
    init = any(other["name"] == item["name"] for other in pod["spec"].get("initContainers") or ())
    if init:
        return failed and policy != "Never"
    return policy == "Always" or (policy == "OnFailure" and failed)


def _pause(world: World, found: Container) -> int:
    """Milliseconds until the container may be started again.

    The kubelet that has just ended a run itself still sees the containers as before: it counts from the end
    of the run before that one, and does not hold back the first time.
    """
    run, settings = found.previous if found.renew else found.run, world.cluster.settings
    if run is None or run.finished < 0 or not found.back_off or _expired(found, settings.back_off_reset):
        return 0
    return run.finished + found.back_off - world.now


def _expired(found: Container, reset: int) -> bool:
    return found.run is not None and found.run.finished - found.back_off_at > reset


def _next_pause(world: World, found: Container) -> Container:
    settings = world.cluster.settings
    fresh = not found.back_off or _expired(found, settings.back_off_reset)
    pause = settings.back_off_start if fresh else min(found.back_off * 2, settings.back_off_max)
    return replace(found, back_off=pause, back_off_at=world.now)


def _hold(world: World, pod: Obj, state: PodState, item: Mapping[str, Any], found: Container) -> PodState:
    name = item["name"]
    where = f"{state.name}_{state.namespace}({state.uid})"
    message = f"Back-off restarting failed container {name} in pod {where}"
    sync.tell(world, pod, "Warning", "BackOff", message, name)
    seconds = _go_duration(found.back_off)
    held = replace(
        found,
        waiting="CrashLoopBackOff",
        message=f"back-off {seconds} restarting failed container={name} pod={where}",
    )
    first = found.waiting != "CrashLoopBackOff"
    state = keep(world, state.having(held))
    if first:
        sync.request_sync(world, state, 900, 1600, "hold")
    else:
        sync.retry(world, state)
    return state


def _go_duration(ms: int) -> str:
    minutes, seconds = divmod(ms // 1000, 60)
    return f"{minutes}m{seconds}s" if minutes else f"{seconds}s"


# --- the image


def _prepare(
    world: World, pod: Obj, state: PodState, node: NodeState, item: Mapping[str, Any], found: Container
) -> PodState:
    image, name = str(item.get("image") or ""), item["name"]
    missing = credentials.missing(world, pod)
    if missing:
        names = ", ".join(missing)
        message = (
            f"Unable to retrieve some image pull secrets ({names}); "
            "attempting to pull the image may not succeed."
        )
        sync.tell(world, pod, "Warning", "FailedToRetrieveImagePullSecret", message)
    reference = parse_reference(image)
    if reference is None:
        why = (
            f'Failed to apply default image tag "{image}": '
            f'couldn\'t parse image name "{image}": invalid reference format'
        )
        sync.tell(world, pod, "Warning", "InspectFailed", why, name)
        sync.tell(world, pod, "Warning", "Failed", "Error: InvalidImageName", name)
        return _wait(world, state, found, "InvalidImageName", why)
    policy = item.get("imagePullPolicy") or ("Always" if reference.tag == "latest" else "IfNotPresent")
    present = reference.full in node.images
    if policy == "Never" and not present:
        why = f'Container image "{image}" is not present with pull policy of Never'
        sync.tell(world, pod, "Warning", "ErrImageNeverPull", why, name)
        sync.tell(world, pod, "Warning", "Failed", "Error: ErrImageNeverPull", name)
        return _wait(world, state, found, "ErrImageNeverPull", why)
    if present and policy != "Always":
        sync.tell(
            world, pod, "Normal", "Pulled", f'Container image "{image}" already present on machine', name
        )
        return _image_there(world, state, found, reference, image)
    if found.pull_failed >= 0 and world.now < found.pull_failed + found.pull_back_off:
        return _hold_pull(world, pod, state, found, image)
    return _pull(world, pod, state, node, found, reference, image)


def _wait(world: World, state: PodState, found: Container, reason: str, message: str) -> PodState:
    state = keep(world, state.having(replace(found, waiting=reason, message=message)))
    sync.retry(world, state)
    return state


def _hold_pull(world: World, pod: Obj, state: PodState, found: Container, image: str) -> PodState:
    sync.tell(world, pod, "Normal", "BackOff", f'Back-off pulling image "{image}"', found.name)
    sync.tell(world, pod, "Warning", "Failed", "Error: ImagePullBackOff", found.name)
    message = f'Back-off pulling image "{image}"'
    if world.cluster.settings.minor >= 32 and found.message:
        before = (
            found.message if found.waiting == "ErrImagePull" else found.message.partition("ErrImagePull: ")[2]
        )
        message += f": ErrImagePull: {before}"
    return _wait(world, state, found, "ImagePullBackOff", message)


def _pull(
    world: World,
    pod: Obj,
    state: PodState,
    node: NodeState,
    found: Container,
    reference: Reference,
    image: str,
) -> PodState:
    sync.tell(world, pod, "Normal", "Pulling", f'Pulling image "{image}"', found.name)
    outcome = _ask(world, pod, state, node, found, reference)
    waiting = found.waiting if found.pulls or found.ended else "ContainerCreating"
    found = replace(found, pulls=found.pulls + 1, waiting=waiting or "ContainerCreating")
    world.schedule(outcome.ms, "kubelet.pulled", state.uid, found.name, found.pulls)
    return keep(world, replace(state.having(found), busy=found.name))


def _ask(
    world: World, pod: Obj, state: PodState, node: NodeState, found: Container, reference: Reference
) -> pulling.Pulled:
    held = credentials.hosts(world, pod)
    architecture = world.cluster.store.get("nodes", "", node.name)
    arch = str(dig(architecture, "status", "nodeInfo", "architecture", default="amd64"))
    outcome = pulling.pull(world, reference, arch, held, node.name, state.uid, found.name, found.pulls)
    if not outcome.error and reference.full in node.images:
        return replace(outcome, ms=200 + outcome.ms % 500)
    return outcome


@handler("kubelet.pulled")
def _pulled(world: World, uid: str, name: str, number: int) -> None:
    state = kubelets(world).pods.get(uid)
    if state is None or state.busy != name or state.containers[name].pulls != number:
        return
    state = keep(world, replace(state, busy=""))
    pod, node = _live(world, state)
    if pod is None or node is None:
        return
    found = state.containers[name]
    item = spec_of(pod, name)
    image = str(item.get("image") or "") if item is not None else ""
    reference = parse_reference(image)
    if item is None or reference is None:
        sync.request_sync(world, state, 10, 100, "pulled")
        return
    outcome = _ask(world, pod, state, node, replace(found, pulls=number - 1), reference)
    if outcome.error:
        _pull_failed(world, pod, state, found, image, outcome.error)
        return
    took = _go_ms(outcome.ms)
    message = (
        f'Successfully pulled image "{image}" in {took} ({took} including waiting). '
        f"Image size: {outcome.size} bytes."
    )
    sync.tell(world, pod, "Normal", "Pulled", message, name)
    keep_node(world, replace(node, images={**node.images, reference.full: outcome.size}))
    heartbeat.images_changed(world, node.name)
    _image_there(world, state, replace(found, pull_back_off=0, pull_failed=-1), reference, image)


def _pull_failed(world: World, pod: Obj, state: PodState, found: Container, image: str, error: str) -> None:
    settings = world.cluster.settings
    sync.tell(world, pod, "Warning", "Failed", f'Failed to pull image "{image}": {error}', found.name)
    sync.tell(world, pod, "Warning", "Failed", "Error: ErrImagePull", found.name)
    first = found.pull_failed < 0
    pause = (
        settings.pull_back_off_start if first else min(found.pull_back_off * 2, settings.pull_back_off_max)
    )
    found = replace(found, waiting="ErrImagePull", message=error, pull_back_off=pause, pull_failed=world.now)
    state = keep(world, state.having(found))
    sync.write_status(world, pod, state)
    if first:
        sync.request_sync(world, state, 300, 1200, "pull")
    else:
        sync.retry(world, state)


def _go_ms(ms: int) -> str:
    if ms < 1000:
        return f"{ms}ms"
    return f"{ms / 1000:.3f}".rstrip("0").rstrip(".") + "s"


# --- creation and start


def _image_there(
    world: World, state: PodState, found: Container, reference: Reference, image: str
) -> PodState:
    digest = catalogue.digest_of(world, reference)
    found = replace(found, image_id=f"{reference.repository}@{digest}", image=image)
    number = found.run.attempt + 1 if found.run is not None else 0
    delay = world.rng.integer(30, 160, "kubelet.create", state.uid, found.name, number)
    world.schedule(delay, "kubelet.create", state.uid, found.name, number)
    return keep(world, replace(state.having(found), busy=found.name))


def _live(world: World, state: PodState) -> tuple[Obj | None, NodeState | None]:
    """The pod and its node, where the kubelet still works on it."""
    node = node_of(world, state.node)
    pod = world.cluster.store.get("pods", state.namespace, state.name)
    if node is None or not node.runs("kubelet", "containerd"):
        return None, None
    if pod is None or uid_of(pod) != state.uid or is_deleting(pod) or state.verdict[0]:
        return None, None
    return pod, node


def spec_of(pod: Obj, name: str) -> Mapping[str, Any] | None:
    """The container's part of the pod's spec."""
    for key in ("containers", "initContainers", "ephemeralContainers"):
        for item in pod["spec"].get(key) or ():
            if item.get("name") == name:
                return item  # type: ignore[no-any-return]
    return None


@handler("kubelet.create")
def _create(world: World, uid: str, name: str, number: int) -> None:
    state = kubelets(world).pods.get(uid)
    if state is None or state.busy != name or state.containers[name].running:
        return
    state = keep(world, replace(state, busy=""))
    pod, node = _live(world, state)
    item = spec_of(pod, name) if pod is not None else None
    if pod is None or node is None or item is None:
        return
    found = state.containers[name]
    try:
        env = environment.resolve(world, pod, item, state, node)
        user = running.user_of(pod, item, world)
    except environment.ConfigError as problem:
        sync.tell(world, pod, "Warning", "Failed", f"Error: {problem}", name)
        state = _wait(world, state, found, "CreateContainerConfigError", str(problem))
        sync.write_status(world, pod, state)
        return
    running.start(world, pod, state, node, item, found, env, user, number)
