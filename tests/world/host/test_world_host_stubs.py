"""What commands answer, against texts written from the tools' own documentation."""

from __future__ import annotations

import shlex
from typing import Any

import pytest

from firedrill.world.host import Host, base_host
from firedrill.world.host.stubs import Answer, answer, commands

HOST = base_host()


def said(line: str, patch: dict[str, Any] | None = None) -> Answer:
    host: Host = HOST.patched(patch) if patch else HOST
    return answer(host, shlex.split(line))


AUTOFS = {
    "packages": {"autofs": {"version": "5.1.7", "release": "58.el9"}},
    "units": {"autofs.service": {"active": "active", "sub": "running", "description": "Automounts filesystems on demand"}},
    "files": {"/usr/lib/systemd/system/autofs.service": {"content": "[Unit]\nDescription=Automounts\n[Install]\nWantedBy=multi-user.target\n"}},
}  # fmt: skip
WANTED = {
    **AUTOFS,
    "files": {
        **AUTOFS["files"],
        "/etc/systemd/system/multi-user.target.wants/autofs.service": {"target": "/usr/lib/systemd/system/autofs.service"},
    },
}  # fmt: skip
MASKED = {
    **AUTOFS,
    "files": {**AUTOFS["files"], "/etc/systemd/system/autofs.service": {"target": "/dev/null"}},
}
SSHD = "/etc/ssh/sshd_config"


@pytest.mark.parametrize(
    ("line", "patch", "stdout", "code"),
    [
        ("systemctl is-enabled sshd", None, "enabled\n", 0),
        ("systemctl is-enabled autofs", None, "", 1),
        ("systemctl is-enabled autofs", AUTOFS, "disabled\n", 1),
        ("systemctl is-enabled autofs.service", WANTED, "enabled\n", 0),
        ("systemctl is-enabled autofs", MASKED, "masked\n", 1),
        ("systemctl is-active autofs", AUTOFS, "active\n", 0),
        ("systemctl is-active kdump", None, "inactive\n", 3),
        ("systemctl is-active autofs", None, "inactive\n", 4),
        ("systemctl is-failed sshd", None, "active\n", 1),
        ("systemctl show -p LoadState --value autofs", MASKED, "masked\n", 0),
        ("systemctl show sshd --property=ActiveState,SubState", None, "ActiveState=active\nSubState=running\n", 0),
        ("systemctl get-default", None, "multi-user.target\n", 0),
        ("systemctl list-unit-files --no-legend 'crond*'", None, "crond.service enabled enabled\n", 0),
        ("systemctl list-units --plain --no-legend crond.service", None, "crond.service loaded active running Command Scheduler\n", 0),
        ("systemctl start sshd", None, "", 4),
        ("sysctl kernel.randomize_va_space", None, "kernel.randomize_va_space = 2\n", 0),
        ("sysctl -n net/ipv4/ip_forward", {"sysctl": {"net.ipv4.ip_forward": 1}}, "1\n", 0),
        ("sysctl -e no.such", None, "", 0),
        ("sysctl no.such", None, "", 1),
        ("sysctl -w net.ipv4.ip_forward=0", None, "", 1),
        ("rpm -q bash", None, "bash-5.1.8-9.el9.x86_64\n", 0),
        ("rpm -q autofs bash", None, "package autofs is not installed\nbash-5.1.8-9.el9.x86_64\n", 1),
        ("rpm -qa --queryformat '%{NAME} %{EPOCH}\\n' 'chrony' 'tar'", None, "chrony (none)\ntar 2\n", 0),
        ("findmnt -kn /tmp", None, "/tmp tmpfs tmpfs rw,nosuid,nodev,noexec,relatime,inode64\n", 0),
        ("findmnt -no OPTIONS --target /var/tmp/deep", None, "rw,nosuid,nodev,noexec,relatime,attr2,inode64\n", 0),
        ("findmnt -n /opt", None, "", 1),
        ("findmnt --fstab -n -o TARGET,OPTIONS /dev/shm", None, "/dev/shm defaults,nosuid,nodev,noexec\n", 0),
        ("mount -t devtmpfs", None, "devtmpfs on /dev type devtmpfs (rw,nosuid,size=4096k,nr_inodes=1012437,mode=755,inode64)\n", 0),
        ("auditctl -l", None, "No rules\n", 0),
        ("auditctl -l", {"audit": {"rules": ["-w /etc/shadow -p wa -k identity"]}}, "-w /etc/shadow -p wa -k identity\n", 0),
        ("getent passwd alice", None, "alice:x:1000:1000:Alice:/home/alice:/bin/bash\n", 0),
        ("getent group 10", None, "wheel:x:10:alice\n", 0),
        ("getent passwd mallory", None, "", 2),
        ("modprobe -n -v cramfs", {"files": {"/etc/modprobe.d/c.conf": {"content": "install cramfs /bin/false\n"}}}, "install /bin/false\n", 0),
        ("modprobe -nv nosuch", None, "", 1),
        ("firewall-cmd --state", None, "running\n", 0),
        ("firewall-cmd --state", {"firewalld": {"running": False}}, "not running\n", 252),
        ("firewall-cmd --get-active-zones", None, "public\n  interfaces: eth0\n", 0),
        ("firewall-cmd --zone=public --list-services", None, "cockpit dhcpv6-client ssh\n", 0),
        ("firewall-cmd --get-zone-of-interface=lo", None, "no zone\n", 2),
        ("getenforce", None, "Enforcing\n", 0),
        ("authselect current --raw", None, "minimal with-faillock\n", 0),
        ("crontab -l", None, "", 1),
        ("update-crypto-policies --show", None, "DEFAULT\n", 0),
        ("ss -Hltn -4", None, "LISTEN 0      128            0.0.0.0:22         0.0.0.0:*\n", 0),
    ],
)  # fmt: skip
def test_answers(line: str, patch: dict[str, Any] | None, stdout: str, code: int) -> None:
    given = said(line, patch)
    assert (given.stdout, given.code, given.gap) == (stdout, code, False)
    assert not (stdout and code == 0 and given.stderr)


@pytest.mark.parametrize(
    ("files", "asked", "line"),
    [
        ({}, "", "x11forwarding yes"),
        ({}, "", "logingracetime 120"),
        ({}, "", "permitrootlogin without-password"),
        ({SSHD: {"edit": [{"prepend": "LoginGraceTime 1m"}]}}, "", "logingracetime 60"),
        ({SSHD: {"edit": [{"append": "X11Forwarding no"}]}}, "", "x11forwarding yes"),
        ({"/etc/ssh/sshd_config.d/01.conf": {"content": "x11forwarding=NO\n"}}, "", "x11forwarding no"),
        ({SSHD: {"edit": [{"append": "Match all\n  PermitRootLogin yes"}]}}, "", "permitrootlogin yes"),
        (
            {SSHD: {"edit": [{"prepend": "PermitRootLogin no"}, {"append": "Match Address 10.0.0.0/8\nPermitRootLogin yes"}]}},
            "-C user=root,host=h,addr=10.1.1.1", "permitrootlogin yes",
        ),
        (
            {SSHD: {"edit": [{"prepend": "PermitRootLogin no"}, {"append": "Match Address 10.0.0.0/8\nPermitRootLogin yes"}]}},
            "-C user=root,host=h,addr=192.0.2.1", "permitrootlogin no",
        ),
    ],
)  # fmt: skip
def test_sshd_tells_its_effective_settings(files: dict[str, Any], asked: str, line: str) -> None:
    given = said(f"sshd -T {asked}", {"files": files} if files else None)
    assert line in given.stdout.splitlines()
    assert given.code == 0


def test_sshd_names_a_wrong_keyword() -> None:
    given = said("sshd -t", {"files": {SSHD: {"edit": [{"prepend": "PermitRotLogin no"}]}}})
    assert given.code == 255
    assert given.stderr.startswith("/etc/ssh/sshd_config: line 1: Bad configuration option: permitrotlogin\n")


def test_zones_are_told_as_they_run_and_as_they_are_kept() -> None:
    rule = 'rule family="ipv4" source address="127.0.0.1" destination NOT address="127.0.0.1" drop'
    xml = (
        '<?xml version="1.0"?><zone target="ACCEPT"><interface name="lo"/><rule family="ipv4">'
        '<source address="127.0.0.1"/><destination address="127.0.0.1" invert="True"/><drop/></rule></zone>'
    )
    patch = {"files": {"/etc/firewalld/zones/trusted.xml": {"content": xml}}}
    kept = said("firewall-cmd --permanent --zone=trusted --list-all", patch).stdout
    assert "  interfaces: lo\n" in kept
    assert f"\t{rule}\n" in kept
    assert said("firewall-cmd --zone=trusted --list-rich-rules", patch).stdout == "\n"
    live = {
        "firewalld": {"zones": {"trusted": {"rich_rules": [rule.replace("NOT", "not").replace('"', "")]}}}
    }
    assert said("firewall-cmd --zone=trusted --list-rich-rules", live).stdout == f"{rule}\n"
    assert said(f"firewall-cmd --zone=trusted --query-rich-rule='{rule}'", live).code == 0


def test_commands_of_packages_that_are_not_there_are_not_there() -> None:
    assert "postconf" not in commands(HOST)
    postfix = {
        "packages": {"postfix": {"version": "3.5.9", "release": "24.el9"}},
        "files": {
            "/etc/postfix/main.cf": {"content": "inet_interfaces = all\ninet_interfaces =\n  loopback-only\n"}
        },
    }
    assert "postconf" in commands(HOST.patched(postfix))
    assert said("postconf -h inet_interfaces", postfix).stdout == "loopback-only\n"


@pytest.mark.parametrize(
    "line",
    ["systemctl frobnicate x", "findmnt -o UUID", "rpm -q --qf '%{CHANGELOG}' bash", "ss -x", "nosuch"],
)
def test_what_we_cannot_tell_is_a_gap(line: str) -> None:
    given = said(line)
    assert given.gap
    assert given.code != 0
    assert given.stderr


def test_sudo_runs_the_command_itself() -> None:
    assert said("sudo -H -S -n -u root /bin/sh -c 'echo x'").instead == ("/bin/sh", "-c", "echo x")
    assert said("sudo -u alice id").gap
