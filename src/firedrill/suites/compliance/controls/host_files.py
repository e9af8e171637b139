"""Files of a host: who owns them, who may read them, what stands in them."""

from __future__ import annotations

from firedrill.suites.compliance.controls import Judge
from firedrill.world.host import Host


def private(host: Host, path: str, bits: int, groups: tuple[str, ...] = ("root",)) -> bool:
    """Whether the file that a path leads to is root's, of one of the groups, and has no bit beyond `bits`."""
    file = host.file(path)
    if file is None or file.owner != "root" or file.group not in groups:
        return False
    return not file.bits & ~bits and not file.acl


def crontab(host: Host) -> set[str]:
    """rh-11."""
    return set() if private(host, "/etc/crontab", 0o600) else {"/etc/crontab"}


JUDGES: dict[str, Judge] = {"rh-11": crontab}
