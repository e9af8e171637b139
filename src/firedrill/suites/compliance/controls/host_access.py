"""Who gets into a host and what they may do there: SSH, sudo, PAM, the firewall."""

from __future__ import annotations

from firedrill.suites.compliance.controls import Judge
from firedrill.world.host import Host, Zone
from firedrill.world.host.effective import firewall, pam, sshd, sudoers

SSHD = sshd.MAIN
LOOPBACK = {"ipv4": ("127.0.0.1", "127.0.0.0/8"), "ipv6": ("::1",)}


def loopback(host: Host) -> set[str]:
    """rh-15."""
    name = "firewalld.service"
    unit = host.units.get(name)
    runs = unit is not None and unit.active == "active" and host.firewalld.running
    zones = (host.firewalld.zones.get("trusted"), firewall.permanent(host).get("trusted"))
    return set() if runs and all(zone is not None and _protects(zone) for zone in zones) else {f"unit:{name}"}


def _protects(zone: Zone) -> bool:
    rules = {firewall.normal(rule) for rule in zone.rich_rules}
    return "lo" in zone.interfaces and all(
        any(
            f'rule family="{family}" source address="{a}" destination NOT address="{a}" drop' in rules
            for a in addresses
        )
        for family, addresses in LOOPBACK.items()
    )


def x11(host: Host) -> set[str]:
    """rh-17."""

    def holds(keyword: str, wanted: str, default: str) -> bool:
        values = [sshd.first(host, keyword) or default]
        values += [one.value for one in sshd.conditional(host, keyword)]
        return all(value.lower() == wanted for value in values)

    fine = holds("X11Forwarding", "no", "no") or holds("DisableForwarding", "yes", "no")
    return set() if fine else {SSHD}


def grace_time(host: Host) -> set[str]:
    """rh-18."""
    time = sshd.seconds(sshd.first(host, "LoginGraceTime") or "120")
    return set() if time is not None and 1 <= time <= 60 else {SSHD}


def root_login(host: Host) -> set[str]:
    """rh-19."""
    values = [sshd.first(host, "PermitRootLogin") or "prohibit-password"]
    values += [one.value for one in sshd.conditional(host, "PermitRootLogin")]
    return {SSHD} if any(value.lower() != "no" for value in values) else set()


def terminal(host: Host) -> set[str]:
    """rh-20."""
    off = any(d.scope and d.name == "use_pty" and not d.on for d in sudoers.defaults(host))
    return set() if sudoers.flag(host, "use_pty") and not off else {sudoers.MAIN}


def passwordless(host: Host) -> set[str]:
    """rh-21."""
    return {rule.path for rule in sudoers.rules(host) if "NOPASSWD" in sudoers.tags(rule.text)}


def lockout(host: Host) -> set[str]:
    """rh-22."""
    found: set[str] = set()
    for stack in pam.STACKS:
        lines = pam.modules(host, stack, "pam_faillock.so", "auth")
        phases = {word for line in lines for word in line.arguments}
        if not {"preauth", "authfail"} <= phases or not all(1 <= pam.deny(host, line) <= 5 for line in lines):
            found.add(f"/etc/pam.d/{stack}")
    return found


def password_length(host: Host) -> set[str]:
    """rh-23."""
    found: set[str] = set()
    for stack in pam.STACKS:
        lines = pam.modules(host, stack, "pam_pwquality.so", "password")
        if not lines or any(pam.minlen(host, line) < 14 for line in lines):
            found.add(f"/etc/pam.d/{stack}")
    return found


JUDGES: dict[str, Judge] = {
    "rh-15": loopback,
    "rh-17": x11,
    "rh-18": grace_time,
    "rh-19": root_login,
    "rh-20": terminal,
    "rh-21": passwordless,
    "rh-22": lockout,
    "rh-23": password_length,
}
