"""The replica sets of a deployment: which one is new, how they are made, numbered, scaled and cleared away.

Source: kube-controller-manager 1.31, `pkg/controller/deployment/sync.go` and `util`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from firedrill.world.kube import events, selectors
from firedrill.world.kube.api.client import Client, component_client
from firedrill.world.kube.api.errors import ApiError
from firedrill.world.kube.controllers import _pods
from firedrill.world.kube.controllers._numbers import hash_of, scaled
from firedrill.world.kube.controllers.replicaset import wanted_replicas
from firedrill.world.kube.objects import (
    Obj,
    annotations_of,
    condition,
    controller_of,
    dig,
    is_deleting,
    labels_of,
    name_of,
    namespace_of,
    owner_reference,
    uid_of,
    with_path,
)

if TYPE_CHECKING:
    from firedrill.world.world import World

NAME = "deployment-controller"
SETS = "replicasets.apps"
HASH = "pod-template-hash"
REVISION = "deployment.kubernetes.io/revision"
HISTORY = "deployment.kubernetes.io/revision-history"
DESIRED = "deployment.kubernetes.io/desired-replicas"
MAX = "deployment.kubernetes.io/max-replicas"
_KEPT_BACK = frozenset(
    {
        "kubectl.kubernetes.io/last-applied-configuration",
        "deprecated.deployment.rollback.to",
        REVISION,
        HISTORY,
        DESIRED,
        MAX,
    }
)
_HISTORY_MAX = 2000
_NO_DEADLINE = 2**31 - 1


class Rollout:
    """One deployment during one reconcile, with its replica sets.

    Attributes:
        world: where it is.
        client: of the deployment controller.
        d: the deployment, as last written.
        sets: its replica sets by name, as last written, in order of creation.
    """

    __slots__ = ("client", "d", "sets", "world")

    def __init__(self, world: World, deployment: Obj) -> None:
        self.world = world
        self.client: Client = component_client(world, NAME)
        self.d = deployment
        self.sets: dict[str, Obj] = {}
        for rs in sorted(
            self._claim(), key=lambda item: (item["metadata"]["creationTimestamp"], name_of(item))
        ):
            self.sets[name_of(rs)] = rs

    def _claim(self) -> list[Obj]:
        wanted = _pods.requirements_of(_pods.selector_of(self.d))
        going = is_deleting(self.d)
        mine = []
        for rs in _pods.owned(self.world, self.d, SETS):
            if wanted is not None and selectors.matches(wanted, labels_of(rs)):
                mine.append(rs)
            elif not going and not is_deleting(rs):
                _pods.release(self.client, self.d, rs)
        if wanted is None or going:
            return mine
        for rs in self.world.cluster.store.list(SETS, namespace_of(self.d)):
            if controller_of(rs) is None and not is_deleting(rs) and selectors.matches(wanted, labels_of(rs)):
                mine.append(_pods.adopt(self.client, self.d, rs))
        return mine

    # --- what there is

    @property
    def replicas(self) -> int:
        """How many pods are wanted."""
        return wanted_replicas(self.d)

    @property
    def all(self) -> list[Obj]:
        """All replica sets, oldest first."""
        return list(self.sets.values())

    @property
    def new(self) -> Obj | None:
        """The replica set with the deployment's present template."""
        wanted = without_hash(dig(self.d, "spec", "template", default={}))
        for rs in self.sets.values():
            if without_hash(dig(rs, "spec", "template", default={})) == wanted:
                return rs
        return None

    @property
    def old(self) -> list[Obj]:
        """All other replica sets, oldest first."""
        new = self.new
        return [rs for rs in self.sets.values() if new is None or uid_of(rs) != uid_of(new)]

    @property
    def rolling(self) -> bool:
        """Whether the strategy is RollingUpdate."""
        return bool(dig(self.d, "spec", "strategy", "type", default="RollingUpdate") == "RollingUpdate")

    def _bounds(self) -> tuple[int, int]:
        update = dig(self.d, "spec", "strategy", "rollingUpdate", default={})
        surge = scaled(update.get("maxSurge", "25%"), self.replicas, up=True)
        gone = scaled(update.get("maxUnavailable", "25%"), self.replicas, up=False)
        return surge, 1 if surge == 0 and gone == 0 else gone

    @property
    def max_surge(self) -> int:
        """How many pods there may be above the wanted number."""
        return self._bounds()[0] if self.rolling else 0

    @property
    def max_unavailable(self) -> int:
        """How many of the wanted pods may be unavailable."""
        if not self.rolling or self.replicas == 0:
            return 0
        return min(self._bounds()[1], self.replicas)

    @property
    def deadline(self) -> int | None:
        """Seconds that a rollout may go without progress; None where that does not matter."""
        found = int(dig(self.d, "spec", "progressDeadlineSeconds", default=600))
        return None if found == _NO_DEADLINE else found

    # --- writes

    def tell(self, reason: str, message: str, type_: str = "Normal") -> None:
        """Record an event about the deployment."""
        events.record(self.world, self.d, type_, reason, message, component=NAME)

    def set_status(self, status: Mapping[str, Any]) -> None:
        """Write the deployment's status, if it is another one."""
        self.d = self.client.update_status(self.d, status)

    def set_condition(self, new: Obj) -> None:
        """Write one condition of the deployment, if it says anything new."""
        old = dig(self.d, "status", "conditions", default=())
        conditions = placed(old, new)
        if conditions != list(old):
            self.set_status({**(self.d.get("status") or {}), "conditions": conditions})

    def _keep(self, rs: Obj) -> Obj:
        kept = self.client.update(rs)
        self.sets[name_of(kept)] = kept
        return kept

    def scale(self, rs: Obj, size: int, *, note: bool = False) -> bool:
        """Give a replica set so many pods, and tell about it.

        Args:
            rs: the replica set.
            size: how many pods it shall have.
            note: also bring the annotations up to date where the size is right.

        Returns:
            Whether its size has changed.
        """
        before = wanted_replicas(rs)
        if before == size and not note:
            return False
        notes = {**annotations_of(rs), DESIRED: str(self.replicas), MAX: str(self.replicas + self.max_surge)}
        if before == size and notes == dict(annotations_of(rs)):
            return False
        rs = with_path(with_path(rs, ("spec", "replicas"), size), ("metadata", "annotations"), notes)
        self._keep(rs)
        if before != size:
            way = "up" if before < size else "down"
            self.tell("ScalingReplicaSet", f"Scaled {way} replica set {name_of(rs)} to {size} from {before}")
        return before != size

    def sync_revision(self, *, create: bool) -> Obj | None:
        """Number the new replica set after the others, and make it where it is missing and wanted.

        Raises:
            ApiError: it cannot be made.
        """
        revision = 1 + max((revision_of(rs) for rs in self.old), default=0)
        new = self.new
        if new is None:
            return self._make(revision) if create else None
        notes = noted(annotations_of(new), annotations_of(self.d), revision)
        min_ready = dig(self.d, "spec", "minReadySeconds", default=0)
        if notes != dict(annotations_of(new)) or dig(new, "spec", "minReadySeconds", default=0) != min_ready:
            changed = with_path(new, ("metadata", "annotations"), notes)
            return self._keep(with_path(changed, ("spec", "minReadySeconds"), min_ready))
        self._set_revision(notes[REVISION])
        if self.deadline is not None and condition(self.d, "Progressing") is None:
            text = f'Found new replica set "{name_of(new)}"'
            self.set_condition(progressing(self.world, "True", "FoundNewReplicaSet", text))
        return new

    def _set_revision(self, revision: str) -> None:
        if annotations_of(self.d).get(REVISION) != revision:
            notes = {**annotations_of(self.d), REVISION: revision}
            self.d = self.client.update(with_path(self.d, ("metadata", "annotations"), notes))

    def _make(self, revision: int) -> Obj | None:
        collisions = dig(self.d, "status", "collisionCount")
        template = dig(self.d, "spec", "template", default={})
        label = hash_of(template, collisions)
        obj = self._drafted(label, template, revision)
        name = name_of(obj)
        known = False
        try:
            made = self.client.create(obj)
        except ApiError as problem:
            found = self.world.cluster.store.get(SETS, namespace_of(self.d), name)
            if problem.reason == "AlreadyExists" and found is not None:
                made, known = self._same_or_collide(found, template, problem), True
            elif _pods.of_ending_namespace(problem):
                return None
            else:
                text = f'Failed to create new replica set "{name}": {problem.message}'
                if self.deadline is not None:
                    self.set_condition(progressing(self.world, "False", "ReplicaSetCreateError", text))
                self.tell("ReplicaSetCreateError", text, "Warning")
                raise
        self.sets[name] = made
        if not known and wanted_replicas(made) > 0:
            self.tell("ScalingReplicaSet", f"Scaled up replica set {name} to {wanted_replicas(made)}")
        self._set_revision(str(revision))
        if not known and self.deadline is not None:
            text = f'Created new replica set "{name}"'
            self.set_condition(progressing(self.world, "True", "NewReplicaSetCreated", text))
        return made

    def _drafted(self, label: str, template: Obj, revision: int) -> Obj:
        labels = {**dig(template, "metadata", "labels", default={}), HASH: label}
        selector = dig(self.d, "spec", "selector", default={})
        matched = {**(selector.get("matchLabels") or {}), HASH: label}
        notes = {
            **noted({}, annotations_of(self.d), revision),
            DESIRED: str(self.replicas),
            MAX: str(self.replicas + self.max_surge),
        }
        return {
            "apiVersion": "apps/v1",
            "kind": "ReplicaSet",
            "metadata": {
                "name": f"{name_of(self.d)}-{label}",
                "namespace": namespace_of(self.d),
                "labels": labels,
                "annotations": notes,
                "ownerReferences": [owner_reference(self.d)],
            },
            "spec": {
                "replicas": self.room_for_new(0),
                "minReadySeconds": dig(self.d, "spec", "minReadySeconds", default=0),
                "selector": {**selector, "matchLabels": matched},
                "template": with_path(template, ("metadata", "labels"), labels),
            },
        }

    def _same_or_collide(self, found: Obj, template: Obj, problem: ApiError) -> Obj:
        mine = (controller_of(found) or {}).get("uid") == uid_of(self.d)
        if mine and without_hash(dig(found, "spec", "template", default={})) == without_hash(template):
            return found
        status = self.d.get("status") or {}
        self.set_status({**status, "collisionCount": int(status.get("collisionCount") or 0) + 1})
        raise problem

    def room_for_new(self, present: int) -> int:
        """How many pods the new replica set, which has so many, may have now."""
        if not self.rolling:
            return self.replicas
        room = self.replicas + self.max_surge - sum(map(wanted_replicas, self.all))
        return present if room <= 0 else present + min(room, self.replicas - present)

    def clear_history(self) -> None:
        """Delete the oldest replica sets without pods, down to the history limit."""
        limit = int(dig(self.d, "spec", "revisionHistoryLimit", default=10))
        alive = [rs for rs in self.old if not is_deleting(rs)]
        for rs in sorted(alive, key=revision_of)[: max(len(alive) - limit, 0)]:
            seen = int(dig(rs, "status", "observedGeneration", default=0))
            busy = dig(rs, "status", "replicas", default=0) or wanted_replicas(rs)
            if busy or int(rs["metadata"].get("generation") or 0) > seen:
                continue
            self.client.delete(SETS, namespace_of(rs), name_of(rs))
            self.sets.pop(name_of(rs), None)


def _age(rs: Obj) -> tuple[str, str]:
    return rs["metadata"]["creationTimestamp"], name_of(rs)


def active(sets: Iterable[Obj]) -> list[Obj]:
    """Those that want pods."""
    return [rs for rs in sets if wanted_replicas(rs) > 0]


def without_hash(template: Mapping[str, Any]) -> Any:
    """The template as its author wrote it."""
    if HASH not in dig(template, "metadata", "labels", default={}):
        return template
    labels = {key: text for key, text in template["metadata"]["labels"].items() if key != HASH}
    return with_path(template, ("metadata", "labels"), labels)


def revision_of(obj: Mapping[str, Any]) -> int:
    """The revision in an object's annotations, 0 where there is none."""
    text = str(annotations_of(obj).get(REVISION, "0"))
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else 0


def noted(present: Mapping[str, str], above: Mapping[str, str], revision: int) -> dict[str, str]:
    """The annotations of a replica set, with those of its deployment and its revision in them."""
    out = {**present, **{key: text for key, text in above.items() if key not in _KEPT_BACK}}
    before = present.get(REVISION)
    if revision_of({"metadata": {"annotations": present}}) >= revision:
        return out
    out[REVISION] = str(revision)
    if before is not None:
        history = [item for item in present.get(HISTORY, "").split(",") if item]
        history.append(before)
        while len(",".join(history)) > _HISTORY_MAX:
            history.pop(0)
        out[HISTORY] = ",".join(history)
    return out


def progressing(world: World, status: str, reason: str, message: str) -> Obj:
    """The condition Progressing, as of now."""
    return stated(world, "Progressing", status, reason, message)


def stated(world: World, type_: str, status: str, reason: str, message: str) -> Obj:
    """A condition of a deployment, as of now."""
    return {
        "type": type_,
        "status": status,
        "lastUpdateTime": world.time,
        "lastTransitionTime": world.time,
        "reason": reason,
        "message": message,
    }


def placed(conditions: Iterable[Any], new: Obj) -> list[Any]:
    """The conditions with this one at the end; unchanged where status and reason say nothing new."""
    conditions = list(conditions)
    for item in conditions:
        if item.get("type") != new["type"]:
            continue
        if item.get("status") == new["status"]:
            if item.get("reason") == new["reason"]:
                return conditions
            new = {**new, "lastTransitionTime": item.get("lastTransitionTime")}
    return [*(item for item in conditions if item.get("type") != new["type"]), new]
