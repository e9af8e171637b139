"""Services of a host: what runs, what starts, and what their files say."""

from __future__ import annotations

from firedrill.suites.compliance.controls import Judge
from firedrill.world.host import Host
from firedrill.world.host.effective import auditrules, mailconf, syslog, timesync, units_conf

IDENTITY = ("/etc/passwd", "/etc/group", "/etc/shadow", "/etc/gshadow", "/etc/security/opasswd")
LOOPBACK = {"loopback-only", "localhost", "127.0.0.1", "::1", "[::1]"}


def core_dumps(host: Host) -> set[str]:
    """rh-05."""
    return set() if units_conf.storage(host, "coredump") == "none" else {"/etc/systemd/coredump.conf"}


def automounter(host: Host) -> set[str]:
    """rh-08."""
    name = "autofs.service"
    unit = host.units.get(name)
    if "autofs" not in host.packages or unit is None:
        return set()
    starts = unit.enabled in ("enabled", "enabled-runtime")
    runs = unit.active in ("active", "activating", "reloading")
    return {f"unit:{name}"} if starts or runs else set()


def mail(host: Host) -> set[str]:
    """rh-09."""
    if "postfix" not in host.packages:
        return set()
    configured = set(mailconf.interfaces(host)) <= LOOPBACK
    heard = {item.addr for item in host.listen if item.port == 25 and item.proto in ("tcp", "tcp6")}
    return set() if configured and heard <= {"127.0.0.1", "::1"} else {"package:postfix"}


def clock(host: Host) -> set[str]:
    """rh-10."""
    remote = [address for _, address in timesync.sources(host) if timesync.remote(address)]
    return set() if remote else {timesync.MAIN}


def log_files(host: Host) -> set[str]:
    """rh-24."""
    modes = [mode for _, mode in syslog.create_modes(host)]
    return set() if modes and not any(int(mode, 8) & ~0o640 for mode in modes) else {syslog.MAIN}


def identity(host: Host) -> set[str]:
    """rh-25."""
    places = [auditrules.watched(rules) for rules in (host.audit.rules, auditrules.merged(host))]
    return {path for path in IDENTITY if any(not {"w", "a"} <= place.get(path, set()) for place in places)}


def journal(host: Host) -> set[str]:
    """rh-26."""
    kept = units_conf.storage(host, "journald") == "persistent"
    return set() if kept else {"/etc/systemd/journald.conf"}


JUDGES: dict[str, Judge] = {
    "rh-05": core_dumps,
    "rh-08": automounter,
    "rh-09": mail,
    "rh-10": clock,
    "rh-24": log_files,
    "rh-25": identity,
    "rh-26": journal,
}
