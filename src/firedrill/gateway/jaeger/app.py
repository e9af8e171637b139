"""Jaeger's query API as an ASGI application."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING
from urllib.parse import unquote

from firedrill.gateway.jaeger import parameters, views
from firedrill.gateway.loki import wire
from firedrill.gateway.loki.wire import Asked, Refusal, Reply, reply
from firedrill.world.telemetry.traces import Requests, Sampling, Traces

if TYPE_CHECKING:
    from firedrill.gateway.kubernetes.host import Host
    from firedrill.world.world import World

_TWO_DAYS_MS = 172_800_000
_MOST_IDS = 100


def _requests(world: World) -> Requests | None:
    from firedrill.world.telling import requests_of

    return requests_of(world)


class Jaeger:
    """Answers Jaeger's query API for one world.

    Args:
        host: the served world; each request moves its clock as a read does.
        requests: of a world; by default those of its traffic. None where it has none.
        sampling: which of them leave traces; by default all.
    """

    def __init__(
        self,
        host: Host,
        requests: Callable[[World], Requests | None] = _requests,
        sampling: Sampling | None = None,
    ) -> None:
        self._host = host
        self._make = requests
        self._sampling = sampling or Sampling()
        self._traces: tuple[World, Traces] | None = None
        self._routes: Mapping[str, Callable[[Asked], Reply]] = {
            "/api/services": self._services,
            "/api/operations": self._operations,
            "/api/traces": self._search,
            "/api/dependencies": self._dependencies,
            "/api/v3/services": self._services_v3,
            "/api/v3/operations": self._operations_v3,
            "/": lambda _: Reply(b"Jaeger\n", media_type=wire.TEXT),
        }

    async def __call__(self, scope: wire.Scope, receive: wire.Receive, send: wire.Send) -> None:
        """Answer one request, as ASGI 3 has it."""
        if scope["type"] == "websocket":
            await wire.refuse_socket(receive, send)
            return
        if scope["type"] != "http":
            return
        try:
            asked = await wire.read(scope, receive)
            # nothing is awaited from here on until the answer stands: the world is touched by one at a time
            answer = self._answer(scope["method"], asked)
        except Refusal as error:
            answer = reply(views.refused(error.status, str(error)), error.status)
        except Exception:  # noqa: BLE001 - the client gets an answer and the host's owner the defect
            self._host.defects.append(f"{scope['method']} {scope['path']}\n{traceback.format_exc()}")
            answer = reply(views.refused(500, "the simulated Jaeger has a defect"), 500)
        await wire.send(send, answer, head=scope["method"] == "HEAD")

    def _answer(self, method: str, asked: Asked) -> Reply:
        if method not in {"GET", "HEAD"}:
            raise Refusal(405, "method not allowed")
        self._host.arrive(write=False)
        path = asked.path.removeprefix("/jaeger").rstrip("/") or "/"
        route = self._routes.get(path)
        if route is not None:
            return route(asked)
        parts = path.split("/")
        if len(parts) == 5 and path.startswith("/api/services/") and parts[4] == "operations":
            return self._names_of(asked, unquote(parts[3]))
        if len(parts) == 4 and path.startswith("/api/traces/"):
            return self._trace(parts[3])
        if len(parts) == 5 and path.startswith("/api/v3/traces/"):
            return self._trace_v3(parts[4])
        raise Refusal(404, "404 page not found")

    @property
    def _now(self) -> int:
        return self._host.world.now

    def _known(self) -> Traces | None:
        world = self._host.world
        if self._traces is None or self._traces[0] is not world:
            requests = self._make(world)
            if requests is None:
                return None
            self._traces = (world, Traces(requests, self._sampling))
        return self._traces[1]

    def _service_names(self) -> list[str]:
        traces = self._known()
        return traces.services(self._now - _TWO_DAYS_MS, self._now) if traces is not None else []

    def _spans_of(self, service: str, kind: str = "") -> list[tuple[str, str]]:
        traces = self._known()
        if traces is None:
            return []
        found = traces.operations(service, self._now - _TWO_DAYS_MS, self._now)
        return [pair for pair in found if kind in {"", pair[1]}]

    def _services(self, _: Asked) -> Reply:
        names = self._service_names()
        return reply(views.structured(names or None, len(names)))

    def _names_of(self, _: Asked, service: str) -> Reply:
        names = sorted({name for name, _ in self._spans_of(service)})
        return reply(views.structured(names, len(names)))

    def _operations(self, asked: Asked) -> Reply:
        service = asked.first("service")
        if not service:
            raise Refusal(400, "parameter 'service' is required")
        found = self._spans_of(service, asked.first("spanKind"))
        return reply(views.structured([{"name": name, "spanKind": kind} for name, kind in found], len(found)))

    def _search(self, asked: Asked) -> Reply:
        traces = self._known()
        texts = asked.all("traceID")
        if texts:
            if len(texts) > _MOST_IDS:
                raise Refusal(400, f"at most {_MOST_IDS} traces can be asked for at once")
            found = [] if traces is None else [traces.trace(parameters.trace_id(text)) for text in texts]
            shown = [one for one in found if one is not None]
        else:
            wanted = parameters.search(asked, self._now)
            shown = [] if traces is None else traces.search(wanted)
        told = [views.trace(one, traces.describer) for one in shown] if traces is not None else []
        return reply(views.structured(told))

    def _trace(self, text: str) -> Reply:
        wanted = parameters.trace_id(text)
        traces = self._known()
        found = traces.trace(wanted) if traces is not None else None
        if traces is None or found is None:
            raise Refusal(404, "trace not found")
        return reply(views.structured([views.trace(found, traces.describer)]))

    def _dependencies(self, asked: Asked) -> Reply:
        start, end = parameters.span_of_time(asked, self._now)
        traces = self._known()
        return reply(
            views.structured(views.links(traces.dependencies(start, end)) if traces is not None else [])
        )

    def _services_v3(self, _: Asked) -> Reply:
        return reply({"services": self._service_names()})

    def _operations_v3(self, asked: Asked) -> Reply:
        found = self._spans_of(asked.first("service"), asked.first("span_kind"))
        return reply({"operations": [{"name": name, "spanKind": kind} for name, kind in found]})

    def _trace_v3(self, text: str) -> Reply:
        wanted = parameters.trace_id(text)
        traces = self._known()
        found = traces.trace(wanted) if traces is not None else None
        if traces is None or found is None:
            raise Refusal(404, "trace not found")
        return reply(views.otlp([found], traces.describer))
