"""Deployments: rolling updates, recreation, scaling in proportion, pausing.

Source: kube-controller-manager 1.31, `pkg/controller/deployment`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from firedrill.world.kube import selectors
from firedrill.world.kube.controllers import _pods
from firedrill.world.kube.controllers.base import (
    Controller,
    all_keys,
    key_of,
    own_key,
    owner_keys,
    register,
    split_key,
)
from firedrill.world.kube.controllers.deployment_sets import (
    DESIRED,
    MAX,
    NAME,
    SETS,
    Rollout,
    active,
)
from firedrill.world.kube.controllers.deployment_status import (
    is_complete,
    sync_counts,
    sync_paused,
    sync_rollout,
)
from firedrill.world.kube.controllers.replicaset import wanted_replicas
from firedrill.world.kube.objects import (
    Obj,
    annotations_of,
    controller_of,
    dig,
    is_deleting,
    labels_of,
    name_of,
    namespace_of,
    uid_of,
)
from firedrill.world.kube.store import Change

if TYPE_CHECKING:
    from firedrill.world.world import World

_RESOURCE = "deployments.apps"


def _reconcile(world: World, key: str) -> None:
    deployment = world.cluster.store.get(_RESOURCE, *split_key(key))
    if deployment is None:
        return
    if _selects_everything(deployment):
        rollout = Rollout.__new__(Rollout)
        rollout.world, rollout.d = world, deployment
        rollout.tell(
            "SelectingAll",
            "This deployment is selecting all pods. A non-empty selector is required.",
            "Warning",
        )
        return
    rollout = Rollout(world, deployment)
    if is_deleting(deployment):
        rollout.sync_revision(create=False)
        sync_counts(rollout)
        return
    sync_paused(rollout)
    if dig(deployment, "spec", "paused", default=False) or _is_scaled(rollout):
        _sync(rollout)
    elif rollout.rolling:
        _roll(rollout)
    else:
        _recreate(rollout)


def _selects_everything(deployment: Obj) -> bool:
    selector = dig(deployment, "spec", "selector")
    return selector is not None and not selector.get("matchLabels") and not selector.get("matchExpressions")


def _is_scaled(rollout: Rollout) -> bool:
    rollout.sync_revision(create=False)
    for rs in active(rollout.all):
        noted = annotations_of(rs).get(DESIRED)
        if noted is not None and noted != str(rollout.replicas):
            return True
    return False


def _sync(rollout: Rollout) -> None:
    """What is done to a deployment that is paused or has been given another size."""
    rollout.sync_revision(create=False)
    _scale(rollout)
    if dig(rollout.d, "spec", "paused", default=False):
        rollout.clear_history()
    sync_counts(rollout)


def _scale(rollout: Rollout) -> None:
    only = _active_or_latest(rollout)
    if only is not None:
        if wanted_replicas(only) != rollout.replicas:
            rollout.scale(only, rollout.replicas)
        return
    new = rollout.new
    if _is_saturated(rollout, new):
        for rs in active(rollout.old):
            rollout.scale(rs, 0)
    elif rollout.rolling:
        _scale_in_proportion(rollout)


def _active_or_latest(rollout: Rollout) -> Obj | None:
    here = active(rollout.all)
    if len(here) > 1:
        return None
    if here:
        return here[0]
    return rollout.new or (rollout.old[-1] if rollout.old else None)


def _is_saturated(rollout: Rollout, new: Obj | None) -> bool:
    if new is None:
        return False
    wanted = rollout.replicas
    return (
        wanted_replicas(new) == wanted
        and annotations_of(new).get(DESIRED) == str(wanted)
        and int(dig(new, "status", "availableReplicas", default=0)) == wanted
    )


def _scale_in_proportion(rollout: Rollout) -> None:
    """Spread the difference over all replica sets, so that the risk stays spread as it was."""
    sets = active(rollout.all)
    allowed = rollout.replicas + rollout.max_surge if rollout.replicas > 0 else 0
    to_add = allowed - sum(map(wanted_replicas, sets))
    if to_add > 0:
        sets.reverse()
    sets.sort(key=wanted_replicas, reverse=True)
    sizes: dict[str, int] = {}
    added = 0
    for rs in sets:
        part = _part(rollout, rs, to_add, added)
        sizes[name_of(rs)] = wanted_replicas(rs) + part
        added += part
    for index, rs in enumerate(sets):
        size = sizes[name_of(rs)]
        if index == 0 and to_add:
            size = max(size + to_add - added, 0)
        rollout.scale(rs, size, note=True)


def _part(rollout: Rollout, rs: Obj, to_add: int, added: int) -> int:
    if to_add == 0 or wanted_replicas(rs) == 0 or to_add == added:
        return 0
    share, left = _share(rollout, rs), to_add - added
    return min(share, left) if to_add > 0 else max(share, left)


def _share(rollout: Rollout, rs: Obj) -> int:
    size = wanted_replicas(rs)
    if rollout.replicas == 0:
        return -size
    text = annotations_of(rs).get(MAX, "")
    before = int(text) if text.isascii() and text.isdigit() and len(text) < 11 else 0
    before = before or int(dig(rollout.d, "status", "replicas", default=0))
    if before == 0:
        return 0
    doubled = 2 * size * (rollout.replicas + rollout.max_surge)
    return (doubled + before) // (2 * before) - size


def _roll(rollout: Rollout) -> None:
    new = rollout.sync_revision(create=True)
    if new is None:
        return
    if (
        not _grow_new(rollout, new)
        and not _shrink_old(rollout)
        and is_complete(rollout, rollout.d.get("status"))
    ):
        rollout.clear_history()
    sync_rollout(rollout)


def _grow_new(rollout: Rollout, new: Obj) -> bool:
    size = wanted_replicas(new)
    if size == rollout.replicas:
        return False
    if size > rollout.replicas:
        return rollout.scale(new, rollout.replicas)
    return rollout.scale(new, rollout.room_for_new(size))


def _available(sets: Iterable[Mapping[str, Any]]) -> int:
    """The available pods that are also wanted: a set that has just been cut still reports the others."""
    return sum(
        min(int(dig(rs, "status", "availableReplicas", default=0)), wanted_replicas(rs)) for rs in sets
    )


def _shrink_old(rollout: Rollout) -> bool:
    new = rollout.new
    if new is None or not active(rollout.old):
        return False
    least = rollout.replicas - rollout.max_unavailable
    lacking = wanted_replicas(new) - _available([new])
    most = sum(map(wanted_replicas, rollout.all)) - least - lacking
    if most <= 0:
        return False
    gone = _drop_unhealthy(rollout, most)
    spare = _available(rollout.all) - least
    dropped = 0
    for rs in active(rollout.old) if spare > 0 else []:
        count = min(wanted_replicas(rs), spare - dropped)
        if count <= 0:
            break
        rollout.scale(rs, wanted_replicas(rs) - count)
        dropped += count
    return gone + dropped > 0


def _drop_unhealthy(rollout: Rollout, most: int) -> int:
    dropped = 0
    for rs in active(rollout.old):
        count = min(most - dropped, wanted_replicas(rs) - _available([rs]))
        if count > 0:
            rollout.scale(rs, wanted_replicas(rs) - count)
            dropped += count
    return dropped


def _recreate(rollout: Rollout) -> None:
    new = rollout.sync_revision(create=False)
    going = active(rollout.old)
    for rs in going:
        rollout.scale(rs, 0)
    if going or _old_pods_run(rollout):
        sync_rollout(rollout)
        return
    new = new or rollout.sync_revision(create=True)
    if new is None:
        return
    rollout.scale(new, rollout.replicas)
    if is_complete(rollout, rollout.d.get("status")):
        rollout.clear_history()
    sync_rollout(rollout)


def _old_pods_run(rollout: Rollout) -> bool:
    if any(int(dig(rs, "status", "replicas", default=0)) for rs in rollout.old):
        return True
    return any(
        dig(pod, "status", "phase") not in {"Succeeded", "Failed"}
        for rs in rollout.old
        for pod in _pods.owned(rollout.world, rs)
    )


def _of_pod(world: World, change: Change) -> Iterable[str]:
    """A pod that is gone may be the last old one that a recreation waits for."""
    above = controller_of(change.obj)
    if change.type != "DELETED" or above is None or above.get("kind") != "ReplicaSet":
        return ()
    rs = world.cluster.store.get(SETS, namespace_of(change.obj), str(above["name"]))
    owner = controller_of(rs) if rs is not None else None
    if rs is None or owner is None or uid_of(rs) != above.get("uid"):
        return ()
    found = world.cluster.store.get(_RESOURCE, namespace_of(rs), str(owner["name"]))
    if dig(found, "spec", "strategy", "type") != "Recreate":
        return ()
    return (key_of(namespace_of(rs), str(owner["name"])),)


def _of_set(world: World, change: Change) -> Iterable[str]:
    out = list(_of_owner(world, change))
    if out or change.type == "DELETED":
        return out
    for item in world.cluster.store.list(_RESOURCE, namespace_of(change.obj)):
        wanted = _pods.requirements_of(_pods.selector_of(item))
        if wanted is not None and selectors.matches(wanted, labels_of(change.obj)):
            out.append(key_of(namespace_of(item), name_of(item)))
    return out


_of_owner = owner_keys("Deployment")

register(
    Controller(
        name=NAME,
        component="kube-controller-manager",
        watches={_RESOURCE: own_key, SETS: _of_set, "pods": _of_pod},
        reconcile=_reconcile,
        resync=all_keys(_RESOURCE),
    )
)
