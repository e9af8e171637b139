"""Pieces that many rows share: labels, selectors, lists that end in `+ 2 more...`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from firedrill.world.kube.objects import Obj, dig

NONE = "<none>"
UNSET = "<unset>"
UNKNOWN = "<unknown>"
_OPERATORS = {"In": "in", "NotIn": "notin"}


def labels_text(labels: Mapping[str, str] | None) -> str:
    """`a=b,c=d` in order of keys, or `<none>`."""
    return ",".join(f"{key}={labels[key]}" for key in sorted(labels)) if labels else NONE


def selector_text(selector: Mapping[str, Any] | None) -> str:
    """A label selector as `kubectl -l` takes it, or `<none>`."""
    if not selector:
        return NONE
    parts = [(key, f"{key}={value}") for key, value in (selector.get("matchLabels") or {}).items()]
    for item in selector.get("matchExpressions") or ():
        key, operator = item.get("key", ""), item.get("operator")
        values = ",".join(sorted(item.get("values") or ()))
        if operator in _OPERATORS:
            parts.append((key, f"{key} {_OPERATORS[operator]} ({values})"))
        else:
            parts.append((key, f"!{key}" if operator == "DoesNotExist" else key))
    return ",".join(text for _, text in sorted(parts)) or NONE


def with_more(items: Sequence[str], limit: int = 3, empty: str = UNSET, separator: str = ",") -> str:
    """The first few, and how many more there are."""
    text = separator.join(items[:limit])
    return f"{text} + {len(items) - limit} more..." if len(items) > limit else text or empty


def containers(pod_spec: Mapping[str, Any] | None) -> Obj:
    """The wide columns of what has a pod template."""
    found = (pod_spec or {}).get("containers") or ()
    return {
        "Containers": ",".join(str(item.get("name", "")) for item in found),
        "Images": ",".join(str(item.get("image", "")) for item in found),
    }


def template(obj: Obj) -> Obj:
    """The wide columns of a workload: containers, images and its selector."""
    return {
        **containers(dig(obj, "spec", "template", "spec", default={})),
        "Selector": selector_text(dig(obj, "spec", "selector")),
    }


def host_port(address: Any, port: Any) -> str:
    """`10.0.0.1:80`, `[fd00::1]:80`."""
    return f"[{address}]:{port}" if ":" in str(address) else f"{address}:{port}"


def yes(flag: Any, *, missing: str = UNSET) -> str:
    """`True`, `False` or what is told for null."""
    return missing if flag is None else str(bool(flag))


def true_condition(obj: Obj, type_: str) -> bool:
    """Whether a status condition holds."""
    return any(
        item.get("type") == type_ and item.get("status") == "True"
        for item in dig(obj, "status", "conditions", default=())
    )


def balancer(obj: Obj) -> str:
    """Addresses of a load balancer, sorted and each once."""
    found: Iterable[Any] = dig(obj, "status", "loadBalancer", "ingress", default=())
    return ",".join(sorted({str(item.get("ip") or item.get("hostname") or "") for item in found} - {""}))
