"""Who may do what in a mesh: AuthorizationPolicies and PeerAuthentications as proxies apply them.

Source: the reference of Istio's `security.istio.io/v1`. Node proxies know connections only: to them a rule
that allows by method, path or host never matches, and one that denies by these matches without them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from ipaddress import ip_address, ip_network
from typing import Any, Literal, NamedTuple

from firedrill.world.kube.objects import Obj, dig, name_of, namespace_of

Mode = Literal["STRICT", "PERMISSIVE", "DISABLE"]
_REQUESTS_ONLY = ("hosts", "notHosts", "methods", "notMethods", "paths", "notPaths")
_FROM_REQUESTS = ("requestPrincipals", "notRequestPrincipals")
_MODES: tuple[Mode, ...] = ("STRICT", "PERMISSIVE", "DISABLE")


class Asked(NamedTuple):
    """A connection, or a request on it, as the proxy that decides about it sees it.

    Attributes:
        principal: the caller's identity, such as `cluster.local/ns/shop/sa/cart`; empty where it shows none.
        address: the caller's.
        port: that it came to.
        host, method, path: of an HTTP request; empty where the proxy sees only the connection.
    """

    principal: str
    address: str
    port: int
    host: str = ""
    method: str = ""
    path: str = ""

    @property
    def namespace(self) -> str:
        """The caller's, as its identity tells it."""
        parts = self.principal.split("/")
        return parts[2] if len(parts) > 2 and parts[1] == "ns" else ""


class Denial(NamedTuple):
    """Why somebody was turned away.

    Attributes:
        policy: `namespace/name` of the policy that denies; empty where policies allow, but none of them this.
        rule: index of its rule.
    """

    policy: str
    rule: int = 0


def decide(policies: Sequence[Obj], asked: Asked, *, requests: bool) -> Denial | None:
    """What the policies of one workload say; None where they let it pass.

    Args:
        policies: all that apply to it.
        asked: what is decided about.
        requests: the proxy sees requests, not only connections.
    """
    allowing = []
    for policy in policies:
        action = dig(policy, "spec", "action", default="ALLOW")
        if action == "ALLOW":
            allowing.append(policy)
        elif action == "DENY":
            found = _matching(policy, asked, requests=requests, denies=True)
            if found >= 0:
                return Denial(f"{namespace_of(policy)}/{name_of(policy)}", found)
    if not allowing or any(_matching(item, asked, requests=requests, denies=False) >= 0 for item in allowing):
        return None
    return Denial("")


def _matching(policy: Obj, asked: Asked, *, requests: bool, denies: bool) -> int:
    """Index of the first rule that matches, or -1."""
    for number, rule in enumerate(dig(policy, "spec", "rules", default=None) or ()):
        if _rule_matches(rule or {}, asked, requests=requests, denies=denies):
            return number
    return -1


def _rule_matches(rule: Mapping[str, Any], asked: Asked, *, requests: bool, denies: bool) -> bool:
    if not requests:
        if needs_requests(rule) and not denies:
            return False
        rule = _of_connections(rule)
    sources = rule.get("from") or ()
    if sources and not any(_from(item.get("source") or {}, asked) for item in sources):
        return False
    targets = rule.get("to") or ()
    if targets and not any(_to(item.get("operation") or {}, asked) for item in targets):
        return False
    return all(_when(item, asked) for item in rule.get("when") or ())


def needs_requests(rule: Mapping[str, Any]) -> bool:
    """Whether a rule is about what only requests have."""
    operations = [item.get("operation") or {} for item in rule.get("to") or ()]
    sources = [item.get("source") or {} for item in rule.get("from") or ()]
    return (
        any(item.get(key) for item in operations for key in _REQUESTS_ONLY)
        or any(item.get(key) for item in sources for key in _FROM_REQUESTS)
        or any(str(item.get("key")).startswith("request.") for item in rule.get("when") or ())
    )


def _of_connections(rule: Mapping[str, Any]) -> Mapping[str, Any]:
    """The rule without all that only requests have."""
    operations = [
        {key: value for key, value in (item.get("operation") or {}).items() if key not in _REQUESTS_ONLY}
        for item in rule.get("to") or ()
    ]
    conditions = [item for item in rule.get("when") or () if not str(item.get("key")).startswith("request.")]
    return {**rule, "to": [{"operation": item} for item in operations], "when": conditions}


def _from(source: Mapping[str, Any], asked: Asked) -> bool:
    known = {
        "principals": asked.principal,
        "namespaces": asked.namespace,
        "serviceAccounts": _account(asked.principal),
        "requestPrincipals": "",
    }
    for key, value in known.items():
        if not _fits(source, key, value):
            return False
    for key in ("ipBlocks", "remoteIpBlocks"):
        if source.get(key) and not _inside(asked.address, source[key]):
            return False
        negative = source.get(_negated(key))
        if negative and _inside(asked.address, negative):
            return False
    return True


def _account(principal: str) -> str:
    parts = principal.split("/")
    return f"{parts[2]}/{parts[4]}" if len(parts) == 5 else ""


def _to(operation: Mapping[str, Any], asked: Asked) -> bool:
    known = {
        "hosts": asked.host.lower(),
        "methods": asked.method,
        "paths": asked.path.partition("?")[0],
        "ports": str(asked.port),
    }
    return all(_fits(operation, key, value) for key, value in known.items())


def _when(condition: Mapping[str, Any], asked: Asked) -> bool:
    key = str(condition.get("key"))
    if key in ("source.ip", "remote.ip"):
        values, others = condition.get("values"), condition.get("notValues")
        return (not values or _inside(asked.address, values)) and not (
            others and _inside(asked.address, others)
        )
    known = {
        "source.principal": asked.principal,
        "source.namespace": asked.namespace,
        "destination.port": str(asked.port),
    }
    value = known.get(key, "")
    named = {"values": condition.get("values"), "notValues": condition.get("notValues")}
    return _fits(named, "values", value)


def _negated(key: str) -> str:
    return f"not{key[0].upper()}{key[1:]}"


def _fits(where: Mapping[str, Any], key: str, value: str) -> bool:
    wanted, unwanted = where.get(key), where.get(_negated(key))
    if wanted and not any(matches(str(item), value) for item in wanted):
        return False
    return not (unwanted and any(matches(str(item), value) for item in unwanted))


def matches(pattern: str, value: str) -> bool:
    """Whether a value has the form of a policy: exact, `prefix*`, `*suffix`, or `*` for any that is there."""
    if pattern == "*":
        return bool(value)
    if pattern.startswith("*"):
        return value.endswith(pattern[1:]) and bool(value)
    if pattern.endswith("*"):
        return value.startswith(pattern[:-1])
    return value == pattern


def _inside(address: str, blocks: Iterable[Any]) -> bool:
    for block in blocks:
        try:
            if ip_address(address) in ip_network(str(block), strict=False):
                return True
        except ValueError:
            continue  # a block that is none covers nobody
    return False


def mode_of(policies: Sequence[Obj], root: str, namespace: str, labels: Mapping[str, str], port: int) -> Mode:
    """What a workload asks of those who connect to it: the nearest PeerAuthentication counts.

    Args:
        policies: all PeerAuthentications.
        root: namespace of the mesh itself.
        namespace, labels: of the workload.
        port: of it.
    """
    levels: list[list[Obj]] = [[], [], []]
    for policy in policies:
        wanted = dig(policy, "spec", "selector", "matchLabels", default=None) or {}
        where = namespace_of(policy)
        if wanted and where == namespace and all(labels.get(key) == item for key, item in wanted.items()):
            levels[0].append(policy)
        elif not wanted and where == namespace:
            levels[1].append(policy)
        elif not wanted and where == root:
            levels[2].append(policy)
    for place, level in enumerate(levels):
        for policy in sorted(level, key=_age):
            ports = dig(policy, "spec", "portLevelMtls", default=None) or {}
            special = dig(ports, str(port), "mode") if place == 0 else None
            mode = special or dig(policy, "spec", "mtls", "mode")
            if mode in _MODES:
                return mode  # type: ignore[no-any-return]
    return "PERMISSIVE"


def _age(policy: Obj) -> tuple[str, str]:
    """The oldest one counts where there are several."""
    return str(dig(policy, "metadata", "creationTimestamp", default="")), name_of(policy)
