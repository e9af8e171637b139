"""The kernel of a host: modules, mounts, settings; now and after a reboot."""

from __future__ import annotations

import re

from firedrill.suites.compliance.controls import Judge
from firedrill.world.host import Host
from firedrill.world.host.effective import fstab, modprobe, sysctl, units_conf
from firedrill.world.host.effective.dropins import texts

HARMLESS = {"/bin/false", "/bin/true", "/usr/bin/false", "/usr/bin/true"}
UNITS = "/etc/systemd/system"
PACKAGED = "/usr/lib/systemd/system"


def setting(host: Host, key: str, wanted: str) -> bool:
    """Whether a kernel setting is what it has to be, running and in the files of the boot."""
    return host.sysctl.get(key, "").strip() == wanted and sysctl.configured(host, key) == wanted


def cramfs(host: Host) -> set[str]:
    """rh-01."""
    module = "cramfs"
    if module not in host.modules_built:
        return set()
    commands = set(modprobe.installs(host, module))
    stopped = bool(commands) and commands <= HARMLESS and modprobe.blacklisted(host, module)
    return set() if stopped and module not in host.modules else {f"module:{module}"}


def running_option(host: Host, target: str, name: str) -> bool:
    """Whether something is mounted there with the option."""
    mount = host.mounts.get(target)
    return mount is not None and fstab.option(mount.options, name)


def tabled(host: Host, target: str, name: str) -> bool | None:
    """Whether every line of fstab for the target has the option; None where it has no line."""
    found = [fstab.option(e.options, name) for e in fstab.entries(host) if e.target == target]
    return all(found) if found else None


def unit_option(host: Host, unit: str, name: str) -> bool:
    """Whether a mount unit is enabled and its last `Options=` comes to the option."""
    main = next((f for f in (f"{UNITS}/{unit}", f"{PACKAGED}/{unit}") if host.read(f) is not None), "")
    folder = f"{UNITS}/{unit}.d"
    paths = [main, *(f"{folder}/{n}" for n in host.names(folder) if n.endswith(".conf"))]
    values = [
        value
        for _, text in texts(host, paths)
        for key, value in units_conf.assignments(text, "Mount")
        if key == "Options"
    ]
    known = host.units.get(unit)
    enabled = known is not None and known.enabled == "enabled"
    return enabled and bool(values) and fstab.option(values[-1].split(","), name)


def tmp_noexec(host: Host) -> set[str]:
    """rh-02."""
    later = tabled(host, "/tmp", "noexec")  # noqa: S108 - what is judged
    if later is None:
        later = unit_option(host, "tmp.mount", "noexec")
    now = running_option(host, "/tmp", "noexec")  # noqa: S108 - what is judged
    return set() if now and later else {"mount:/tmp"}


def shm_nodev(host: Host) -> set[str]:
    """rh-03."""
    target = "/dev/shm"  # noqa: S108 - what is judged
    fine = running_option(host, target, "nodev") and tabled(host, target, "nodev")
    return set() if fine else {f"mount:{target}"}


def randomised(host: Host) -> set[str]:
    """rh-04."""
    key = "kernel.randomize_va_space"
    return set() if setting(host, key, "2") else {f"sysctl:{key}"}


def forwarding(host: Host) -> set[str]:
    """rh-13."""
    counts = re.compile(r"net\.(ipv4\.ip_forward|ipv[46]\.conf\.[^.]+\.forwarding)")
    lines = sysctl.assignments(host)
    keys = {*host.sysctl, *(one.key for one in lines)}
    values = {
        key: (host.sysctl.get(key, "0").strip(), sysctl.value(lines, key) or "0")
        for key in keys
        if counts.fullmatch(key)
    }
    return {f"sysctl:{key}" for key, both in values.items() if both != ("0", "0")}


def reverse_path(host: Host) -> set[str]:
    """rh-14."""
    keys = ("net.ipv4.conf.all.rp_filter", "net.ipv4.conf.default.rp_filter")
    return {f"sysctl:{key}" for key in keys if not setting(host, key, "1")}


JUDGES: dict[str, Judge] = {
    "rh-01": cramfs,
    "rh-02": tmp_noexec,
    "rh-03": shm_nodev,
    "rh-04": randomised,
    "rh-13": forwarding,
    "rh-14": reverse_path,
}
