"""Events: what components tell about objects, counted and bounded as the client library does it.

Source: client-go's `EventCorrelator`: equal events are counted up; from the tenth similar one within ten
minutes on they are combined; a source may send 25 at once about one object, then one every five minutes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self

from firedrill.world.kube.api.request import Options, Request, User, node_user
from firedrill.world.kube.objects import Obj, name_of, namespace_of
from firedrill.world.sim.clock import epoch_ms
from firedrill.world.sim.handlers import handler

if TYPE_CHECKING:
    from firedrill.world.world import World

_SIMILAR_MAX = 10
_SIMILAR_WINDOW = 600_000
_BURST = 25.0
_REFILL = 1 / 300_000
_COMPONENTS = User("system:kube-controller-manager", ("system:masters",))


class Correlator:
    """What the event recorders remember."""

    __slots__ = ("buckets", "named", "seen", "similar")

    def __init__(self) -> None:
        self.named = 0
        self.seen: dict[tuple[str, ...], str] = {}
        self.similar: dict[tuple[str, ...], tuple[int, tuple[str, ...]]] = {}
        self.buckets: dict[tuple[str, ...], tuple[float, int]] = {}

    def fork(self) -> Self:
        """An independent copy."""
        twin = type(self)()
        twin.named = self.named
        twin.seen = self.seen.copy()
        twin.similar = self.similar.copy()
        twin.buckets = self.buckets.copy()
        return twin

    def state(self) -> object:
        """All of it as plain data."""
        return [
            self.named,
            sorted([*key, name] for key, name in self.seen.items()),
            sorted([*key, when, *texts] for key, (when, texts) in self.similar.items()),
            sorted([*key, tokens, when] for key, (tokens, when) in self.buckets.items()),
        ]


def reference(obj: Mapping[str, Any], field_path: str = "") -> Obj:
    """The `involvedObject` of an event about the object."""
    out: Obj = {"kind": obj["kind"], "apiVersion": obj["apiVersion"], "name": name_of(obj)}
    if namespace_of(obj):
        out["namespace"] = namespace_of(obj)
    for key in ("uid", "resourceVersion"):
        if obj["metadata"].get(key):
            out[key] = obj["metadata"][key]
    if field_path:
        out["fieldPath"] = field_path
    return out


def record(
    world: World,
    about: Mapping[str, Any],
    type_: str,
    reason: str,
    message: str,
    *,
    component: str,
    host: str = "",
    field_path: str = "",
) -> None:
    """Tell something about an object.

    Args:
        world: where it happens.
        about: the object, or an `involvedObject` reference made by `reference`.
        type_: `Normal` or `Warning`.
        reason: as in `FailedScheduling`.
        message: what a person reads.
        component: who tells it, as in `kubelet`.
        host: the node where that runs, where it matters.
        field_path: as in `spec.containers{server}`.
    """
    correlator = world.cluster.part(Correlator)
    involved = reference(about, field_path) if "metadata" in about else dict(about)
    involved.setdefault("fieldPath", field_path) if field_path else None
    base = (
        component,
        host,
        involved["kind"],
        involved.get("namespace", ""),
        involved["name"],
        involved.get("uid", ""),
    )
    if not _may_send(correlator, base, world.now):
        return
    group = (*base, involved.get("fieldPath", ""), type_, reason)
    message, key = _combine(correlator, group, message, world.now)
    known = correlator.seen.get(key)
    namespace = involved.get("namespace", "default")
    store = world.cluster.store
    old = store.get("events", namespace, known) if known is not None else None
    if old is not None:
        new = {
            **old,
            "count": int(old.get("count") or 1) + 1,
            "lastTimestamp": world.time,
            "message": message,
            "involvedObject": old["involvedObject"],
        }
        _write(world, "update", namespace, new)
        return
    source = {"component": component, **({"host": host} if host else {})}
    name = f"{involved['name']}.{_moment(world, correlator, group, message):x}"
    obj: Obj = {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": name, "namespace": namespace},
        "involvedObject": involved,
        "reason": reason,
        "message": message,
        "source": source,
        "firstTimestamp": world.time,
        "lastTimestamp": world.time,
        "count": 1,
        "type": type_,
        "eventTime": None,
        "reportingComponent": component,
        "reportingInstance": host,
    }
    if _write(world, "create", namespace, obj):
        correlator.seen[key] = name


def _moment(world: World, correlator: Correlator, *about: object) -> int:
    """The nanosecond that an event is named after: of two events the later one has the later name.

    Lists are sorted by name, and kubectl shows events of the same second in the order in which it gets them.
    """
    passed = world.rng.integer(11_000, 83_000, "event", *about, world.now, correlator.named)
    correlator.named = max(world.now * 1_000_000, correlator.named) + passed
    return correlator.named


def _may_send(correlator: Correlator, key: tuple[str, ...], now: int) -> bool:
    tokens, when = correlator.buckets.get(key, (_BURST, now))
    tokens = min(_BURST, tokens + (now - when) * _REFILL)
    if tokens < 1:
        return False
    correlator.buckets[key] = (tokens - 1, now)
    return True


def _combine(
    correlator: Correlator, group: tuple[str, ...], message: str, now: int
) -> tuple[str, tuple[str, ...]]:
    when, texts = correlator.similar.get(group, (now, ()))
    if now - when > _SIMILAR_WINDOW:
        texts = ()
    if message not in texts:
        texts = (*texts, message)
    if len(texts) < _SIMILAR_MAX:
        correlator.similar[group] = (now, texts)
        return message, (*group, message)
    correlator.similar[group] = (now, texts[-_SIMILAR_MAX:])
    return f"(combined from similar events): {message}", group


def _write(world: World, verb: str, namespace: str, obj: Obj) -> bool:
    from firedrill.world.kube.api.errors import ApiError
    from firedrill.world.kube.api.server import handle

    host = obj["source"].get("host")
    user = node_user(host) if host and obj["source"]["component"] == "kubelet" else _COMPONENTS
    name = obj["metadata"]["name"] if verb == "update" else ""
    try:
        handle(
            world,
            Request(
                verb=verb,  # type: ignore[arg-type]
                group="",
                version="v1",
                plural="events",
                namespace=namespace,
                name=name,
                body=obj,
                user=user,
                options=Options(field_manager=obj["source"]["component"]),
                trusted=True,
            ),
        )
    except ApiError:
        return False  # events are best effort: a namespace that is going away takes no more of them
    return True


def keep_for_a_while(world: World, obj: Obj) -> None:
    """Let a new event go again after its time, whoever made it. Called by the API server."""
    meta = obj["metadata"]
    world.schedule(world.cluster.settings.event_ttl, "events.expire", meta["namespace"], meta["name"])


@handler("events.expire")
def _expire(world: World, namespace: str, name: str) -> None:
    store = world.cluster.store
    found = store.get("events", namespace, name)
    if found is None:
        return
    said = [found.get("lastTimestamp"), found["metadata"].get("creationTimestamp")]
    times = [when for when in (epoch_ms(str(text)) for text in said if text) if when <= world.now]
    due = max(times, default=0) + world.cluster.settings.event_ttl
    if due > world.now:
        world.schedule(due - world.now, "events.expire", namespace, name)
        return
    store.remove("events", namespace, name)
