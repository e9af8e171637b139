"""Clients of a living world for agents of our own process: plain HTTP over the episode's sockets."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

import httpx
import orjson

from firedrill.agents.base import AgentError, Living

_SECONDS = 120.0
_TYPES = {
    "json": "application/json-patch+json",
    "merge": "application/merge-patch+json",
    "strategic": "application/strategic-merge-patch+json",
    "apply": "application/apply-patch+yaml",
}


class Refused(AgentError):
    """A request was refused.

    Attributes:
        code: of the HTTP answer.
        reason: as in `NotFound`, where the API says one.
    """

    def __init__(self, code: int, reason: str, text: str) -> None:
        self.code, self.reason = code, reason
        super().__init__(text)


class Web:
    """One of the APIs of an episode.

    Args:
        living: the episode.
        api: `kubernetes`, `prometheus`, `alertmanager`, `loki` or `jaeger`.
    """

    def __init__(self, living: Living, api: str) -> None:
        headers = {"user-agent": "firedrill-agent"}
        verify: ssl.SSLContext | bool = False
        base = f"http://{api}"
        if api == "kubernetes":
            headers["authorization"] = f"Bearer {living.token}"
            verify, base = (
                ssl.create_default_context(cadata=living.ca.decode("ascii")),
                "https://127.0.0.1:6443",
            )
        way = httpx.AsyncHTTPTransport(uds=str(living.sockets[api]), verify=verify, trust_env=False)
        self._http = httpx.AsyncClient(transport=way, base_url=base, headers=headers, timeout=_SECONDS)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
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
    ) -> Any:
        """Send a request and give the JSON of its answer.

        Args:
            kind: of a patch: `json`, `merge`, `strategic` or `apply`.

        Raises:
            Refused: it is not carried out.
        """
        headers = {"content-type": _TYPES.get(kind, "application/json")} if body is not None else {}
        content = None if body is None else orjson.dumps(body)
        try:
            answer = await self._http.request(method, path, content=content, headers=headers, params=params)
        except httpx.HTTPError as error:
            raise Refused(0, "", f"{method} {path}: {type(error).__name__}: {error}") from error
        try:
            found = answer.json()
        except ValueError:
            found = {}
        if answer.is_success:
            return found
        status = found if isinstance(found, dict) else {}
        text = status.get("message") or status.get("error") or answer.text[:500]
        raise Refused(answer.status_code, str(status.get("reason", "")), f"{method} {path}: {text}")
