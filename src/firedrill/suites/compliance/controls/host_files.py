"""Files of a host: who owns them, who may read them, what stands in them."""

from __future__ import annotations

import re

from firedrill.suites.compliance.controls import Judge
from firedrill.world.host import Host
from firedrill.world.host.effective import sshd


def private(host: Host, path: str, bits: int, group: str = "root") -> bool:
    """Whether the file that a path leads to is root's and the group's, and has no bit beyond `bits`."""
    file = host.file(path)
    return file is not None and (file.owner, file.group) == ("root", group) and not file.bits & ~bits


def banner(host: Host) -> set[str]:
    """rh-06."""
    main = "/etc/issue"
    shown = [main, *(f"/etc/issue.d/{n}" for n in host.names("/etc/issue.d") if n.endswith(".issue"))]
    found = {path for path in shown if re.search(r"\\[mrsvS]|(?i:red hat|rhel)", host.read(path) or "")}
    if not re.search(r"(?i)authori[sz]ed", host.read(main) or ""):
        found.add(main)
    return found


def message_of_the_day(host: Host) -> set[str]:
    """rh-07."""
    path = "/etc/motd"
    return set() if host.file(path) is None or private(host, path, 0o644) else {path}


def crontab(host: Host) -> set[str]:
    """rh-11."""
    return set() if private(host, "/etc/crontab", 0o600) else {"/etc/crontab"}


def cron_users(host: Host) -> set[str]:
    """rh-12."""
    allow, deny = "/etc/cron.allow", "/etc/cron.deny"
    found = {deny} if deny in host.files else set()
    names = {line.strip() for line in (host.read(allow) or "").splitlines()} - {""}
    if not private(host, allow, 0o640) or names - _cron_names():
        found.add(allow)
    return found


def _cron_names() -> set[str]:
    from firedrill.suites.compliance.loading import load, words_of

    return {"root", *(str(name) for name in words_of(load("rh-12")).values())}


def host_keys(host: Host) -> set[str]:
    """rh-16."""
    keys = [f"/etc/ssh/{n}" for n in host.names("/etc/ssh") if re.fullmatch(r"ssh_host_.*_key", n)]
    keys += [one.value for one in sshd.settings(host) if one.keyword == "hostkey"]
    there = {key for key in keys if host.file(key) is not None}
    kept = {key for key in there if private(host, key, 0o600) or private(host, key, 0o640, "ssh_keys")}
    return there - kept


def hashes(host: Host) -> set[str]:
    """rh-27."""
    return set() if private(host, "/etc/shadow", 0o400) else {"/etc/shadow"}


JUDGES: dict[str, Judge] = {
    "rh-06": banner,
    "rh-07": message_of_the_day,
    "rh-11": crontab,
    "rh-12": cron_users,
    "rh-16": host_keys,
    "rh-27": hashes,
}
