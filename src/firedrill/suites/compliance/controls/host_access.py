"""Who gets into a host and what they may do there: SSH, sudo, PAM."""

from __future__ import annotations

from firedrill.suites.compliance.controls import Judge
from firedrill.world.host import Host
from firedrill.world.host.effective import sshd

SSHD = "/etc/ssh/sshd_config"


def root_login(host: Host) -> set[str]:
    """rh-19."""
    values = [sshd.first(host, "PermitRootLogin") or "prohibit-password"]
    values += [one.value for one in sshd.conditional(host, "PermitRootLogin")]
    return {SSHD} if any(value.lower() != "no" for value in values) else set()


JUDGES: dict[str, Judge] = {"rh-19": root_login}
