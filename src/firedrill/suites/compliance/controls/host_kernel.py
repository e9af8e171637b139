"""The kernel of a host: modules, mounts, settings; now and after a reboot."""

from __future__ import annotations

from firedrill.suites.compliance.controls import Judge
from firedrill.world.host import Host
from firedrill.world.host.effective import sysctl


def setting(host: Host, key: str, wanted: str) -> bool:
    """Whether a kernel setting is what it has to be, running and in the files of the boot."""
    return host.sysctl.get(key, "").strip() == wanted and sysctl.configured(host, key) == wanted


def randomised(host: Host) -> set[str]:
    """rh-04."""
    key = "kernel.randomize_va_space"
    return set() if setting(host, key, "2") else {f"sysctl:{key}"}


JUDGES: dict[str, Judge] = {"rh-04": randomised}
