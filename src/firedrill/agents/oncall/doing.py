"""Carries out steps through the gateway: tried dry, read back, and taken back where need be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from firedrill.agents.oncall.asking import Asker
from firedrill.agents.oncall.steps import Action, Obj, Step, operations
from firedrill.agents.sleuth.case import mapping
from firedrill.tools.live.clients import Refused

_CONFLICT, _MISSING, _OVER = 409, 404, 503
_TRIES = 3
_OWN = (
    "uid",
    "resourceVersion",
    "creationTimestamp",
    "generation",
    "managedFields",
    "deletionTimestamp",
    "selfLink",
)


@dataclass
class Done:
    """A step that was tried.

    Attributes:
        before: the objects as they were right before, by request; None for what was not there.
        refused: why it was not carried out; empty where it was.
        undone: whether it was taken back.
        useless: whether nothing got better by it.
    """

    step: Step
    before: list[tuple[Action, Obj | None]] = field(default_factory=list)
    refused: str = ""
    undone: bool = False
    useless: bool = False


@dataclass
class Hand:
    """Does and takes back steps, one request after another."""

    asker: Asker

    async def do(self, step: Step) -> Done:
        """Carry out a step: all of its requests are tried dry before the first is sent in earnest."""
        done = Done(step)
        try:
            for action in step.actions:
                await self._send(action, dry=True)
            for action in step.actions:
                before = await self.asker.get(action.resource, action.namespace, action.name)
                await self._send(action)
                done.before.append((action, before))
                await self.asker.get(action.resource, action.namespace, action.name)
        except Refused as error:
            done.refused = str(error)[:400]
            if done.before and error.code != _OVER:
                await self.undo(done)
        return done

    async def undo(self, done: Done) -> None:
        """Bring the objects of a step back to what they were before it."""
        for action, before in reversed(done.before):
            try:
                await self._restore(action, before)
            except Refused as error:
                done.refused = done.refused or str(error)[:400]
                continue
            done.undone = True

    async def recovered(self, done: Done) -> bool:
        """Whether a workload of a step lacked pods before and has all of them now."""
        for action, before in done.before:
            if before is None or not short_of_pods(before):
                continue
            now = await self.asker.get(action.resource, action.namespace, action.name)
            if now is not None and not short_of_pods(now):
                return True
        return False

    async def _send(self, action: Action, *, dry: bool = False) -> None:
        known = self.asker.resources.get(action.resource)
        if known is None:
            raise Refused(_MISSING, "NotFound", f"there is no {action.resource}")
        path = known.path(action.namespace, "" if action.verb == "create" else action.name)
        for left in reversed(range(_TRIES)):
            try:
                if action.verb == "create":
                    await self.asker.write("POST", path, action.body, dry=dry)
                elif action.verb == "delete":
                    options = {"propagationPolicy": "Background", **({"dryRun": ["All"]} if dry else {})}
                    await self.asker.write("DELETE", path, options, dry=dry)
                else:
                    await self.asker.write("PATCH", path, action.body, kind="json", dry=dry)
            except Refused as error:
                if action.verb == "delete" and error.code == _MISSING:
                    return
                if error.code != _CONFLICT or not left:
                    raise
            else:
                return

    async def _restore(self, action: Action, before: Obj | None) -> None:
        known = self.asker.resources[action.resource]
        if before is None:
            await self.asker.write("DELETE", known.path(action.namespace, action.name))
            return
        now = await self.asker.get(action.resource, action.namespace, action.name)
        if now is None:
            await self.asker.write("POST", known.path(action.namespace), _anew(before))
            return
        changed = operations(now, before)
        if changed:
            await self.asker.write("PATCH", known.path(action.namespace, action.name), changed, kind="json")


def short_of_pods(obj: Mapping[str, Any]) -> bool:
    """Whether a workload has fewer pods that serve than it should; false for all else."""
    status = mapping(obj, "status")
    desired = status.get("desiredNumberScheduled", mapping(obj, "spec").get("replicas"))
    have = status.get("availableReplicas", status.get("numberAvailable", status.get("readyReplicas", 0)))
    return isinstance(desired, int) and isinstance(have, int) and have < desired


def _anew(obj: Mapping[str, Any]) -> Obj:
    """An object as it is made again after it was deleted."""
    about = {key: value for key, value in mapping(obj, "metadata").items() if key not in _OWN}
    return {**{key: value for key, value in obj.items() if key != "status"}, "metadata": about}
