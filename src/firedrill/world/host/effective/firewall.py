"""Firewall zones as files have them, and rich rules in one form."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

from firedrill.world.host.records import Host, Zone

FOLDERS = ("/etc/firewalld/zones", "/usr/lib/firewalld/zones")
MAIN = "/etc/firewalld/firewalld.conf"
MAX_TEXT = 200_000


def permanent(host: Host) -> dict[str, Zone]:
    """Zones by name as the daemon would load them: a file in /etc hides the packaged one."""
    found: dict[str, Zone] = {}
    for folder in FOLDERS:
        for name in host.names(folder):
            if name.endswith(".xml") and name[:-4] not in found:
                zone = parse(host.read(f"{folder}/{name}") or "")
                if zone is not None:
                    found[name[:-4]] = zone
    return {name: found[name] for name in sorted(found)}


def default_zone(host: Host) -> str:
    """``DefaultZone`` of the daemon's settings."""
    zone = "public"
    for line in (host.read(MAIN) or "").splitlines():
        key, equals, value = line.strip().partition("=")
        if equals and key.strip() == "DefaultZone" and value.strip():
            zone = value.strip()
    return zone


def parse(text: str) -> Zone | None:
    """A zone's file; None for what is no zone, which the daemon ignores with an error."""
    if len(text) > MAX_TEXT or "<!DOCTYPE" in text or "<!ENTITY" in text:
        return None
    try:
        root = ET.fromstring(text)  # noqa: S314 - no entities, and of bounded size
    except ET.ParseError:
        return None
    if root.tag != "zone":
        return None

    def names(tag: str, attribute: str = "name") -> tuple[str, ...]:
        return tuple(value for item in root.findall(tag) if (value := item.get(attribute)))

    ports = tuple(f"{item.get('port')}/{item.get('protocol')}" for item in root.findall("port"))
    return Zone(
        target=root.get("target", "default"),
        interfaces=names("interface"),
        sources=tuple(filter(None, (_source(item) for item in root.findall("source")))),
        services=names("service"),
        ports=ports,
        protocols=names("protocol", "value"),
        forward=root.find("forward") is not None,
        masquerade=root.find("masquerade") is not None,
        icmp_blocks=names("icmp-block"),
        icmp_block_inversion=root.find("icmp-block-inversion") is not None,
        rich_rules=tuple(rich(item) for item in root.findall("rule")),
    )


def _source(item: ET.Element) -> str:
    return (
        item.get("address") or item.get("mac") or (f"ipset:{item.get('ipset')}" if item.get("ipset") else "")
    )


def rich(item: ET.Element) -> str:
    """A rule element in the language of rich rules."""
    words = ["rule"]
    for key in ("priority", "family"):
        if item.get(key):
            words.append(f'{key}="{item.get(key)}"')
    for part in item:
        negated = part.get("invert", "").lower() in ("yes", "true")
        given = {key: value for key, value in part.attrib.items() if key != "invert"}
        words.append(part.tag + (" NOT" if negated else ""))
        order = sorted(
            given,
            key=lambda key: (
                ("address", "name", "port", "protocol", "type", "value").index(key)
                if key in ("address", "name", "port", "protocol", "type", "value")
                else 9
            ),
        )
        words += [f'{key}="{given[key]}"' for key in order]
    return " ".join(words)


def normal(rule: str) -> str:
    """A rich rule as the daemon prints it: single blanks, quoted values, ``NOT`` in capitals."""
    words = []
    for word in re.findall(r'[\w-]+=(?:"[^"]*"|\S+)|\S+', rule):
        key, equals, value = word.partition("=")
        if equals:
            plain = value.strip("\"'")
            words.append(f'{key}="{plain}"')
        else:
            words.append("NOT" if word.lower() == "not" else word)
    return " ".join(words)
