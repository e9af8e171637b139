"""Functions of Rego that the engine lacks, in Python: arrays, networks, digests.

Each takes plain values (sets arrive as ``set``) and raises ValueError or TypeError on bad ones. What they
need is imported where it is used: few policies call them, and the process has to start fast.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import ipaddress

    Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("a string is expected")
    return value


def flatten(items: Any) -> list[Any]:
    """One level of nested arrays less."""
    if not isinstance(items, list):
        raise TypeError("array.flatten expects an array")
    flat: list[Any] = []
    for item in items:
        flat.extend(item if isinstance(item, list) else [item])
    return flat


def _network(text: Any) -> Network:
    import ipaddress

    return ipaddress.ip_network(_text(text), strict=False)


def _within(inner: Network, outer: Network) -> bool:
    if inner.version != outer.version:
        return False
    return int(outer.network_address) <= int(inner.network_address) and int(inner.broadcast_address) <= int(
        outer.broadcast_address
    )


def overlaps(left: Any, right: Any) -> bool:
    """Whether two networks share an address."""
    one, other = _network(left), _network(right)
    return _within(one, other) or _within(other, one)


def _classful(text: Any) -> Network:
    """A network; a bare IPv4 address means the network of its old class."""
    import ipaddress

    if "/" not in _text(text):
        address = ipaddress.IPv4Address(text)
        first = int(address) >> 24
        length = 8 if first < 128 else 16 if first < 192 else 24 if first < 224 else 32
        return _network(f"{address}/{length}")
    return _network(text)


def merge(networks: Any) -> set[str]:
    """The smallest set of networks that covers the same addresses."""
    if not isinstance(networks, list | set | frozenset | tuple):
        raise TypeError("net.cidr_merge expects an array or set")
    import ipaddress

    every = [_classful(item) for item in networks]
    merged: list[Network] = [
        *ipaddress.collapse_addresses(item for item in every if isinstance(item, ipaddress.IPv4Network)),
        *ipaddress.collapse_addresses(item for item in every if isinstance(item, ipaddress.IPv6Network)),
    ]
    return {str(item) for item in merged}


def _labelled(value: Any) -> Iterable[tuple[Any, Network]]:
    """(what names an entry in the answer, the entry's network)."""
    if isinstance(value, str):
        yield value, _network(value)
    elif isinstance(value, dict):
        for key, item in value.items():
            yield key, _network(item[0] if isinstance(item, list | tuple) else item)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield index, _network(item[0] if isinstance(item, list | tuple) else item)
    elif isinstance(value, set | frozenset):
        for item in sorted(value, key=str):
            yield item, _network(item[0] if isinstance(item, list | tuple) else item)
    else:
        raise TypeError("a string, array, set or object of networks is expected")


def contains_matches(networks: Any, others: Any) -> set[tuple[Any, Any]]:
    """Every pair of keys or entries where the second lies within the first."""
    right = list(_labelled(others))
    return {
        (name, other)
        for name, outer in _labelled(networks)
        for other, inner in right
        if _within(inner, outer)
    }


def _digest(kind: str) -> Callable[[Any], str]:
    def digest(value: Any) -> str:
        import hashlib

        return hashlib.new(kind, _text(value).encode(), usedforsecurity=False).hexdigest()

    return digest


def _keyed(kind: str) -> Callable[[Any, Any], str]:
    def digest(value: Any, key: Any) -> str:
        import hmac

        return hmac.new(_text(key).encode(), _text(value).encode(), kind).hexdigest()

    return digest


def _same(one: Any, other: Any) -> bool:
    import hmac

    return hmac.compare_digest(_text(one), _text(other))


EXTRA: dict[str, tuple[int, Callable[..., Any]]] = {
    "array.flatten": (1, flatten),
    "net.cidr_merge": (1, merge),
    "net.cidr_intersects": (2, overlaps),
    "net.cidr_overlap": (2, overlaps),
    "net.cidr_contains_matches": (2, contains_matches),
    "crypto.md5": (1, _digest("md5")),
    "crypto.sha1": (1, _digest("sha1")),
    "crypto.sha256": (1, _digest("sha256")),
    "crypto.hmac.md5": (2, _keyed("md5")),
    "crypto.hmac.sha1": (2, _keyed("sha1")),
    "crypto.hmac.sha256": (2, _keyed("sha256")),
    "crypto.hmac.sha512": (2, _keyed("sha512")),
    "crypto.hmac.equal": (2, _same),
}
