"""Subresources that are streams: logs, commands in containers; proxies and port forwarding are refused."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import TYPE_CHECKING, Protocol

from firedrill.gateway.kubernetes import execution, logs, query
from firedrill.gateway.kubernetes.wire import Answer, Receive, Scope, Send, header
from firedrill.world.kube.api import ApiError, errors, server
from firedrill.world.kube.api.request import Request, User, Verb
from firedrill.world.kube.objects import Obj

if TYPE_CHECKING:
    from firedrill.gateway.kubernetes.host import Host
    from firedrill.gateway.kubernetes.paths import Target
    from firedrill.world.kube.kinds import Kind

STREAMS = frozenset({"log", "exec", "attach", "portforward", "proxy"})
_VERBS: dict[str, Verb] = {"GET": "get", "HEAD": "get", "POST": "create", "PUT": "update", "DELETE": "delete"}


class Admit(Protocol):
    """Asks whether a request may be carried out."""

    def __call__(
        self, request: Request, kind: Kind, *, command: tuple[str, ...] = (), streams: bool = False
    ) -> Awaitable[object]:
        """Come back if it may.

        Raises:
            ApiError: it may not.
        """


async def serve(
    host: Host,
    target: Target,
    kind: Kind,
    user: User,
    scope: Scope,
    receive: Receive,
    send: Send,
    audit_id: bytes,
    admit: Admit,
) -> Answer | None:
    """Carry out a stream; an answer is returned where there is nothing to stream.

    Raises:
        ApiError: it is refused before anything was sent.
    """
    method = scope.get("method", "GET")
    asked = query.parse(scope.get("query_string", b""))
    request = Request(
        verb=_VERBS.get(method, "get") if method != "PATCH" else "patch",
        group=target.group,
        version=target.version,
        plural=target.plural,
        namespace=target.namespace,
        name=target.name,
        subresource=target.subresource,
        raw_query=asked.first,
        user=user,
        user_agent=header(scope, b"user-agent")[:256],
    )
    await admit(request, kind, command=asked.every.get("command", ()), streams=_follows(asked))
    server.permit(host.world, request)
    if target.subresource == "proxy":
        raise ApiError(
            503,
            "ServiceUnavailable",
            "proxying is not simulated: use `kubectl exec … -- curl` inside a pod",
            {},
        )
    pod = _pod(host, target)
    if target.subresource == "log":
        if request.verb != "get" or scope["type"] != "http":
            raise errors.method_not_allowed()
        return await logs.serve(host, pod, asked, receive, send, audit_id)
    if target.subresource == "portforward":
        raise errors.bad_request(
            "port forwarding is not simulated: use `kubectl exec … -- curl` inside a pod"
        )
    command = execution.plan(host, pod, target.subresource, asked)
    if scope["type"] != "websocket":
        raise errors.bad_request(
            "Upgrade request required: this server streams over WebSocket only; use kubectl 1.30 or newer, "
            "or set KUBECTL_REMOTE_COMMAND_WEBSOCKETS=true"
        )
    await execution.run(host, command, scope, receive, send)
    return None


def _follows(asked: query.Query) -> bool:
    return asked.first.get("follow", "") in logs.TRUE and asked.first.get("previous", "") not in logs.TRUE


def _pod(host: Host, target: Target) -> Obj:
    pod = host.world.cluster.store.get("pods", target.namespace, target.name)
    if pod is None:
        raise errors.not_found("pods", target.name)
    return pod


async def refuse(receive: Receive, send: Send, answer: Answer) -> None:
    """Answer the request for a WebSocket with an ordinary response."""
    message = await receive()
    if message["type"] != "websocket.connect":
        return
    headers = [
        (b"content-type", answer.media_type),
        (b"content-length", b"%d" % len(answer.body)),
        *answer.headers,
    ]
    await send({"type": "websocket.http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "websocket.http.response.body", "body": answer.body})
