"""What mends a living incident according to its scenario, done through the gateway as by anybody."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from firedrill.agents.base import Living
from firedrill.agents.clients import Refused, Web

SETTLE_MS = 60_000
PATIENCE_MS = 20 * 60_000
"""How long the alerts may take to clear after the last step."""
CALM_MS = 2 * 60_000
_AGAIN_MS = 5_000
_TRIES = 24
_RESTARTED = "kubectl.kubernetes.io/restartedAt"
_MANAGERS = {
    "create": "kubectl-create",
    "update": "kubectl-replace",
    "patch": "kubectl-patch",
    "restart": "kubectl-rollout",
    "scale": "kubectl-scale",
}
_PASSING = frozenset({"pod", "instance", "uid", "container_id", "id"})
Step = Mapping[str, Any]


@dataclass
class Repairer:
    """Carries out the steps of a reference repair and waits until the alerts are gone.

    Attributes:
        refused: what was not carried out, and why.
    """

    living: Living
    refused: list[str] = field(default_factory=list)
    _versions: dict[str, str] = field(default_factory=dict)

    async def repair(self, steps: Sequence[Step]) -> bool:
        """Do it; whether the alerts have cleared."""
        if steps:
            async with Web(self.living, "kubernetes") as web:
                await self._discover(web)
                for step in steps:
                    try:
                        await self._patiently(web, step)
                    except Refused as error:
                        self.refused.append(str(error))
        return await self.calm() if steps else False

    async def calm(self) -> bool:
        """Wait until none of the alerts fires that the agent was called for, and a little longer."""
        async with Web(self.living, "prometheus") as web:
            waited = 0
            while waited < PATIENCE_MS:
                await self.living.wait(SETTLE_MS)
                waited += SETTLE_MS
                if not await self._firing(web):
                    await self.living.wait(CALM_MS)
                    return True
        return False

    async def _firing(self, web: Web) -> bool:
        told = (await web.get("/api/v1/alerts"))["data"]["alerts"]
        now = {_meaning(item["labels"]) for item in told if item["state"] == "firing"}
        return any(_meaning(item["labels"]) in now for item in self.living.alerts)

    async def _discover(self, web: Web) -> None:
        for group in (await web.get("/apis"))["groups"]:
            self._versions[group["name"]] = group["preferredVersion"]["groupVersion"]

    async def _patiently(self, web: Web, step: Step) -> None:
        """One step, again while something that is being deleted stands in its way."""
        for left in reversed(range(_TRIES)):
            try:
                await self._carry_out(web, step)
            except Refused as error:
                if step["verb"] == "delete" and error.code == 404:
                    return
                if error.code != 409 or not left:
                    raise
                await self.living.wait(_AGAIN_MS)
            else:
                return

    async def _carry_out(self, web: Web, step: Step) -> None:
        verb, body = str(step["verb"]), step.get("body")
        path = self._path(step, named=verb != "create")
        manager = {"fieldManager": _MANAGERS[verb]} if verb in _MANAGERS else {}
        if verb == "create":
            await web.send("POST", path, body, params=manager)
        elif verb == "update":
            now = await web.get(path)
            version = {"resourceVersion": now["metadata"]["resourceVersion"]}
            whole = {**(body or {}), "metadata": {**(body or {}).get("metadata", {}), **version}}
            await web.send("PUT", path, whole, params=manager)
        elif verb == "delete":
            await web.send("DELETE", path, {"propagationPolicy": "Background"})
        elif verb == "restart":
            moment = datetime.fromtimestamp(await self.living.wait(0) / 1000, UTC)
            stamp = {"annotations": {_RESTARTED: moment.strftime("%Y-%m-%dT%H:%M:%SZ")}}
            patch = {"spec": {"template": {"metadata": stamp}}}
            await web.send("PATCH", path, patch, kind="strategic", params=manager)
        elif verb == "scale":
            await web.send("PATCH", f"{path}/scale", body, kind="merge", params=manager)
        else:
            await web.send("PATCH", path, body, kind=str(step.get("patch_type") or "merge"), params=manager)

    def _path(self, step: Step, *, named: bool) -> str:
        plural, _, group = str(step["resource"]).partition(".")
        root = f"/apis/{self._versions.get(group, f'{group}/v1')}" if group else "/api/v1"
        namespace = step.get("namespace") or ""
        place = f"/namespaces/{namespace}" if namespace else ""
        name = f"/{step['name']}" if named else ""
        sub = f"/{step['subresource']}" if named and step.get("subresource") else ""
        return f"{root}{place}/{plural}{name}{sub}"


def _meaning(labels: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """The labels of an alert without those that change with every new pod."""
    return tuple(sorted((key, item) for key, item in labels.items() if key not in _PASSING))
