"""CEL functions of the Kubernetes libraries: quantities, URLs, addresses, versions, lists, authoriser."""

from __future__ import annotations

import ipaddress
import math
import re
from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any
from urllib.parse import parse_qs, urlsplit

from firedrill.world.kube.cel.strings import FUNCTIONS as STRINGS
from firedrill.world.kube.cel.values import CelError, items, kind_of, tagged, text, untagged, whole
from firedrill.world.kube.quantity import parse

# --- optionals and maps, as the desugarer uses them


def _of_non_zero(value: Any) -> list[Any]:
    return [] if value in (None, "", 0, False, b"") or value in ([], {}) else [value]


def _value(optional: Any) -> Any:
    if not items(optional):
        raise CelError("optional.none() dereference")
    return optional[0]


def _no_overload(*_: Any) -> Any:
    raise CelError("no such overload")


def _pairs(of: Any) -> list[list[Any]]:
    if isinstance(of, dict):
        return [[key, of[key]] for key in of]
    return [[at, item] for at, item in enumerate(items(of))]


def _map_of(pairs: Any) -> dict[Any, Any]:
    return {key: value[0] for key, value in pairs if value}


# --- quantities


def _fraction(value: Any) -> Fraction:
    return Fraction(untagged("quantity", value))


def quantity(value: Any) -> dict[str, Any]:
    """`quantity("1Gi")`."""
    try:
        return tagged("quantity", str(parse(text(value))))
    except ValueError as problem:
        raise CelError(str(problem)) from None


def _is(make: Callable[[Any], Any]) -> Callable[[Any], bool]:
    def check(value: Any) -> bool:
        text(value)
        try:
            make(value)
        except CelError:
            return False
        return True

    return check


def _compare(one: Any, other: Any) -> int:
    if kind_of(one) == "semver":
        left, right = _rank(untagged("semver", one)), _rank(untagged("semver", other))
        return (left > right) - (left < right)
    first, second = _fraction(one), _fraction(other)
    return (first > second) - (first < second)


def _add(one: Any, other: Any, sign: int = 1) -> dict[str, Any]:
    more = Fraction(whole(other)) if isinstance(other, int) else _fraction(other)
    return tagged("quantity", str(_fraction(one) + sign * more))


def _as_integer(value: Any) -> int:
    number = _fraction(value)
    if number.denominator != 1 or abs(number) >= 2**63:
        raise CelError("cannot convert value to integer")
    return int(number)


def _sign(value: Any) -> int:
    number = _fraction(value)
    return (number > 0) - (number < 0)


# --- URLs


def url(value: Any) -> dict[str, Any]:
    """`url("https://example.com/")`: an absolute URL or a path."""
    line = text(value)
    try:
        split = urlsplit(line)
        fine = bool(split.scheme or line.startswith("/")) and not re.search(r"[\s\x00-\x1f]", line)
        _ = split.port
    except ValueError:
        fine = False
    if not fine:
        raise CelError(
            f'URL parse error during conversion from string: parse "{line}": invalid URI for request'
        )
    return tagged("url", line)


def _host(value: Any) -> str:
    return str(urlsplit(untagged("url", value)).netloc.rpartition("@")[2])


def _query(value: Any) -> dict[str, list[str]]:
    return parse_qs(urlsplit(untagged("url", value)).query, keep_blank_values=True)


# --- addresses


def ip(value: Any) -> dict[str, Any]:
    """`ip("10.0.0.1")`, also of a CIDR."""
    if kind_of(value) == "cidr":
        return tagged("ip", untagged("cidr", value).split("/")[0])
    try:
        if "%" in text(value):
            raise ValueError
        return tagged("ip", str(ipaddress.ip_address(text(value))))
    except ValueError:
        raise CelError(f'IP Address "{value}" parse error during conversion from string') from None


def cidr(value: Any) -> dict[str, Any]:
    """`cidr("10.0.0.0/8")`."""
    try:
        if "/" not in text(value) or "%" in value:
            raise ValueError
        return tagged("cidr", str(ipaddress.ip_interface(text(value))))
    except ValueError:
        raise CelError("network address parse error during conversion from string") from None


def _address(value: Any) -> Any:
    return ipaddress.ip_address(untagged("ip", value))


def _network(value: Any) -> Any:
    return ipaddress.ip_interface(untagged("cidr", value)).network


def _contains(net: Any, other: Any, make: Callable[[Any], Any]) -> bool:
    network = _network(net)
    inner = make(other) if isinstance(other, str) else other
    if kind_of(inner) == "ip":
        address = _address(inner)
        return address.version == network.version and address in network
    found = _network(inner)
    return found.version == network.version and bool(found.subnet_of(network))


def _global_unicast(value: Any) -> bool:
    a = _address(value)
    broadcast = a == ipaddress.ip_address("255.255.255.255") if a.version == 4 else False
    return not (a.is_unspecified or a.is_loopback or a.is_multicast or a.is_link_local or broadcast)


# --- semantic versions

_SEMVER = re.compile(r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(?:-([0-9A-Za-z.-]+))?(?:\+[0-9A-Za-z.-]+)?")


def semver(value: Any, normalise: Any = False) -> dict[str, Any]:
    """`semver("1.2.3")`."""
    line = text(value)
    if normalise:
        line = line.removeprefix("v")
        head, dash, tail = line.partition("-")
        parts = [part.lstrip("0") or "0" for part in head.split(".")]
        line = ".".join(parts + ["0"] * (3 - len(parts))) + dash + tail
    if len(line) > 256 or not _SEMVER.fullmatch(line):
        raise CelError("No Major.Minor.Patch elements found")
    return tagged("semver", line)


def _rank(version: str) -> tuple[Any, ...]:
    match = _SEMVER.fullmatch(version)
    assert match is not None
    pre = match[4]
    parts = [(0, int(p), "") if p.isdigit() else (1, 0, p) for p in pre.split(".")] if pre else []
    return int(match[1]), int(match[2]), int(match[3]), 0 if pre else 1, parts


# --- lists and sets


def _flatten(value: Any, depth: Any = 1) -> list[Any]:
    out: list[Any] = []
    for item in items(value):
        out.extend(_flatten(item, depth - 1) if isinstance(item, list) and whole(depth) > 0 else [item])
    return out


def _distinct(value: Any) -> list[Any]:
    out: list[Any] = []
    for item in items(value):
        if not any(item == other and type(item) is type(other) for other in out):
            out.append(item)
    return out


def _ordered(value: Any, choose: Callable[[list[Any]], Any]) -> Any:
    found = items(value)
    if not found:
        raise CelError("min/max called on empty list")
    try:
        return choose(found)
    except TypeError:
        raise CelError("no such overload") from None


def _sum(value: Any) -> Any:
    found = items(value)
    if any(isinstance(item, bool) or not isinstance(item, int | float) for item in found):
        raise CelError("no such overload")
    return sum(found)


def _sorted(value: Any) -> list[Any]:
    try:
        return sorted(items(value))
    except TypeError:
        raise CelError("no such overload") from None


def _slice(value: Any, start: Any, end: Any) -> list[Any]:
    found = items(value)
    if not 0 <= whole(start) <= whole(end) <= len(found):
        raise CelError(f"cannot slice({start}, {end}), list is of length {len(found)}")
    return found[start:end]


def _range(count: Any) -> list[int]:
    if whole(count) > 10_000:
        raise CelError("list is too long")
    return list(range(whole(count)))


def _reverse(value: Any) -> Any:
    return value[::-1] if isinstance(value, str) else items(value)[::-1]


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise CelError("no such overload")
    return value


def _extreme(choose: Callable[..., Any]) -> Callable[..., Any]:
    def found(*args: Any) -> Any:
        return choose(map(_number, items(args[0]) if len(args) == 1 and isinstance(args[0], list) else args))

    return found


FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    **STRINGS,
    "of_non_zero": _of_non_zero,
    "value": _value,
    "no_overload": _no_overload,
    "pairs": _pairs,
    "from_pairs": lambda pairs: {key: value for key, value in pairs},  # noqa: C416 - pairs are lists
    "map_of": _map_of,
    "quantity": quantity,
    "isQuantity": _is(quantity),
    "isGreaterThan": lambda one, other: _compare(one, other) > 0,
    "isLessThan": lambda one, other: _compare(one, other) < 0,
    "compareTo": _compare,
    "asInteger": _as_integer,
    "isInteger": lambda value: _fraction(value).denominator == 1 and abs(_fraction(value)) < 2**63,
    "asApproximateFloat": lambda value: float(_fraction(value)),
    "sign": _sign,
    "add": _add,
    "sub": lambda one, other: _add(one, other, -1),
    "url": url,
    "isURL": _is(url),
    "getScheme": lambda value: urlsplit(untagged("url", value)).scheme,
    "getHost": _host,
    "getHostname": lambda value: re.sub(r":\d*$", "", _host(value)).strip("[]"),
    "getPort": lambda value: str(urlsplit(untagged("url", value)).port or ""),
    "getEscapedPath": lambda value: urlsplit(untagged("url", value)).path,
    "getQuery": _query,
    "ip": ip,
    "isIP": _is(ip),
    "ip_isCanonical": lambda value: untagged("ip", ip(value)) == value,
    "family": lambda value: _address(value).version,
    "isUnspecified": lambda value: _address(value).is_unspecified,
    "isLoopback": lambda value: _address(value).is_loopback,
    "isLinkLocalMulticast": lambda value: (
        _address(value).is_multicast and str(_address(value)).startswith(("224.0.0.", "ff02:"))
    ),
    "isLinkLocalUnicast": lambda value: _address(value).is_link_local,
    "isGlobalUnicast": _global_unicast,
    "cidr": cidr,
    "isCIDR": _is(cidr),
    "containsIP": lambda net, other: _contains(net, other, ip),
    "containsCIDR": lambda net, other: _contains(net, other, cidr),
    "prefixLength": lambda value: _network(value).prefixlen,
    "masked": lambda value: tagged("cidr", str(_network(value))),
    "semver": semver,
    "isSemver": _is(semver),
    "major": lambda value: _rank(untagged("semver", value))[0],
    "minor": lambda value: _rank(untagged("semver", value))[1],
    "patch": lambda value: _rank(untagged("semver", value))[2],
    "isSorted": lambda value: _sorted(value) == items(value),
    "sum": _sum,
    "min": lambda value: _ordered(value, min),
    "max": lambda value: _ordered(value, max),
    "flatten": _flatten,
    "distinct": _distinct,
    "sort": _sorted,
    "slice": _slice,
    "reverse": _reverse,
    "first": lambda value: items(value)[:1],
    "last": lambda value: items(value)[-1:],
    "lists_range": _range,
    "sets_contains": lambda one, other: all(item in items(one) for item in items(other)),
    "sets_intersects": lambda one, other: any(item in items(one) for item in items(other)),
    "sets_equivalent": lambda one, other: (
        all(item in items(one) for item in items(other)) and all(item in items(other) for item in items(one))
    ),
    "math_greatest": _extreme(max),
    "math_least": _extreme(min),
    "math_abs": lambda value: abs(_number(value)),
    "math_ceil": lambda value: float(math.ceil(_number(value))),
    "math_floor": lambda value: float(math.floor(_number(value))),
}


# --- the authoriser


def _step(key: str) -> Callable[..., Any]:
    def step(value: Any, content: Any) -> dict[str, Any]:
        return tagged("authorizer", {**untagged("authorizer", value), key: text(content)})

    return step


def _account(value: Any, namespace: Any, name: Any) -> dict[str, Any]:
    account = f"{text(namespace)}/{text(name)}"
    return tagged("authorizer", {**untagged("authorizer", value), "account": account})


AUTHORIZER: Mapping[str, Callable[..., Any]] = {
    **{key: _step(key) for key in ("path", "group", "resource", "subresource", "namespace", "name")},
    "serviceAccount": _account,
    "allowed": lambda value: untagged("decision", value)["allowed"],
    "reason": lambda value: untagged("decision", value)["reason"],
    "errored": lambda value: bool(untagged("decision", value)["error"]),
    "error": lambda value: untagged("decision", value)["error"],
}
"""`check` is made for each evaluation, as it needs the roles and the user."""
