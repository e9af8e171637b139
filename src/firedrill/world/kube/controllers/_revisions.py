"""ControllerRevisions: the past templates of stateful sets and daemon sets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from firedrill.world.kube import selectors
from firedrill.world.kube.api.client import Client
from firedrill.world.kube.api.errors import ApiError
from firedrill.world.kube.controllers import _pods
from firedrill.world.kube.controllers._numbers import hash_of
from firedrill.world.kube.objects import (
    Obj,
    controller_of,
    dig,
    is_deleting,
    labels_of,
    name_of,
    namespace_of,
    owner_reference,
    uid_of,
)

REVISIONS = "controllerrevisions.apps"
POD_HASH = "controller-revision-hash"


def revisions_of(client: Client, owner: Mapping[str, Any]) -> list[Obj]:
    """The owner's revisions, oldest first; strays that fit are adopted.

    Raises:
        ApiError: a stray cannot be changed.
    """
    world = client.world
    mine = _pods.owned(world, owner, REVISIONS)
    wanted = _pods.requirements_of(_pods.selector_of(owner))
    if wanted is not None and not is_deleting(owner):
        for item in world.cluster.store.list(REVISIONS, namespace_of(owner)):
            if controller_of(item) is None and selectors.matches(wanted, labels_of(item)):
                mine.append(_pods.adopt(client, owner, item))
    return sorted(mine, key=lambda item: (int(item.get("revision") or 0), name_of(item)))


def current_revision(
    client: Client, owner: Mapping[str, Any], known: list[Obj], hash_label: str
) -> tuple[Obj, list[Obj]]:
    """The revision with the owner's present template, made or moved to the end where needed.

    Args:
        client: whose writes these are.
        owner: the workload.
        known: its revisions, oldest first.
        hash_label: the label that carries the hash.

    Returns:
        The revision, and all of them, oldest first.

    Raises:
        ApiError: it cannot be made.
    """
    data = {"spec": {"template": {**dig(owner, "spec", "template", default={}), "$patch": "replace"}}}
    number = 1 + max((int(item.get("revision") or 0) for item in known), default=0)
    for item in reversed(known):
        if item.get("data") != data:
            continue
        rest = [other for other in known if other is not item]
        if rest and int(item.get("revision") or 0) < number - 1:
            moved = client.update({**item, "revision": number})
            return moved, [*rest, moved]
        return item, [*rest, item]
    collisions = int(dig(owner, "status", "collisionCount", default=0))
    label = hash_of(data, collisions)
    metadata = {
        "name": f"{name_of(owner)[:223]}-{label}",
        "namespace": namespace_of(owner),
        "labels": {**dig(owner, "spec", "template", "metadata", "labels", default={}), hash_label: label},
        "ownerReferences": [owner_reference(owner)],
    }
    if notes := owner["metadata"].get("annotations"):
        metadata["annotations"] = notes
    obj: Obj = {"apiVersion": "apps/v1", "kind": "ControllerRevision", "metadata": metadata}
    try:
        made = client.create({**obj, "data": data, "revision": number})
    except ApiError as problem:
        if problem.reason == "AlreadyExists":
            status = dict(owner.get("status") or {})
            client.update_status(owner, {**status, "collisionCount": collisions + 1})
        raise
    return made, [*known, made]


def template_of(revision: Mapping[str, Any]) -> Obj:
    """The pod template that a revision keeps."""
    found = dig(revision, "data", "spec", "template", default={})
    return {key: item for key, item in found.items() if key != "$patch"}


def clear_revisions(client: Client, owner: Mapping[str, Any], known: list[Obj], live: set[str]) -> None:
    """Delete the oldest revisions that no pod has, down to the history limit.

    Args:
        client: whose writes these are.
        owner: the workload.
        known: its revisions, oldest first.
        live: the names of those in use.

    Raises:
        ApiError: one cannot be deleted.
    """
    limit = int(dig(owner, "spec", "revisionHistoryLimit", default=10))
    idle = [item for item in known if name_of(item) not in live]
    for item in idle[: max(len(idle) - limit, 0)]:
        client.delete(REVISIONS, namespace_of(item), name_of(item), uid=uid_of(item))
