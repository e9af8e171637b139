"""Asks the APIs of a living world for what an engineer on call would look at: few broad questions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from firedrill.agents.base import Living
from firedrill.tools.live.clients import APIS, Refused, Web

Obj = Mapping[str, Any]
METADATA = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
MANAGER = "sleuth"
"""Under which its own writes are kept."""
_GONE = 404


@dataclass(frozen=True)
class Resource:
    """A kind of objects that the cluster serves. ``name`` is as in ``deployments.apps``."""

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool
    verbs: frozenset[str] = frozenset()

    @property
    def name(self) -> str:
        """The plural, with its group where it has one."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    def path(self, namespace: str = "", name: str = "", sub: str = "") -> str:
        """Where the API serves the collection, an object, or a part of it."""
        root = f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"
        place = f"/namespaces/{namespace}" if namespace and self.namespaced else ""
        return "/".join(part for part in (f"{root}{place}/{self.plural}", name, sub) if part)


@dataclass
class Asker:
    """One conversation with the APIs of an episode. A context manager.

    Attributes:
        refused: what was asked for and not answered, and why.
        count: requests that take time of the incident.
    """

    site: Living
    refused: list[str] = field(default_factory=list)
    count: int = 0
    resources: dict[str, Resource] = field(default_factory=dict)
    _webs: dict[str, Web] = field(default_factory=dict)
    _stack: AsyncExitStack = field(default_factory=AsyncExitStack)

    async def __aenter__(self) -> Self:
        for api in APIS:
            if api in self.site.sockets:
                self._webs[api] = await self._stack.enter_async_context(Web(self.site, api))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    async def send(
        self,
        api: str,
        method: str,
        path: str,
        body: object = None,
        *,
        kind: str = "",
        params: Mapping[str, str] | None = None,
        accept: str = "",
        free: bool = False,
    ) -> Any:
        """One request; see :meth:`Web.send`.

        Raises:
            Refused: it is not carried out.
        """
        self.count += not free
        if api not in self._webs:
            raise Refused(0, "", f"there is no {api}")
        return await self._webs[api].send(method, path, body, kind=kind, params=params, accept=accept)

    async def ask(self, api: str, path: str, *, accept: str = "", free: bool = False, **params: str) -> Any:
        """The JSON that a path answers, or None where it is refused, which is kept."""
        try:
            return await self.send(api, "GET", path, params=params, accept=accept, free=free)
        except Refused as error:
            self.refused.append(str(error)[:300])
            return None

    async def discover(self) -> None:
        """Learn what kinds of objects there are: this takes no time of the incident."""
        found = await self.ask("kubernetes", "/apis", free=True) or {}
        roots = [("", "v1")]
        for group in found.get("groups") or ():
            roots.append((str(group["name"]), str(group["preferredVersion"]["version"])))
        for group, version in roots:
            path = f"/apis/{group}/{version}" if group else f"/api/{version}"
            listed = await self.ask("kubernetes", path, free=True) or {}
            for item in listed.get("resources") or ():
                if "/" not in item["name"]:
                    known = Resource(
                        group,
                        version,
                        item["name"],
                        item["kind"],
                        bool(item["namespaced"]),
                        frozenset(item["verbs"]),
                    )
                    self.resources.setdefault(known.name, known)

    async def list(self, resource: str, *, accept: str = "") -> list[dict[str, Any]]:
        """All objects of a kind, in all namespaces, each with its apiVersion and kind."""
        known = self.resources.get(resource)
        if known is None:
            return []
        items: list[dict[str, Any]] = []
        more = ""
        while True:
            found = await self._page(known.path(), accept, more)
            if not isinstance(found, dict):
                break
            version = f"{known.group}/{known.version}" if known.group else known.version
            for item in found.get("items") or ():
                items.append({**item, "apiVersion": version, "kind": known.kind})
            more = (found.get("metadata") or {}).get("continue") or ""
            if not more:
                break
        return items

    async def _page(self, path: str, accept: str, more: str) -> Any:
        params = {"continue": more} if more else {}
        try:
            return await self.send("kubernetes", "GET", path, params=params, accept=accept)
        except Refused as error:
            self.refused.append(str(error)[:300])
            return None

    async def get(self, resource: str, namespace: str, name: str) -> dict[str, Any] | None:
        """An object as it is now; None where it is not there or not shown."""
        known = self.resources.get(resource)
        if known is None:
            return None
        try:
            found = await self.send("kubernetes", "GET", known.path(namespace, name))
        except Refused as error:
            if error.code != _GONE:
                self.refused.append(str(error)[:300])
            return None
        return found if isinstance(found, dict) else None

    async def write(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        kind: str = "",
        dry: bool = False,
    ) -> Any:
        """Change something, or only ask whether it could be.

        Raises:
            Refused: it is not carried out.
        """
        params = {"fieldManager": MANAGER} if method in ("POST", "PUT", "PATCH") else {}
        if dry:
            params["dryRun"] = "All"
        return await self.send("kubernetes", method, path, body, kind=kind, params=params)

    def resource_of(self, kind: str, group: str | None = None) -> Resource | None:
        """The resource of a kind, of that group where one is said; the built-in one first."""
        found = [one for one in self._of_kind(kind) if group is None or one.group == group]
        return min(found, key=lambda one: (bool(one.group), one.group), default=None)

    def _of_kind(self, kind: str) -> Iterable[Resource]:
        # metrics have nodes and pods of their own, which are not those
        return (one for one in self.resources.values() if one.kind == kind and "list" in one.verbs)
