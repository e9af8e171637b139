"""firewall-cmd: zones as they run and as they are kept."""

from __future__ import annotations

from collections.abc import Sequence

from firedrill.world.host.effective import firewall
from firedrill.world.host.records import Host, Zone
from firedrill.world.host.stubs.answering import Answer, gap
from firedrill.world.host.stubs.words import Options, UnknownOptionError, read

_ALONE = (
    "--state --get-default-zone --get-active-zones --get-zones --list-all --list-all- "
    "zones --list-services --list-ports --list-protocols --list-interfaces --list- "
    "sources --list-rich-rules --list-icmp-blocks --list-forward-ports --list-source- "
    "ports --permanent --query-masquerade --query-forward --get-target --version -V "
    "--quiet -q --check-config --get-log-denied --query-panic --query-icmp-block- "
    "inversion"
)
_VALUED = (
    "--zone --info-zone --query-service --query-port --query-interface --query-source "
    "--query-rich-rule --get-zone-of-interface --get-zone-of-source"
)


def firewall_cmd(host: Host, words: list[str], cwd: str) -> Answer:
    """``firewall-cmd``: what it tells, running or ``--permanent``; changes are refused."""
    try:
        options = read(words, _ALONE, _VALUED)
    except UnknownOptionError as error:
        if str(error).startswith(
            (
                "--add",
                "--remove",
                "--set",
                "--change",
                "--reload",
                "--complete-reload",
                "--new",
                "--delete",
                "--runtime-to-permanent",
                "--panic",
            )
        ):
            return Answer(stderr="Error: ACCESS_DENIED: this host is read only\n", code=1)
        return gap("firewall-cmd", words)
    if options.has("--version", "-V"):
        return Answer("1.3.4\n")
    live = host.firewalld.running
    if options.has("--state"):
        return Answer("running\n") if live else Answer("not running\n", "", 252)
    if not live:
        return Answer(stderr="FirewallD is not running\n", code=252)
    kept = options.has("--permanent")
    zones = firewall.permanent(host) if kept else dict(host.firewalld.zones)
    given = _about_all(host, zones, options, kept)
    if given is not None:
        return given
    name = options.value("--zone") or options.value("--info-zone") or host.firewalld.default_zone
    if name not in zones:
        return Answer(stderr=f"Error: INVALID_ZONE: {name}\n", code=112)
    answered = _about_one(host, name, zones[name], options, kept)
    return gap("firewall-cmd", words) if answered is None else answered


def _active(zones: dict[str, Zone]) -> list[str]:
    return [name for name in sorted(zones) if zones[name].interfaces or zones[name].sources]


def _about_all(host: Host, zones: dict[str, Zone], options: Options, kept: bool) -> Answer | None:
    if options.has("--get-default-zone"):
        return Answer(f"{host.firewalld.default_zone}\n")
    if options.has("--get-zones"):
        return Answer(" ".join(sorted(zones)) + "\n")
    if options.has("--get-active-zones"):
        lines = []
        for name in _active(zones):
            lines.append(f"{name}\n")
            for field in ("interfaces", "sources"):
                if value := " ".join(getattr(zones[name], field)):
                    lines.append(f"  {field}: {value}\n")
        return Answer("".join(lines))
    if options.has("--list-all-zones"):
        return Answer("\n".join(_whole(host, name, zones[name], kept) for name in sorted(zones)))
    if options.has("--get-log-denied"):
        return Answer("off\n")
    if options.has("--query-panic"):
        return Answer("no\n", "", 1)
    if options.has("--check-config"):
        return Answer("success\n")
    for option, field in (("--get-zone-of-interface", "interfaces"), ("--get-zone-of-source", "sources")):
        if options.has(option):
            found = [name for name in sorted(zones) if options.value(option) in getattr(zones[name], field)]
            return Answer(f"{found[0]}\n") if found else Answer("no zone\n", "", 2)
    return None


def _about_one(host: Host, name: str, zone: Zone, options: Options, kept: bool) -> Answer | None:
    if options.has("--list-all", "--info-zone"):
        return Answer(_whole(host, name, zone, kept))
    for option, field in (
        ("--list-services", "services"),
        ("--list-ports", "ports"),
        ("--list-protocols", "protocols"),
        ("--list-interfaces", "interfaces"),
        ("--list-sources", "sources"),
        ("--list-icmp-blocks", "icmp_blocks"),
    ):
        if options.has(option):
            return Answer(" ".join(getattr(zone, field)) + "\n")
    if options.has("--list-forward-ports", "--list-source-ports"):
        return Answer("\n")
    rules = [firewall.normal(rule) for rule in zone.rich_rules]
    if options.has("--list-rich-rules"):
        return Answer("".join(f"{rule}\n" for rule in rules) or "\n")
    if options.has("--get-target"):
        return Answer(f"{zone.target}\n")
    for option, known in (
        ("--query-service", zone.services),
        ("--query-port", zone.ports),
        ("--query-interface", zone.interfaces),
        ("--query-source", zone.sources),
        ("--query-rich-rule", rules),
    ):
        if options.has(option):
            wanted = options.value(option)
            return _yes((firewall.normal(wanted) if option == "--query-rich-rule" else wanted) in known)
    for option, holds in (
        ("--query-masquerade", zone.masquerade),
        ("--query-forward", zone.forward),
        ("--query-icmp-block-inversion", zone.icmp_block_inversion),
    ):
        if options.has(option):
            return _yes(holds)
    return None


def _yes(holds: bool) -> Answer:
    return Answer("yes\n") if holds else Answer("no\n", "", 1)


def _whole(host: Host, name: str, zone: Zone, kept: bool) -> str:
    marks = []
    if name == host.firewalld.default_zone and not kept:
        marks.append("default")
    if not kept and (zone.interfaces or zone.sources):
        marks.append("active")
    title = f"{name} ({', '.join(marks)})" if marks else name

    def row(field: str, value: str | Sequence[str]) -> str:
        return f"  {field}: {value if isinstance(value, str) else ' '.join(value)}\n"

    rules = "".join(f"\t{firewall.normal(rule)}\n" for rule in zone.rich_rules)
    return "".join(
        [
            f"{title}\n",
            row("target", zone.target),
            row("icmp-block-inversion", _word(zone.icmp_block_inversion)),
            row("interfaces", zone.interfaces),
            row("sources", zone.sources),
            row("services", zone.services),
            row("ports", zone.ports),
            row("protocols", zone.protocols),
            row("forward", _word(zone.forward)),
            row("masquerade", _word(zone.masquerade)),
            row("forward-ports", ""),
            row("source-ports", ""),
            row("icmp-blocks", zone.icmp_blocks),
            row("rich rules", ""),
            rules,
        ]
    )


def _word(holds: bool) -> str:
    return "yes" if holds else "no"
