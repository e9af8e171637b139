"""What a witness is told of a request: one line, when it is answered or begins to stream."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from firedrill.core.digest import digest_bytes
from firedrill.core.entity import CLUSTER
from firedrill.core.living import RequestLine
from firedrill.gateway.kubernetes.guarding import REVIEWS, STREAMS, remembers_values
from firedrill.gateway.kubernetes.wire import Scope, Send
from firedrill.world.kube.objects import Obj, name_of, namespace_of
from firedrill.world.kube.store import TooOldError

if TYPE_CHECKING:
    from firedrill.gateway.kubernetes.guarding import Decision
    from firedrill.gateway.kubernetes.host import Host
    from firedrill.world.kube.api.request import Request
    from firedrill.world.kube.kinds import Kind

LONGEST_PATH = 2000
LONGEST_REASON = 500


def told(decision: Decision) -> dict[str, Any]:
    """What a receipt's line says of a guard's decision."""
    return {
        "effect": decision.effect,
        "rule": decision.rule,
        "asked": decision.asked,
        "approver": decision.approver,
        "waited_ms": decision.waited_ms,
        "reason": decision.reason[:LONGEST_REASON] if decision.effect == "deny" else "",
    }


class Note:
    """What is known of one request of the Kubernetes API so far.

    Args:
        host: whose witness is told, once.
        scope: of the request.
        path: within the world.
    """

    __slots__ = ("_fields", "_host", "_told", "streams")

    def __init__(self, host: Host, scope: Scope, path: str) -> None:
        self._host = host
        self._told = False
        self.streams = False
        """The line is told when the answer begins: nobody knows when it ends."""
        self._fields: dict[str, Any] = {
            "at_ms": host.world.now,
            "verb": scope.get("method", "GET").lower(),
            "path": asked_path(scope, path),
            "bytes_out": 0,
        }

    def arrived(self, user: str, raw: bytes) -> None:
        """It is known who asks, and the clock is where it is to be."""
        self._fields |= {"at_ms": self._host.world.now, "user": user}
        if raw:
            self._fields["body"] = digest_bytes(raw)

    def means(self, request: Request, kind: Kind) -> None:
        """It is known what is asked."""
        verb = "create" if request.subresource in STREAMS - {"proxy"} else request.verb
        if verb == "create" and kind.group in REVIEWS:
            verb = "get"  # a question, though it is posted
        self._fields |= {
            "verb": verb,
            "resource": kind.storage or kind.resource,
            "subresource": request.subresource,
            "namespace": request.namespace,
            "name": request.name,
        }

    def decided(self, decision: Decision) -> None:
        """The guard has spoken."""
        self._fields |= told(decision)

    def dry(self, dry_run: bool) -> None:
        """Nothing is stored."""
        self._fields["dry_run"] = dry_run

    def before(self) -> None:
        """It is carried out now."""
        self._fields["since_rv"] = self._fields["rv"] = self._host.world.cluster.store.rv

    def after(self) -> None:
        """It was carried out just now, and nothing else since."""
        store = self._host.world.cluster.store
        since = self._fields.get("since_rv", store.rv)
        self._fields["rv"] = store.rv
        if store.rv == since:
            return
        try:
            found = dict.fromkeys(entity_of(change.obj) for change in store.since(since))
        except TooOldError:
            return  # more than the log holds; since_rv and rv tell how many
        self._fields["changed"] = tuple(found)

    def discloses(self, obj: Obj, *, bare: bool) -> None:
        """Secrets in an answer, or (`bare`) their metadata, which may hold what was applied."""
        items = obj.get("items") if str(obj.get("kind", "")).endswith("List") else [obj]
        found = [entity_of(item, "Secret") for item in items or () if _tells(item, bare=bare)]
        if found:
            self._fields["disclosed"] = tuple(found)

    def name(self, name: str) -> None:
        """A name that the server has chosen."""
        self._fields["name"] = self._fields.get("name") or name

    def refused(self, code: int, reason: str) -> None:
        """It is not carried out."""
        self._fields["code"] = code
        self._fields["reason"] = self._fields.get("reason") or reason

    def counting(self, send: Send) -> Send:
        """The same way to send, which counts."""

        async def counted(message: Any) -> None:
            kind = message["type"]
            if kind in {"http.response.start", "websocket.http.response.start"}:
                self._fields["code"] = message["status"]
                if self.streams:
                    self.tell()
            elif kind == "websocket.accept":
                self._fields["code"] = 101
            else:
                size = len(message.get("body") or message.get("bytes") or b"")
                self._fields["bytes_out"] += size
            await send(message)

        return counted

    def tell(self) -> None:
        """Tell the witness, once."""
        if self._told or self._host.witness is None:
            return
        self._told = True
        self._host.witness(RequestLine(**self._fields))


def _tells(secret: Obj, *, bare: bool) -> bool:
    return bool(not bare and secret.get("data")) or remembers_values(secret)


def asked_path(scope: Scope, path: str) -> str:
    """The path with its query, of bounded length."""
    query = scope.get("query_string", b"").decode("latin-1")
    text = f"{path}?{query}" if query else path
    return text.encode("utf-8", "replace").decode()[:LONGEST_PATH]


def entity_of(obj: Obj, kind: str = "") -> str:
    """`namespace/Kind/name`."""
    return f"{namespace_of(obj) or CLUSTER}/{kind or obj.get('kind', '')}/{name_of(obj)}"
