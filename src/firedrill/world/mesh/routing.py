"""Where a gateway sends requests: listeners and HTTPRoutes of the Gateway API.

Source: the reference of `gateway.networking.k8s.io/v1`: the most specific match counts.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from firedrill.world.kube.objects import Obj, dig, name_of, namespace_of

_UNITS = {"h": 3_600_000.0, "m": 60_000.0, "s": 1000.0, "ms": 1.0}
_DURATION = re.compile(r"(\d{1,8})(h|ms|m|s)")
_MOST_PATTERN = 256


class Backend(NamedTuple):
    """One end of a rule: a port of a Service, and its weight among the others."""

    namespace: str
    service: str
    port: int
    weight: int


class Rule(NamedTuple):
    """The rule that a request comes to.

    Attributes:
        route: `namespace/name` of its HTTPRoute.
        number: of the rule in it.
        backends: with a weight above 0.
        timeout_ms: for the whole answer; 0 for none.
    """

    route: str
    number: int
    backends: tuple[Backend, ...]
    timeout_ms: int


def listener_ports(gateway: Obj) -> tuple[int, ...]:
    """The ports that a Gateway listens on, in the order of its listeners."""
    found = (item.get("port") for item in dig(gateway, "spec", "listeners", default=None) or ())
    return tuple(dict.fromkeys(int(port) for port in found if isinstance(port, int)))


def attached(gateway: Obj, route: Obj) -> Iterator[Obj]:
    """The listeners of a Gateway that take a route."""
    for reference in dig(route, "spec", "parentRefs", default=None) or ():
        space = reference.get("namespace") or namespace_of(route)
        kind = reference.get("kind") or "Gateway"
        if kind != "Gateway" or (space, reference.get("name")) != (namespace_of(gateway), name_of(gateway)):
            continue
        for listener in dig(gateway, "spec", "listeners", default=None) or ():
            if reference.get("sectionName") not in (None, "", listener.get("name")):
                continue
            if reference.get("port") not in (None, listener.get("port")):
                continue
            allowed = dig(listener, "allowedRoutes", "namespaces", "from", default="Same")
            if allowed == "All" or namespace_of(route) == namespace_of(gateway):
                yield listener


def find_rule(
    gateway: Obj, routes: Sequence[Obj], *, port: int, host: str, method: str, path: str
) -> Rule | None:
    """The rule that a request to a Gateway comes to; None where none takes it.

    Args:
        gateway, routes: as they are.
        port: of the listener; 0 for any.
        host, method, path: of the request.
    """
    best: tuple[tuple[int, ...], Obj, int] | None = None
    for route in sorted(routes, key=_age):
        if not any(port in (0, item.get("port")) and _named(item, host) for item in attached(gateway, route)):
            continue
        names = dig(route, "spec", "hostnames", default=None) or ()
        if names and not any(_host_fits(str(name), host) for name in names):
            continue
        for number, rule in enumerate(dig(route, "spec", "rules", default=None) or ()):
            rank = _rank(rule, method, path)
            if rank is not None and (best is None or rank > best[0]):
                best = (rank, route, number)
    return _rule(best[1], best[2]) if best is not None else None


def _age(route: Obj) -> tuple[str, str, str]:
    return str(dig(route, "metadata", "creationTimestamp", default="")), namespace_of(route), name_of(route)


def _named(listener: Mapping[str, Any], host: str) -> bool:
    return not listener.get("hostname") or _host_fits(str(listener["hostname"]), host)


def _host_fits(wanted: str, host: str) -> bool:
    if wanted.startswith("*."):
        return host.endswith(wanted[1:]) and host != wanted[2:]
    return wanted == host


def _rank(rule: Mapping[str, Any], method: str, path: str) -> tuple[int, ...] | None:
    """How well a rule fits; None where it does not."""
    matches: Sequence[Mapping[str, Any]] = rule.get("matches") or ({},)
    found = [_match_rank(item, method, path) for item in matches]
    return max((item for item in found if item is not None), default=None)


def _match_rank(match: Mapping[str, Any], method: str, path: str) -> tuple[int, ...] | None:
    if match.get("headers") or match.get("queryParams"):
        return None  # users send none that routes know
    if match.get("method") not in (None, method):
        return None
    told = match.get("path") or {}
    kind, value = told.get("type") or "PathPrefix", str(told.get("value") or "/")
    plain = path.partition("?")[0]
    if kind == "Exact":
        fits = plain == value
    elif kind == "PathPrefix":
        stem = value.rstrip("/")
        fits = plain == stem or plain.startswith(f"{stem}/")
    else:
        fits = _pattern(value, plain)
    exact = 2 if kind == "Exact" else 1
    return (exact, len(value), int(bool(match.get("method")))) if fits else None


def _pattern(value: str, path: str) -> bool:
    """RE2 knows no back-tracking: only what is sure to end quickly is tried here."""
    if len(value) > _MOST_PATTERN or re.search(r"[*+}]\)?[*+{]", value):
        return False
    try:
        return re.fullmatch(value, path) is not None
    except re.error:
        return False


def _rule(route: Obj, number: int) -> Rule:
    rule = route["spec"]["rules"][number]
    backends: list[Backend] = []
    for item in rule.get("backendRefs") or ():
        weight = item.get("weight")
        backends.append(
            Backend(
                str(item.get("namespace") or namespace_of(route)),
                str(item.get("name")),
                int(item.get("port") or 0),
                1 if weight is None else int(weight),
            )
        )
    limits = [milliseconds(dig(rule, "timeouts", name)) for name in ("request", "backendRequest")]
    known = [item for item in limits if item]
    kept = tuple(item for item in backends if item.weight > 0)
    return Rule(f"{namespace_of(route)}/{name_of(route)}", number, kept, min(known, default=0))


def milliseconds(text: object) -> int:
    """A duration such as `1h30m` or `500ms`; 0 where there is none. Shortest counted: 1 ms."""
    found = _DURATION.findall(str(text or ""))
    if not found or "".join(number + unit for number, unit in found) != text:
        return 0
    return int(sum(int(number) * _UNITS[unit] for number, unit in found))
