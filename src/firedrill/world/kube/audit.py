"""The audit of a cluster: one entry for each request, rendered as `audit.k8s.io/v1` when it is read.

Source: the Kubernetes auditing documentation; level `Request` for writes, `Metadata` for reads.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from firedrill.world.kube.api.request import Request
from firedrill.world.kube.objects import Obj
from firedrill.world.sim.clock import rfc3339_micro

if TYPE_CHECKING:
    from firedrill.world.world import World

Entry = tuple[Any, ...]
_LONGEST = 100 * 1024
_TRUNCATED = "audit.k8s.io/truncated"
_READS = {"get", "list", "watch"}
_DECISION, _REASON = "authorization.k8s.io/decision", "authorization.k8s.io/reason"
_ALLOWED = {_DECISION: "allow", _REASON: ""}


def note_authorization(notes: dict[str, str], allowed: bool, reason: str) -> None:
    """Add to a request's notes what the roles said of it."""
    if not allowed:
        notes[_DECISION] = "forbid"
    elif reason:
        notes[_REASON] = reason


def record(world: World, request: Request, code: int, reason: str, message: str) -> None:
    """Note a request and how it was answered."""
    body = None if request.verb in _READS or request.plural == "secrets" else request.body
    notes = tuple(request.notes.items())
    if body is not None and not request.trusted and _is_long(body):
        body, notes = None, (*notes, (_TRUNCATED, "true"))
    world.cluster.audit.append(
        (
            world.now,
            request.verb,
            request.group,
            request.version,
            request.plural,
            request.namespace,
            request.name,
            request.subresource,
            request.user.name,
            request.user.groups,
            request.user_agent,
            request.source_ip,
            code,
            reason,
            message,
            body,
            request.options.dry_run,
            notes,
        )
    )


def _is_long(body: object) -> bool:
    import orjson

    try:
        return len(orjson.dumps(body)) > _LONGEST
    except TypeError:
        return True  # not what JSON can say


def events(world: World, after: int = 0) -> Iterator[Obj]:
    """The audit events behind the first `after` ones, oldest first."""
    for number, entry in enumerate(world.cluster.audit.after(after), start=after):
        yield _event(world, number, entry)


def _event(world: World, number: int, entry: Entry) -> Obj:
    (
        now,
        verb,
        group,
        version,
        plural,
        namespace,
        name,
        sub,
        user,
        groups,
        agent,
        ip,
        code,
        reason,
        message,
    ) = entry[:15]
    body, dry_run, notes = entry[15:]
    reference: Obj = {"resource": plural, "apiVersion": version}
    for key, text in (("apiGroup", group), ("namespace", namespace), ("name", name), ("subresource", sub)):
        if text:
            reference[key] = text
    status: Obj = {"metadata": {}, "code": code}
    if code >= 400:
        status |= {"status": "Failure", "reason": reason, "message": message}
    moment = rfc3339_micro(now)
    return {
        "kind": "Event",
        "apiVersion": "audit.k8s.io/v1",
        "level": "Metadata" if body is None else "Request",
        "auditID": world.rng.uuid("audit", number),
        "stage": "ResponseComplete",
        "requestURI": _uri(group, version, plural, namespace, name, sub) + ("?dryRun=All" if dry_run else ""),
        "verb": verb,
        "user": {"username": user, "groups": [*groups, "system:authenticated"]},
        "sourceIPs": [ip],
        "userAgent": agent,
        "objectRef": reference,
        "responseStatus": status,
        **({"requestObject": body} if body is not None else {}),
        "requestReceivedTimestamp": moment,
        "stageTimestamp": moment,
        "annotations": dict(sorted({**_ALLOWED, **dict(notes)}.items())),
    }


def _uri(group: str, version: str, plural: str, namespace: str, name: str, sub: str) -> str:
    parts = [f"/apis/{group}/{version}" if group else f"/api/{version}"]
    if namespace:
        parts.append(f"namespaces/{namespace}")
    parts += [item for item in (plural, name, sub) if item]
    return "/".join(parts)
