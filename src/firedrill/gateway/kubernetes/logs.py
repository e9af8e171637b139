"""The log of a container: what is there, or also what comes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from firedrill.gateway.kubernetes import containers, node
from firedrill.gateway.kubernetes.query import Query
from firedrill.gateway.kubernetes.watching import gone, until_first
from firedrill.gateway.kubernetes.wire import Answer, Receive, Send, started
from firedrill.world.kube.api import ApiError, errors
from firedrill.world.kube.objects import Obj, dig, name_of, namespace_of, uid_of
from firedrill.world.sim.clock import epoch_ms

if TYPE_CHECKING:
    from firedrill.gateway.kubernetes.host import Host

_TEXT = b"text/plain"
TRUE = {"true", "1", "True", "t", "T", "TRUE"}


@dataclass(frozen=True, slots=True)
class _Asked:
    container: str
    follow: bool
    previous: bool
    timestamps: bool
    tail: int | None
    since_ms: int | None
    limit: int | None


async def serve(
    host: Host, pod: Obj, query: Query, receive: Receive, send: Send, audit_id: bytes
) -> Answer | None:
    """Answer a request for a log: whole, or by streaming it where it is to be followed.

    Raises:
        ApiError: there is no such container, or it has no log yet.
    """
    asked = _asked(host, pod, query)
    _refuse_waiting(pod, asked)
    if not asked.follow or asked.previous:
        lines = _read(host, pod, asked, asked.timestamps)
        text = "".join(f"{line}\n" for line in lines).encode("utf-8", "surrogatepass")
        return Answer(200, text if asked.limit is None else text[: asked.limit], _TEXT)
    host.waiting += 1
    try:
        with host.stream() as ended:
            await until_first(_follow(host, pod, asked, send, audit_id), gone(receive), ended.wait())
            if ended.is_set():
                await send({"type": "http.response.body", "body": b""})
    finally:
        host.waiting -= 1
    return None


def _asked(host: Host, pod: Obj, query: Query) -> _Asked:
    first = query.first
    problems = []
    numbers: dict[str, int | None] = {}
    for name, least in (("sinceSeconds", 1), ("tailLines", 0), ("limitBytes", 1)):
        text = first.get(name, "")
        if not text:
            numbers[name] = None
            continue
        if not text.removeprefix("-").isdecimal() or len(text) > 19:
            raise errors.bad_request(f'strconv.ParseInt: parsing "{text}": invalid syntax')
        numbers[name] = int(text)
        if int(text) < least:
            word = "greater than 0" if least else "greater than or equal to 0"
            problems.append(f"{name}: Invalid value: {text}: must be {word}")
    since_time = first.get("sinceTime", "")
    if since_time and numbers["sinceSeconds"] is not None:
        problems.append(
            "sinceSeconds: Forbidden: at most one of `sinceTime` or `sinceSeconds` may be specified"
        )
    if problems:
        raise errors.invalid("", "PodLogOptions", name_of(pod), problems)
    since_ms = None
    if since_time:
        try:
            since_ms = epoch_ms(since_time)
        except (ValueError, OverflowError):
            raise errors.bad_request(f'parsing time "{since_time}" as RFC 3339: cannot parse') from None
    elif numbers["sinceSeconds"] is not None:
        since_ms = host.world.now - numbers["sinceSeconds"] * 1000
    return _Asked(
        container=containers.choose(pod, first.get("container", ""), verb="log"),
        follow=first.get("follow", "") in TRUE,
        previous=first.get("previous", "") in TRUE,
        timestamps=first.get("timestamps", "") in TRUE,
        tail=numbers["tailLines"],
        since_ms=since_ms,
        limit=numbers["limitBytes"],
    )


def _refuse_waiting(pod: Obj, asked: _Asked) -> None:
    """Refuse, in the words of kubelet and API server, a log that is not there."""
    if not dig(pod, "spec", "nodeName"):
        raise errors.bad_request(f"pod {name_of(pod)} does not have a host assigned")
    status = containers.status_of(pod, asked.container)
    where = f'container "{asked.container}" in pod "{name_of(pod)}"'
    if asked.previous:
        if dig(status, "lastState", "terminated") is None:
            raise errors.bad_request(f"previous terminated {where} not found")
        return
    waiting = dig(status, "state", "waiting")
    if (waiting is not None or not status) and dig(status, "lastState", "terminated") is None:
        reason = dig(waiting, "reason") or ("PodInitializing" if not status else "ContainerCreating")
        told = {
            "ErrImagePull": "trying and failing to pull image",
            "ImagePullBackOff": "trying and failing to pull image",
            "InvalidImageName": "failed to pull image: InvalidImageName",
        }.get(str(reason))
        if told:
            raise errors.bad_request(f"{where} is waiting to start: {told}")
        raise errors.bad_request(f"{where} is waiting to start: {reason}")


def _read(host: Host, pod: Obj, asked: _Asked, timestamps: bool, since_ms: int | None = None) -> list[str]:
    return node.read_log(
        host.world,
        namespace_of(pod),
        name_of(pod),
        asked.container,
        previous=asked.previous,
        tail=asked.tail if since_ms is None else None,
        since_ms=asked.since_ms if since_ms is None else since_ms,
        limit_bytes=asked.limit,
        timestamps=timestamps,
    )


async def _follow(host: Host, pod: Obj, asked: _Asked, send: Send, audit_id: bytes) -> None:
    await send(started(200, _TEXT, audit_id))
    left = asked.limit if asked.limit is not None else 1 << 62
    last, at_last = "", 0
    since_ms: int | None = None
    over = False
    while left > 0:
        now = host.world.now
        try:
            lines = _read(host, pod, asked, True, since_ms)
        except ApiError:
            break  # the pod has gone
        fresh, last, at_last = _after(lines, last, at_last)
        shown = fresh if asked.timestamps else [line.partition(" ")[2] for line in fresh]
        chunk = "".join(f"{line}\n" for line in shown).encode("utf-8", "surrogatepass")[:left]
        left -= len(chunk)
        if chunk:
            host.stir()
        if chunk or since_ms is None:
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
        if over:
            break
        since_ms = max(now - 1000, 0) if not last else max(epoch_ms(last.partition(" ")[0]) - 1, 0)
        await host.pause()
        over = _ended(host, pod, asked.container)
    await send({"type": "http.response.body", "body": b""})


def _after(lines: list[str], last: str, at_last: int) -> tuple[list[str], str, int]:
    """The lines behind those already told; the last time that was told, and how many lines had it."""
    fresh = []
    skip = at_last
    for line in lines:
        stamp = line.partition(" ")[0]
        if stamp < last:
            continue
        if stamp == last and skip > 0:
            skip -= 1
            continue
        fresh.append(line)
    for line in fresh:
        stamp = line.partition(" ")[0]
        last, at_last = (last, at_last + 1) if stamp == last else (stamp, 1)
    return fresh, last, at_last


def _ended(host: Host, pod: Obj, container: str) -> bool:
    now = host.world.cluster.store.get("pods", namespace_of(pod), name_of(pod))
    return now is None or uid_of(now) != uid_of(pod) or not containers.running(now, container)
