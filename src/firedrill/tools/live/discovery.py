"""Which resources a cluster knows, as it says itself."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from firedrill.tools.errors import Mistake
from firedrill.tools.live.clients import Web
from firedrill.tools.resolve import near, or_else

_AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"


@dataclass(frozen=True, slots=True)
class Resource:
    """One resource, in the version that its group prefers."""

    group: str
    version: str
    plural: str
    singular: str
    kind: str
    namespaced: bool
    verbs: frozenset[str]
    short: tuple[str, ...] = ()
    subresources: frozenset[str] = frozenset()

    @property
    def name(self) -> str:
        """As in `deployments.apps`."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    def path(self, namespace: str | None = None, name: str = "") -> str:
        """Where its objects are: of one namespace or of all, or one of them."""
        root = f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"
        place = f"/namespaces/{namespace}" if self.namespaced and namespace else ""
        return f"{root}{place}/{self.plural}" + (f"/{name}" if name else "")


class Resources:
    """All resources of a cluster."""

    def __init__(self, found: Iterable[Resource]) -> None:
        self.all = tuple(found)
        self._by_word: dict[str, list[Resource]] = {}
        for item in self.all:
            for word in dict.fromkeys((item.plural, item.singular, item.kind.lower(), *item.short)):
                self._by_word.setdefault(word, []).append(item)

    @classmethod
    async def of(cls, web: Web) -> Resources:
        """Ask a cluster.

        Raises:
            Refused: it does not answer.
        """
        found: list[Resource] = []
        for path in ("/api", "/apis"):
            told = await web.send("GET", path, accept=_AGGREGATED)
            for group in told.get("items", ()):
                found += _of_group(group)
        return cls(found)

    def find(self, text: str) -> Resource:
        """The resource that a word of kubectl names: `po`, `Pod`, `deployments.apps`, `jobs.v1.batch`.

        Raises:
            Mistake: there is none; names those that come close.
        """
        word, _, group = text.strip().lower().partition(".")
        found = self._by_word.get(word, [])
        if group:
            wanted = group.split(".", 1)[-1] if group.partition(".")[0].startswith("v") else group
            found = [item for item in found if item.group in (group, wanted)]
        if found:
            return found[0]
        known = {item.plural for item in self.all} | {item.singular for item in self.all}
        close = [name for name in near(word, known, 4) if name]
        raise Mistake(
            f"this cluster has no resource type {text[:60]!r}{or_else(close) or '.'} "
            "`kubectl api-resources` lists all"
        )

    def of_kind(self, kind: str) -> Resource | None:
        """The resource of a kind, spelled in any case."""
        found = self._by_word.get(kind.lower(), [])
        return found[0] if found else None


def _of_group(group: Mapping[str, Any]) -> list[Resource]:
    name = str(group.get("metadata", {}).get("name", ""))
    found: dict[str, Resource] = {}
    for version in group.get("versions", ()):
        for item in version.get("resources", ()):
            # versions come in the order in which the group prefers them
            found.setdefault(
                item["resource"],
                Resource(
                    name,
                    str(version["version"]),
                    item["resource"],
                    item.get("singularResource") or item["responseKind"]["kind"].lower(),
                    item["responseKind"]["kind"],
                    item.get("scope") == "Namespaced",
                    frozenset(item.get("verbs", ())),
                    tuple(item.get("shortNames", ())),
                    frozenset(sub["subresource"] for sub in item.get("subresources", ())),
                ),
            )
    return list(found.values())
