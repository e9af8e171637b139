"""What a probe finds: a function of the program's ports and health, in the words of the kubelet's probers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import orjson

from firedrill.world.kube import effects
from firedrill.world.kube.kubelet.state import Container, PodState
from firedrill.world.kube.objects import Obj

if TYPE_CHECKING:
    from firedrill.world.world import World

_GO_SETTINGS = r"\x00\x00\x06\x04\x00\x00\x00\x00\x00\x00\x05\x00\x00@\x00"
_CORE_SETTINGS = (
    r"\x00\x00\x1e\x04\x00\x00\x00\x00\x00\x00\x03\x7f\xff\xff\xff\x00\x04\x00@\x00\x00\x00\x05\x00@\x00"
    r"\x00\x00\x06\x00\x00@\x00\xfe\x03\x00\x00\x00\x01\x00\x00\x04\b\x00\x00\x00\x00\x00\x00?\x00\x01"
)
# the first line of what a server says to an HTTP request, or before any: MySQL's greeting ends with its 0x0a
_NO_HTTP = {"redis": "-ERR wrong number of arguments for 'get' command", "mysql": r"J\x00\x00\x00"}
_TOO_LATE = "context deadline exceeded"
_DAY = 86_400_000
_CORE = {"python", "pyserver", "node", "cpp", "ruby", "php"}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a probe found.

    Attributes:
        good: it succeeded.
        message: why it did not.
        error: it could not be carried out at all.
    """

    good: bool
    message: str = ""
    error: bool = False


GOOD = Outcome(True)


def check(world: World, pod: Obj, state: PodState, found: Container, probe: Mapping[str, Any]) -> Outcome:
    """Carry out a probe now."""
    timeout = max(int(probe.get("timeoutSeconds") or 1), 1)
    if "exec" in probe:
        return _exec(world, pod, state, found, probe["exec"], timeout)
    for key, look in (("httpGet", _http), ("tcpSocket", _tcp), ("grpc", _grpc)):
        if key in probe:
            handler = probe[key]
            port = port_number(pod, found.name, handler.get("port"))
            if port == 0:
                text = str(handler.get("port"))
                return Outcome(False, f'strconv.Atoi: parsing "{text}": invalid syntax', error=True)
            host = str(handler.get("host") or state.ip)
            return look(world, state, found, handler, host, port, timeout)
    return Outcome(False, "missing probe handler", error=True)


def port_number(pod: Obj, container: str, port: Any) -> int:
    """The number of a port that is given by number or name; 0 where the container has no such name."""
    text = str(port)
    if text.isdecimal():
        return int(text)
    for key in ("containers", "initContainers"):
        for item in pod["spec"].get(key) or ():
            if item.get("name") == container:
                for named in item.get("ports") or ():
                    if named.get("name") == text:
                        return int(named["containerPort"])
    return 0


def listening(
    world: World, state: PodState, port: int
) -> tuple[str, tuple[str, ...], bool, Container] | None:
    """(protocol, HTTP paths, gRPC health, container) behind a TCP port of a pod; None where it is closed."""
    for found in state.containers.values():
        run = found.run
        if run is None or not run.running or found.health.closed:
            continue
        if world.now < run.started + run.plan.ready_after:
            continue
        for number, protocol, paths, health in run.plan.listens:
            if number == port and protocol != "udp":
                return protocol, paths, health, found
    return None


def _slow(world: World, found: Container, timeout: int, delay: int) -> bool:
    """Whether an answer takes longer than a probe waits, each packet of the pod being late by `delay` ms."""
    return found.health.frozen or latency(world, found) + 2 * delay >= timeout * 1000


def latency(world: World, found: Container) -> int:
    """Milliseconds that a container's program takes to answer now, the network not counted."""
    run = found.run
    left = run.started + run.plan.ready_after + run.plan.warm - world.now if run is not None else 0
    return found.health.latency + found.load.latency + max(left, 0)


def lateness(world: World, state: PodState, port: int) -> int:
    """Milliseconds by which what the pod sends arrives late; a day where it gets lost again and again."""
    on = (f"pod/{state.uid}",)
    loss = effects.total(world, on, "loss")
    if loss and any(
        world.rng.integer(0, 999, "probe.loss", state.uid, port, world.now, packet) < loss
        for packet in range(2)
    ):
        return _DAY
    return effects.total(world, on, "delay_ms")


def _http(
    world: World,
    state: PodState,
    _: Container,
    handler: Mapping[str, Any],
    host: str,
    port: int,
    timeout: int,
) -> Outcome:
    scheme = str(handler.get("scheme") or "HTTP").lower()
    path = str(handler.get("path") or "/")
    path = path if path.startswith("/") else "/" + path
    get = f'Get "{scheme}://{host}:{port}{path}": '
    there = listening(world, state, port)
    delay = lateness(world, state, port)
    if there is None and delay < timeout * 1000:
        return Outcome(False, f"{get}dial tcp {host}:{port}: connect: connection refused")
    if there is None or _slow(world, there[3], timeout, delay):
        return Outcome(
            False, f"{get}context deadline exceeded (Client.Timeout exceeded while awaiting headers)"
        )
    protocol, paths, _health, found = there
    style = found.run.plan.style if found.run is not None else ""
    if protocol == "grpc":
        if scheme == "https":
            return Outcome(False, f"{get}tls: first record does not look like a TLS handshake")
        if style == "dotnet":  # Kestrel waits for the first bytes and answers in the language of the caller
            return Outcome(False, "HTTP probe failed with statuscode: 400")
        return _broken(get, _CORE_SETTINGS if style in _CORE else _GO_SETTINGS)
    if scheme == "https" and protocol == "http":
        return Outcome(False, f"{get}http: server gave HTTP response to HTTPS client")
    if protocol == "tcp":
        if scheme == "https":
            return Outcome(False, f"{get}EOF")
        return _broken(get, _NO_HTTP[style]) if style in _NO_HTTP else Outcome(False, f"{get}EOF")
    passed = _delegated(world, state, found, path, host, get)
    if passed is not None:
        return passed
    status, late = _before(world, state, port, path)
    if status < 0:
        return Outcome(False, f"{get}EOF")
    if late and late + 2 * delay + latency(world, found) >= timeout * 1000:
        return Outcome(
            False, f"{get}context deadline exceeded (Client.Timeout exceeded while awaiting headers)"
        )
    status = status or found.health.status
    if not status:
        bare = path.partition("?")[0]
        status = 200 if not paths or bare in paths else 404
        if protocol == "https" and scheme == "http":
            status = 400
    if 200 <= status < 400:
        return GOOD
    return Outcome(False, f"HTTP probe failed with statuscode: {status}")


def _before(world: World, state: PodState, port: int, path: str) -> tuple[int, int]:
    """What a proxy before a pod makes of a GET: a status (0: the program's, -1: none at all), and ms."""
    status, late = 0, 0
    for row in effects.rows_on(world, (f"pod/{state.uid}",), "http_abort", "http_delay_ms", "http_code"):
        if effects.touches(row, port, "GET", path):
            late += row.value if row.parameter == "http_delay_ms" else 0
            status = -1 if row.parameter == "http_abort" else status
            status = row.value if row.parameter == "http_code" and status == 0 else status
    return status, late


def _broken(get: str, reply: str) -> Outcome:
    text = f'{get}net/http: HTTP/1.x transport connection broken: malformed HTTP response "{reply}"'
    return Outcome(False, text)


def _delegated(
    world: World, state: PodState, found: Container, path: str, host: str, get: str
) -> Outcome | None:
    """What a mesh's agent answers on a path behind which it carries out the probe of another container."""
    text = found.run.plan.delegated if found.run is not None else ""
    if not text or not path.startswith("/app-health/"):
        return None
    inner = _prober(text, path)
    if inner is None:
        return Outcome(False, "HTTP probe failed with statuscode: 404")
    timeout = max(int(inner.get("timeoutSeconds") or 1), 1)
    for key, look in (("httpGet", _http), ("grpc", _grpc)):
        handler = inner.get(key)
        if isinstance(handler, Mapping) and str(handler.get("port")).isdecimal():
            outcome = look(world, state, found, handler, host, int(handler["port"]), timeout)
            if not outcome.good and (key == "grpc" or _TOO_LATE in outcome.message):
                return Outcome(False, f"{get}{_TOO_LATE} (Client.Timeout exceeded while awaiting headers)")
            return GOOD if outcome.good else Outcome(False, "HTTP probe failed with statuscode: 500")
    return GOOD


@lru_cache(maxsize=256)
def _prober(text: str, path: str) -> Mapping[str, Any] | None:
    try:
        found = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    inner = found.get(path) if isinstance(found, dict) else None
    return inner if isinstance(inner, dict) else None


def _tcp(
    world: World, state: PodState, _: Container, __: Mapping[str, Any], host: str, port: int, timeout: int
) -> Outcome:
    there = listening(world, state, port)
    late = lateness(world, state, port) >= timeout * 1000
    if there is None and not late:
        return Outcome(False, f"dial tcp {host}:{port}: connect: connection refused")
    if late or there is None:
        return Outcome(False, f"dial tcp {host}:{port}: i/o timeout")
    if there[3].health.frozen and there[3].health.latency >= timeout * 1000:
        return Outcome(False, f"dial tcp {host}:{port}: i/o timeout")
    return GOOD


def _grpc(
    world: World,
    state: PodState,
    _: Container,
    handler: Mapping[str, Any],
    host: str,
    port: int,
    timeout: int,
) -> Outcome:
    there = listening(world, state, port)
    delay = lateness(world, state, port)
    if there is None or there[0] != "grpc" or there[3].health.frozen or 2 * delay >= timeout * 1000:
        return Outcome(
            False,
            f'timeout: failed to connect service "{host}:{port}" within {timeout}s: '
            "context deadline exceeded",
        )
    _protocol, _paths, health, found = there
    if _slow(world, found, timeout, 2 * delay):
        return Outcome(False, f"timeout: health rpc did not complete within {timeout}s")
    if not health:
        return Outcome(
            False,
            "error: this server does not implement the grpc health protocol (grpc.health.v1.Health): "
            "unknown service grpc.health.v1.Health",
        )
    if found.health.status >= 400:
        return Outcome(False, 'service unhealthy (responded with "NOT_SERVING")')
    return GOOD


def _exec(
    world: World, pod: Obj, state: PodState, found: Container, handler: Mapping[str, Any], timeout: int
) -> Outcome:
    from firedrill.world.kube.kubelet.execution import run_in

    command = [str(word) for word in handler.get("command") or ()]
    if found.health.frozen or found.health.latency >= timeout * 1000:
        return Outcome(False, f'command "{" ".join(command)}" timed out')
    done = run_in(world, pod, state, found, command)
    if done.failed:
        identity = found.run.id if found.run is not None else ""
        return Outcome(
            False,
            "rpc error: code = Unknown desc = failed to exec in container: "
            f'failed to start exec "{identity}": '
            f"{done.stderr}",
            error=True,
        )
    if done.code == 0:
        return GOOD
    return Outcome(False, (done.stdout + done.stderr).strip("\n"))
