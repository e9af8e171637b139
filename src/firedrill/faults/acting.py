"""Whether an injected mechanism still acts: what was changed still is as the injection left it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from firedrill.faults._diff import Leaf, differences, plain, value_at
from firedrill.faults.base import Change, Injection
from firedrill.world.kube import effects
from firedrill.world.kube.kubelet.state import PARTS, node_of
from firedrill.world.kube.objects import is_deleting, uid_of

if TYPE_CHECKING:
    from firedrill.world import World


def active(world: World, injection: Injection) -> bool:
    """Whether the mechanism still acts; a restart that only buys time leaves it active.

    Raises:
        InputError: the library has no such fault.
    """
    from firedrill.faults import find

    return find(injection.fault).active(world, injection)


def holds(world: World, injection: Injection) -> bool:
    """Whether every change that matters is in place; a stamp of a restart does not matter."""
    mattering = [change for change in injection.changes if matters(change)]
    return bool(mattering) and all(in_place(world, change) for change in mattering)


def matters(change: Change) -> bool:
    """Whether the change is more than a restart."""
    if change.before is None or change.after is None:
        return True
    differ = any(differences(plain(change.before), plain(change.after)))
    return differ or recreated(change)


def recreated(change: Change) -> bool:
    """Whether the object was deleted and made anew under its name."""
    return (
        change.before is not None
        and change.after is not None
        and uid_of(change.before) != uid_of(change.after)
    )


def in_place(world: World, change: Change) -> bool:
    """Whether a change is still as the injection left it."""
    if change.resource == "effect":
        rows = [row for row in world.cluster.part(effects.Effects).rows if row.source == change.name]
        pods = {f"pod/{uid_of(pod)}" for pod in world.cluster.store.list("pods")}
        return any(row.on in pods or not row.on.startswith("pod/") for row in rows)
    if change.resource in {"node-part", "node-pressure"}:
        return _node_lacks(world, change)
    now = world.cluster.store.get(change.resource, change.namespace, change.name)
    if now is not None and is_deleting(now):
        now = None
    if change.after is None:
        return now is None
    if now is None:
        return False
    if change.before is None:
        return uid_of(now) == uid_of(change.after)
    now_plain = plain(now)
    leaves = list(differences(plain(change.before), plain(change.after)))
    return all(_still(leaf, value_at(now_plain, leaf.path)) for leaf in leaves)


def _still(leaf: Leaf, now: Any) -> bool:
    """Whether a leaf is as it was left; in a file of JSON, whether that which was changed in it is."""
    if now == leaf.after:
        return True
    before, after, current = (_parsed(text) for text in (leaf.before, leaf.after, now))
    if before is None or after is None or current is None:
        return False
    return all(value_at(current, inner.path) == inner.after for inner in differences(before, after))


def _parsed(text: Any) -> dict[str, Any] | None:
    if not isinstance(text, str) or not text.lstrip().startswith("{"):
        return None
    try:
        found = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    return found if isinstance(found, dict) else None


def _node_lacks(world: World, change: Change) -> bool:
    node = node_of(world, change.namespace)
    if node is None:
        return False
    if change.resource == "node-pressure":
        return change.name in node.pressure
    if change.name in PARTS:
        return change.name in node.down
    return change.name in node.static_down
