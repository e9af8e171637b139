"""HTTP over the sockets of a living episode: how anything of our own process reaches its world."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Protocol, Self

import httpx
import orjson

_SECONDS = 120.0
_TYPES = {
    "json": "application/json-patch+json",
    "merge": "application/merge-patch+json",
    "strategic": "application/strategic-merge-patch+json",
    "apply": "application/apply-patch+yaml",
}
APIS = ("kubernetes", "prometheus", "alertmanager", "loki", "jaeger")


class Door(Protocol):
    """What is needed to reach the APIs of an episode."""

    @property
    def sockets(self) -> Mapping[str, Path]:
        """Unix sockets by API."""

    @property
    def token(self) -> str:
        """The bearer token at the Kubernetes API."""

    @property
    def ca(self) -> bytes:
        """The certificate of the Kubernetes API, as PEM."""


class Site(Door, Protocol):
    """A living world as tools see it."""

    @property
    def alerts(self) -> tuple[Mapping[str, Any], ...]:
        """What somebody is called for: ``name``, ``labels``, ``fired`` and ``description`` of each."""

    @property
    def namespace(self) -> str:
        """Where the application runs that users are on."""

    @property
    def authority(self) -> str:
        """The name of the policy that decides on each request."""

    async def wait(self, ms: int) -> int:
        """Let virtual time pass; gives the world's moment then, in ms since the Unix epoch."""

    async def now(self) -> int:
        """The world's moment, in ms since the Unix epoch; takes no time."""


class Refused(Exception):
    """A request was refused.

    Attributes:
        code: of the HTTP answer; 0 where there was none.
        reason: as in `NotFound`, where the API says one.
    """

    def __init__(self, code: int, reason: str, text: str) -> None:
        self.code, self.reason = code, reason
        super().__init__(text)


class Web:
    """One of the APIs of an episode.

    Args:
        door: of the episode.
        api: `kubernetes`, `prometheus`, `alertmanager`, `loki` or `jaeger`.
    """

    refusal: ClassVar[type[Refused]] = Refused
    """What is raised where a request is refused."""

    def __init__(self, door: Door, api: str) -> None:
        headers = {"user-agent": "firedrill-agent"}
        verify: ssl.SSLContext | bool = False
        base = f"http://{api}"
        if api == "kubernetes":
            headers["authorization"] = f"Bearer {door.token}"
            verify, base = (
                ssl.create_default_context(cadata=door.ca.decode("ascii")),
                "https://127.0.0.1:6443",
            )
        way = httpx.AsyncHTTPTransport(uds=str(door.sockets[api]), verify=verify, trust_env=False)
        self._http = httpx.AsyncClient(transport=way, base_url=base, headers=headers, timeout=_SECONDS)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Let go of the connection."""
        await self._http.aclose()

    async def get(self, path: str, **params: str) -> Any:
        """The JSON that a path answers.

        Raises:
            Refused: it answers something else.
        """
        return await self.send("GET", path, params=params)

    async def send(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        kind: str = "",
        params: Mapping[str, str] | None = None,
        accept: str = "",
    ) -> Any:
        """Send a request and give the JSON of its answer.

        Args:
            kind: of a patch: `json`, `merge`, `strategic` or `apply`.
            accept: the form in which the answer is wanted, where there are several.

        Raises:
            Refused: it is not carried out.
        """
        headers = {"content-type": _TYPES.get(kind, "application/json")} if body is not None else {}
        if accept:
            headers["accept"] = accept
        content = None if body is None else orjson.dumps(body)
        try:
            answer = await self._http.request(method, path, content=content, headers=headers, params=params)
        except httpx.HTTPError as error:
            raise self.refusal(0, "", f"{method} {path}: {type(error).__name__}: {error}") from error
        try:
            found = answer.json()
        except ValueError:
            found = {}
        if answer.is_success:
            return found
        status = found if isinstance(found, dict) else {}
        text = status.get("message") or status.get("error") or _of_jaeger(status) or answer.text[:500]
        raise self.refusal(answer.status_code, str(status.get("reason", "")), f"{method} {path}: {text}")


def _of_jaeger(status: Mapping[str, Any]) -> str:
    told = status.get("errors")
    return "; ".join(str(item.get("msg", item)) for item in told[:3]) if isinstance(told, list) else ""
