"""auditctl, augenrules, SELinux, crypto policy."""

from __future__ import annotations

from firedrill.world.host.effective import auditrules
from firedrill.world.host.records import Host
from firedrill.world.host.stubs.answering import Answer, gap


def auditctl(host: Host, words: list[str], cwd: str) -> Answer:
    """``auditctl -l`` and ``-s``."""
    audit = host.audit
    if words[:1] == ["-l"] and len(words) == 1:
        return Answer("".join(f"{rule}\n" for rule in audit.rules) or "No rules\n")
    if words == ["-s"]:
        return Answer(
            f"enabled {audit.enabled}\nfailure 1\npid 790\nrate_limit 0\nbacklog_limit 8192\nlost 0\n"
            "backlog 0\nbacklog_wait_time 60000\nbacklog_wait_time_actual 0\nloginuid_immutable 0 unlocked\n"
        )
    if words[:1] in (["-v"], ["--version"]):
        return Answer("auditctl version 3.1.2\n")
    if words[:1] in (["-w"], ["-a"], ["-A"], ["-d"], ["-D"], ["-e"], ["-R"], ["-W"], ["-f"], ["-b"]):
        return Answer(stderr="Operation not permitted\n", code=4)
    return gap("auditctl", words)


def augenrules(host: Host, words: list[str], cwd: str) -> Answer:
    """``augenrules --check``: whether rules.d says other than what was merged last."""
    if words not in ([], ["--check"]):
        return Answer(stderr="augenrules: this host is read only\n", code=1)
    merged = sorted(auditrules.merged(host))
    text = (host.read("/etc/audit/audit.rules") or "").splitlines()
    known = sorted(line.strip() for line in text if line.strip() and not line.strip().startswith("#"))
    if merged == known:
        return Answer("/usr/sbin/augenrules: No change\n")
    return Answer("/usr/sbin/augenrules: Rules have changed and should be updated\n")


def getenforce(host: Host, words: list[str], cwd: str) -> Answer:
    """``getenforce``."""
    return Answer(f"{host.selinux.capitalize()}\n")


def sestatus(host: Host, words: list[str], cwd: str) -> Answer:
    """``sestatus``."""
    if host.selinux == "disabled":
        return Answer("SELinux status:                 disabled\n")
    settings = dict(
        line.split("=", 1)
        for line in (host.read("/etc/selinux/config") or "").splitlines()
        if "=" in line and line[0] != "#"
    )
    rows = (
        ("SELinux status", "enabled"),
        ("SELinuxfs mount", "/sys/fs/selinux"),
        ("SELinux root directory", "/etc/selinux"),
        ("Loaded policy name", settings.get("SELINUXTYPE", "targeted").strip()),
        ("Current mode", host.selinux),
        ("Mode from config file", settings.get("SELINUX", host.selinux).strip()),
        ("Policy MLS status", "enabled"),
        ("Policy deny_unknown status", "allowed"),
        ("Memory protection checking", "actual (secure)"),
        ("Max kernel policy version", "33"),
    )
    return Answer("".join(f"{name + ':':<32}{value}\n" for name, value in rows))


def crypto_policies(host: Host, words: list[str], cwd: str) -> Answer:
    """``update-crypto-policies --show``."""
    if words == ["--show"]:
        return Answer((host.read("/etc/crypto-policies/state/current") or "DEFAULT").strip() + "\n")
    if words == ["--is-applied"]:
        return Answer("The configured policy is applied\n")
    return Answer(stderr="You must be root to run update-crypto-policies.\n", code=1)
