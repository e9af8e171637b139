"""How names, labels, keys and ports must look, from `data/formats.yaml`."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from functools import cache, lru_cache
from typing import Any

from firedrill.world.sim.tables import table

_PORT_RANGE = "must be between 1 and 65535, inclusive"


@cache
def _formats() -> Mapping[str, Any]:
    return table("firedrill.world.kube.schema", "formats.yaml")  # type: ignore[no-any-return]


@cache
def _compiled(name: str) -> tuple[re.Pattern[str], int, str]:
    facts = _formats()[name]
    return re.compile(facts["pattern"], re.ASCII), int(facts.get("longest", 0)), facts["message"]


@lru_cache(maxsize=16384)
def problems(format_: str, text: str) -> tuple[str, ...]:
    """What is wrong with a text of a format (`label`, `subdomain`, …), nothing where it is right."""
    pattern, longest, message = _compiled(format_)
    out: list[str] = []
    if longest and len(text) > longest:
        out.append(f"must be no more than {longest} characters")
        if len(text) > 4 * longest:
            return tuple(out)  # patterns are only run on texts of a bounded length
    if pattern.fullmatch(text) is None:
        out.append(message)
    if format_ == "label_value" and len(out) == 2:
        return tuple(out)
    return tuple(out)


@lru_cache(maxsize=16384)
def qualified(text: str) -> tuple[str, ...]:
    """What is wrong with a label key or another name with an optional prefix."""
    message = _compiled("name_part")[2]
    parts = text.split("/")
    if len(parts) > 2:
        return (
            f"a qualified name {message} with an optional DNS subdomain prefix and '/' "
            "(e.g. 'example.com/MyName')",
        )
    out: list[str] = []
    if len(parts) == 2:
        if not parts[0]:
            out.append("prefix part must be non-empty")
        else:
            out += [f"prefix part {item}" for item in problems("subdomain", parts[0])]
    name = parts[-1]
    if not name:
        out.append("name part must be non-empty")
    elif len(name) > 63:
        out.append("name part must be no more than 63 characters")
    if len(name) < 256 and _compiled("name_part")[0].fullmatch(name) is None:
        out.append(f"name part {message}")
    return tuple(out)


@lru_cache(maxsize=4096)
def path_segment(text: str) -> tuple[str, ...]:
    """What is wrong with a name that only must fit into a path, as roles have them."""
    if text in {".", ".."}:
        return (f"may not be '{text}'",)
    return tuple(f"may not contain '{mark}'" for mark in "/%" if mark in text)


def object_name(resource: str, text: str) -> tuple[str, ...]:
    """What is wrong with the name of an object of a resource."""
    format_ = _formats()["names"].get(resource, "subdomain")
    if format_ == "path":
        return path_segment(text)
    return problems("subdomain" if format_ == "crd" else format_, text)


@lru_cache(maxsize=4096)
def port_name(text: str) -> tuple[str, ...]:
    """What is wrong with the name of a port."""
    out: list[str] = []
    if len(text) > 15:
        out.append("must be no more than 15 characters")
    if re.fullmatch(r"[-a-z0-9]*", text, re.ASCII) is None:
        out.append("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)")
    if re.search(r"[a-z]", text) is None:
        out.append("must contain at least one letter (a-z)")
    if "--" in text:
        out.append("must not contain consecutive hyphens")
    if text.startswith("-") or text.endswith("-"):
        out.append("must not begin or end with a hyphen")
    return tuple(out)


def port_number(number: Any) -> str:
    """What is wrong with a port number; empty for nothing."""
    good = isinstance(number, int) and not isinstance(number, bool) and 1 <= number <= 65535
    return "" if good else _PORT_RANGE


def config_key(text: str) -> tuple[str, ...]:
    """What is wrong with a key of a ConfigMap or Secret."""
    out = list(problems("config_key", text))
    if text == ".":
        out.append("must not be '.'")
    elif text == "..":
        out.append("must not be '..'")
    elif text.startswith(".."):
        out.append("must not start with '..'")
    return tuple(out)


def is_ip(text: str) -> bool:
    """Whether a text is an address, v4 or v6."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
