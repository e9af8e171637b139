"""The gateway as an ASGI application: urls, then handlers, then views."""

from __future__ import annotations

import re
import secrets
import traceback
from collections.abc import Mapping
from typing import TYPE_CHECKING

from firedrill.gateway.kubernetes import (
    ages,
    bodies,
    exchange,
    guarding,
    identity,
    negotiate,
    paths,
    query,
    static,
)
from firedrill.gateway.kubernetes.guarding import Seen
from firedrill.gateway.kubernetes.recording import LONGEST_REASON, Note
from firedrill.gateway.kubernetes.views import Renderer
from firedrill.gateway.kubernetes.watching import Stream
from firedrill.gateway.kubernetes.wire import (
    Answer,
    Receive,
    Scope,
    Send,
    failure,
    header,
    read_body,
    send_answer,
    warning_headers,
)
from firedrill.world.kube.api import ApiError, errors, server
from firedrill.world.kube.api.request import Request, Response, User, Verb
from firedrill.world.kube.objects import name_of

if TYPE_CHECKING:
    from firedrill.gateway.kubernetes.host import Host
    from firedrill.world.kube.kinds import Kind

_TENANT = re.compile(r"/t/([A-Za-z0-9][A-Za-z0-9._-]{0,63})(/.*)")
_STREAMS = {"log": "get", "exec": "exec", "attach": "exec", "portforward": "exec", "proxy": "proxy"}
_OPTIONS = {"create": "CreateOptions", "update": "UpdateOptions", "patch": "PatchOptions"}
_LONG_URL = 16 * 1024


class Gateway:
    """Serves one world at the root, and any number of others under `/t/<id>`.

    Attributes:
        hosts: the worlds by id; the one with the empty id is at the root.
    """

    def __init__(self, hosts: Mapping[str, Host] | Host) -> None:
        self.hosts: dict[str, Host] = dict(hosts) if isinstance(hosts, Mapping) else {"": hosts}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one connection's request, as ASGI 3 has it."""
        if scope["type"] == "lifespan":
            await _lifespan(receive, send)
            return
        path: str = scope["path"]
        tenant = ""
        found = _TENANT.fullmatch(path) if path.startswith("/t/") else None
        if found is not None:
            tenant, path = found[1], found[2]
        host = self.hosts.get(tenant)
        call = Call(host, scope, receive, send, path) if host is not None else None
        if call is None:
            refusal = failure(errors.no_such_path())
            if scope["type"] == "websocket":
                await exchange.refuse(receive, send, refusal)
            else:
                await send_answer(send, refusal, _audit_id())
            return
        await call.answer()


async def _lifespan(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return


def _audit_id() -> bytes:
    text = secrets.token_hex(16)
    return f"{text[:8]}-{text[8:12]}-4{text[13:16]}-a{text[17:20]}-{text[20:]}".encode()


class Call:
    """One HTTP request or WebSocket of one client."""

    __slots__ = (
        "_audit_id", "_host", "_note", "_path", "_receive", "_scope", "_send", "_sender", "_started", "_user",
    )  # fmt: skip

    def __init__(self, host: Host, scope: Scope, receive: Receive, send: Send, path: str) -> None:
        self._host = host
        self._scope = scope
        self._receive = receive
        self._send = send
        self._path = path
        self._audit_id = _audit_id()
        self._started = False
        self._sender: User
        self._user: User
        self._note: Note | None = None
        if host.witness is not None:
            self._note = Note(host, scope, path)
            self._send = self._note.counting(send)

    async def answer(self) -> None:
        """Do what is asked, or say why not; then tell the witness."""
        try:
            await self._answer()
        finally:
            if self._note is not None:
                self._note.tell()

    async def _answer(self) -> None:
        try:
            answer = await self._carry_out()
        except ApiError as refusal:
            answer = failure(refusal)
            if self._note is not None:
                # 403 is of roles, of quotas or of admission: only the message tells which
                why = refusal.message if refusal.code == 403 else refusal.reason
                self._note.refused(refusal.code, why[:LONGEST_REASON])
        except OSError:
            if not self._started:
                raise
            answer = None  # the client of a stream has gone away
        except Exception:  # the client gets an answer and the owner of the host the defect, whatever it is
            self._host.defects.append(
                f"{self._scope.get('method', 'WS')} {self._path}\n{traceback.format_exc()}"
            )
            if self._started:
                raise
            answer = failure(errors.internal("the simulated API server has a defect"))
        self._host.hub.publish()
        if answer is None:
            return
        if self._scope["type"] == "websocket":
            await exchange.refuse(self._receive, self._send, answer)
        else:
            head = self._scope["method"] == "HEAD"
            await send_answer(self._send, answer, self._audit_id, head=head)

    async def _carry_out(self) -> Answer | None:
        scope = self._scope
        raw = b""
        method = scope.get("method", "GET")
        if scope["type"] == "http" and method not in {"GET", "HEAD"}:
            try:
                raw = await read_body(scope, self._receive)
            except ApiError:
                self._host.arrive(write=True)  # it was sent, and takes its time as any other
                raise
        # nothing is awaited from here on until the answer stands: the world is touched by one at a time
        if len(self._path) > _LONG_URL:
            raise ApiError(414, "BadRequest", "the request URI is too long")
        reads = method in {"GET", "HEAD"}
        self._host.arrive(write=not reads, free=reads and paths.is_plumbing(self._path))
        world = self._host.world
        self._sender = identity.authenticate(self._host, scope)
        if self._note is not None:
            self._note.arrived(self._sender.name, raw)
        self._user = identity.acting(world, self._sender, scope)
        target = paths.parse(self._path)
        if target is None:
            identity.check_path(world, self._user, method, self._path)
            return static.serve(self._host, scope, self._path)
        kind = world.cluster.kinds.by_gvr(target.group, target.version, target.plural)
        if kind is None:
            identity.check_resource(world, self._user, _verb(target, method), target)
            raise errors.no_such_path()
        if target.namespace and not kind.namespaced and target.plural != "namespaces":
            raise errors.no_such_path()
        if target.subresource in exchange.STREAMS and target.subresource in kind.subresources:
            self._started = True
            wire = (scope, self._receive, self._send)
            return await exchange.serve(
                self._host, target, kind, self._user, *wire, self._audit_id, self._admit
            )
        if target.rest or scope["type"] == "websocket":
            raise errors.no_such_path()
        return await self._resource(target, kind, method, raw)

    async def _resource(self, target: paths.Target, kind: Kind, method: str, raw: bytes) -> Answer | None:
        scope = self._scope
        verb = _verb(target, method)
        asked = query.parse(scope.get("query_string", b""), _OPTIONS.get(verb, "ListOptions"))
        if verb in {"list", "watch"}:
            verb = "watch" if asked.watch or target.watch else "list"
        wanted = negotiate.parse(header(scope, b"accept"))
        renderer = Renderer(
            self._host.world, kind, wanted, include=asked.include, pretty=asked.options.pretty
        )
        request = self._request(target, kind, verb, asked, raw)
        bare = bool(wanted.shape) and (wanted.shape != "Table" or asked.include != "Object")
        warning = await self._admit(request, kind, bare=bare, streams=verb == "watch")
        if verb == "watch":
            stream = Stream(self._host, request, asked, kind, renderer)
            self._started = True
            await stream.run(self._receive, self._send, self._audit_id)
            return None
        if verb == "list":
            query.check_list(asked)
        response = self._handle(request, kind, bare=bare)
        told = response.obj
        if self._host.wall is not None:
            command = header(scope, b"kubectl-command")
            told = ages.retold(told, command, kind.resource, self._host.world.now, self._host.wall())
        return Answer(
            response.code,
            renderer.answer(told),
            renderer.media_type,
            warning_headers((*response.warnings, warning) if warning else response.warnings),
        )

    async def _admit(
        self,
        request: Request,
        kind: Kind,
        *,
        bare: bool = False,
        command: tuple[str, ...] = (),
        streams: bool = False,
    ) -> str:
        """Let the guard decide; what is written down of the request is known from here on.

        Gives a warning for the client, or nothing.
        """
        note = self._note
        if note is not None:
            note.means(request, kind)
            note.streams = streams
            note.dry(server.options_in_force(request).dry_run)
        if self._host.guard is None:
            return ""
        seen = Seen(self._sender, bare, command)
        told = note.decided if note is not None else None
        return await guarding.admit(self._host, request, kind, seen, told)

    def _handle(self, request: Request, kind: Kind, *, bare: bool) -> Response:
        note = self._note
        if note is None:
            return server.handle(self._host.world, request)
        note.before()
        response = server.handle(self._host.world, request)
        note.after()
        if request.verb == "create":
            note.name(name_of(response.obj))
        if kind.resource == "secrets" and not request.subresource:
            note.discloses(response.obj, bare=bare)
        return response

    def _request(
        self, target: paths.Target, kind: Kind, verb: Verb, asked: query.Query, raw: bytes
    ) -> Request:
        scope = self._scope
        content_type = header(scope, b"content-type")
        patch_type, body = None, None
        if verb == "patch":
            patch_type, body = bodies.read_patch(content_type, raw)
            query.for_patch(asked, apply=patch_type == "apply")
        elif verb in {"create", "update"}:
            sub = kind.subresources.get(target.subresource)
            body = bodies.read_object(content_type, raw, sub.kind if sub else kind.kind)
        elif raw and verb in {"delete", "deletecollection"}:
            body = bodies.read_object(content_type, raw, "DeleteOptions")
        name = target.name
        if verb in {"list", "watch"} and not name:
            name = _single_name(asked.options.field_selector)
        client = scope.get("client")
        return Request(
            verb=verb,
            group=target.group,
            version=target.version,
            plural=target.plural,
            namespace=target.namespace if kind.namespaced else "",
            name=name,
            subresource=target.subresource,
            body=body,
            patch_type=patch_type,
            options=asked.options,
            raw_query=asked.first,
            user=self._user,
            user_agent=header(scope, b"user-agent")[:256],
            source_ip=client[0] if client else "127.0.0.1",
            size=len(raw),
        )


def _single_name(field_selector: str) -> str:
    """The name where a selector lets one object through, which then counts for roles."""
    for part in field_selector.split(","):
        key, found, value = part.partition("=")
        if found and key == "metadata.name":
            return value.removeprefix("=")
    return ""


def _verb(target: paths.Target, method: str) -> Verb:
    if method in {"GET", "HEAD"}:
        return "get" if target.name else "list"
    if method == "POST" and (not target.name or target.subresource):
        return "create"
    if method == "PUT" and target.name:
        return "update"
    if method == "PATCH" and target.name:
        return "patch"
    if method == "DELETE":
        return "delete" if target.name else "deletecollection"
    raise errors.method_not_allowed()
