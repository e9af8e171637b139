"""Who may do what: each request is put to a guard, with what it would come to, before it is carried out.

The gateway knows nothing of policies. It says what is asked, and what it would change, found by carrying
it out as a dry run; a guard decides. What is carried out after somebody was asked is what he was shown.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, Protocol

from firedrill.world.kube.api import ApiError, errors, rules, server
from firedrill.world.kube.api.request import Options, Request, User
from firedrill.world.kube.objects import Obj, dig, name_of, namespace_of

if TYPE_CHECKING:
    from firedrill.core.living import Api
    from firedrill.gateway.kubernetes.host import Host
    from firedrill.world.kube.kinds import Kind
    from firedrill.world.kube.store import Store
    from firedrill.world.world import World

STREAMS = frozenset({"exec", "attach", "portforward", "proxy"})
"""Subresources that reach into what runs, whatever the verb."""
REVIEWS = frozenset({"authorization.k8s.io", "authentication.k8s.io"})
"""Groups whose objects are questions: creating one changes nothing."""
NO_OPTIONS = Options()
_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
_READS = frozenset({"get", "list", "watch"})
_NO_PREVIEW = STREAMS | {"log", "token"}
_PASSING = frozenset({"resourceVersion", "managedFields", "generation", "uid", "creationTimestamp"})


@dataclass(frozen=True, slots=True)
class Asked:
    """A request, and what it would come to.

    Attributes:
        user: who sends it, by his token.
        verb: as in an RBAC rule.
        resource: as in `pods` or `deployments.apps`, in the spelling under which it is stored, so that no
            other group or version of the same objects is another resource; `silences` for Alertmanager's.
        count: how many objects it touches: 0 for a read, all that are let through for a `deletecollection`,
            all that is inside for a namespace or a definition of resources that is deleted.
        dry_run: nothing would be stored. True only where the server honours it.
        body: the object, the patch or the options that were sent.
        api: which of the five.
        kind: as in `Deployment`.
        acting_as: whom `Impersonate-…` headers name; empty where there are none.
        command: of an exec.
        options: of the query and of `DeleteOptions`.
        metadata_only: the answer holds no content of objects.
        before: the objects that would be touched, as they are.
        after: the object as it would be; None where it would be gone, or nobody can say.
        refusal: why the API would refuse it; such a request is not carried out.
        store: the objects of the world, to be read only; None for the other APIs.
        now_ms: the world's present moment.
    """

    user: str
    verb: str
    resource: str
    subresource: str = ""
    namespace: str = ""
    name: str = ""
    count: int = 0
    dry_run: bool = False
    body: Any = None
    api: Api = "kubernetes"
    kind: str = ""
    acting_as: str = ""
    command: tuple[str, ...] = ()
    options: Options = NO_OPTIONS
    metadata_only: bool = False
    before: tuple[Obj, ...] = ()
    after: Obj | None = None
    refusal: str = ""
    store: Store | None = None
    now_ms: int = 0

    @property
    def writes(self) -> bool:
        """Whether it asks for more than to look: exec, port forwarding and proxies do, with any verb."""
        if self.subresource in STREAMS:
            return True
        if self.resource.partition(".")[2] in REVIEWS:
            return False
        return self.verb not in _READS


@dataclass(frozen=True, slots=True)
class Decision:
    """What a guard says.

    Attributes:
        rule: which decided.
        asked: an approver was asked.
        approver: who that was.
        waited_ms: virtual time until he answered.
        reason: for the client, where it is denied.
        warning: for the client, where it is allowed: what would be said of it without its dry run.
    """

    effect: Literal["allow", "deny"]
    rule: str = ""
    asked: bool = False
    approver: str = ""
    waited_ms: int = 0
    reason: str = ""
    warning: str = ""


class Guard(Protocol):
    """Decides about requests."""

    async def decide(self, asked: Asked) -> Decision:
        """Whether this may be done. May wait for a person; nothing else of the world stands still then."""


class Denied(ApiError):
    """403 by the guard."""


async def admit(
    host: Host, request: Request, kind: Kind, seen: Seen, told: Callable[[Decision], None] | None = None
) -> str:
    """Put a request to the host's guard, and let it pass or not.

    Args:
        told: is called with the decision before anything follows from it.

    Returns:
        A warning for the client, or nothing.

    Raises:
        ApiError: it is denied, or the API would refuse it, or what it would change is not any more what
            somebody has approved.
    """
    guard = host.guard
    if guard is None:
        return ""
    asked, refusal = examine(host.world, request, kind, seen)
    decision = await guard.decide(asked)
    if decision.waited_ms:
        host.go_on(decision.waited_ms)
    if told is not None:
        told(decision)
    if decision.effect == "deny":
        raise denied(asked, decision)
    if refusal is not None:
        raise refusal
    if decision.asked:
        again, refusal = examine(host.world, request, kind, seen)
        if refusal is not None:
            raise refusal
        if _essence(again) != _essence(asked):
            raise errors.conflict(
                asked.resource,
                asked.name,
                "what this would change is no longer what was approved; look again, then ask again",
            )
    return decision.warning


@dataclass(frozen=True, slots=True)
class Seen:
    """What the wire knows of a request beside the request.

    Attributes:
        sender: who sends it.
        metadata_only: the answer is to hold no content.
        command: of an exec.
    """

    sender: User
    metadata_only: bool = False
    command: tuple[str, ...] = ()


def denied(asked: Asked, decision: Decision) -> ApiError:
    """The answer to a request that is denied, as an API server refuses."""
    resource = f"{asked.resource}/{asked.subresource}" if asked.subresource else asked.resource
    rule = f" (rule {decision.rule})" if decision.rule else ""
    found = errors.forbidden(resource, asked.name, f"{decision.reason or 'not within your authority'}{rule}")
    return Denied(found.code, found.reason, found.message, found.details)


def examine(world: World, request: Request, kind: Kind, seen: Seen) -> tuple[Asked, ApiError | None]:
    """What a request asks, and what it would come to; and why the API would refuse it."""
    acting = request.user.name if request.user != seen.sender else ""
    asked = Asked(
        user=seen.sender.name,
        verb=request.verb,
        resource=kind.storage or kind.resource,
        subresource=request.subresource,
        namespace=request.namespace,
        name=request.name,
        body=request.body,
        kind=kind.kind,
        acting_as=acting,
        command=seen.command,
        options=request.options,
        metadata_only=seen.metadata_only,
        store=world.cluster.store,
        now_ms=world.now,
    )
    if not asked.writes:
        return asked, None
    here = world.cluster.store.get(asked.resource, asked.namespace, asked.name) if asked.name else None
    asked = replace(asked, count=1, before=(here,) if here is not None else ())
    try:
        if request.subresource in _NO_PREVIEW:
            rules.authorize(world, replace(request, notes={}))
            return asked, None
        return _foreseen(world, request, asked), None
    except ApiError as refusal:
        return replace(asked, refusal=refusal.message), refusal


def remembers_values(secret: Obj) -> bool:
    """Whether the metadata of a Secret has its values: `kubectl apply` keeps there what it was given."""
    applied = str(dig(secret, "metadata", "annotations", _APPLIED, default=""))
    return '"data":' in applied or '"stringData":' in applied


def _foreseen(world: World, request: Request, asked: Asked) -> Asked:
    found = server.preview(world, request)
    dry = found.options.dry_run
    asked = replace(asked, dry_run=dry, options=found.options)
    if found.touched is not None:
        count = sum(_weight(world, asked.resource, obj) for obj in found.touched)
        return replace(asked, before=found.touched, count=count)
    after = found.after
    name = asked.name or (name_of(after) if after is not None else "")
    before = (found.before,) if found.before is not None else asked.before
    return replace(asked, name=name, before=before, after=after)


def _weight(world: World, resource: str, obj: Obj) -> int:
    """How many objects go with one that is deleted."""
    store = world.cluster.store
    if resource == "namespaces":
        inside = name_of(obj)
        return 1 + sum(store.count(each, inside) for each in store.resources())
    if resource == "customresourcedefinitions.apiextensions.k8s.io":
        return 1 + store.count(name_of(obj))
    return 1


def _essence(asked: Asked) -> tuple[object, ...]:
    """What a request changes, without what changes by itself."""
    if asked.after is None:
        targets = sorted((namespace_of(obj), name_of(obj)) for obj in asked.before)
        return (asked.count, targets)
    before = asked.before[0] if asked.before else {}
    return (asked.count, _changes(_lasting(before), _lasting(asked.after)))


def _lasting(obj: Obj) -> Obj:
    meta = {key: item for key, item in (obj.get("metadata") or {}).items() if key not in _PASSING}
    return {**obj, "metadata": meta}


def _changes(before: Any, after: Any) -> Any:
    """The parts of `after` that differ, with None for what is gone."""
    if isinstance(before, dict) and isinstance(after, dict):
        keys = sorted({*before, *after})
        return {
            key: _changes(before.get(key), after.get(key))
            for key in keys
            if before.get(key) != after.get(key)
        }
    return after


__all__ = ["Asked", "Decision", "Denied", "Guard", "Seen", "admit", "denied", "examine", "remembers_values"]
