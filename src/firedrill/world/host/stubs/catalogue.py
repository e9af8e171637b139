"""All stubs by name, and which packages bring them."""

from __future__ import annotations

from firedrill.world.host.records import Host
from firedrill.world.host.stubs.accounts import authselect, chage, crontab, faillock, getent
from firedrill.world.host.stubs.answering import Answer, Stub, gap
from firedrill.world.host.stubs.becoming import su, sudo
from firedrill.world.host.stubs.firewall import firewall_cmd
from firedrill.world.host.stubs.kernel import lsmod, modinfo, modprobe, swapon, sysctl
from firedrill.world.host.stubs.network import chronyc, hostnamectl, postconf, ss, timedatectl
from firedrill.world.host.stubs.security import auditctl, augenrules, crypto_policies, getenforce, sestatus
from firedrill.world.host.stubs.services import analyze, service, systemctl
from firedrill.world.host.stubs.software import dnf, rpm
from firedrill.world.host.stubs.sshd import sshd
from firedrill.world.host.stubs.storage import findmnt, mount


def _unanswered(name: str) -> Stub:
    def stub(host: Host, words: list[str], cwd: str) -> Answer:
        return gap(name, words)

    return stub


STUBS: dict[str, Stub] = {
    "auditctl": auditctl,
    "augenrules": augenrules,
    "authselect": authselect,
    "chage": chage,
    "chronyc": chronyc,
    "crontab": crontab,
    "dnf": dnf,
    "dnf-3": dnf,
    "faillock": faillock,
    "findmnt": findmnt,
    "firewall-cmd": firewall_cmd,
    "getenforce": getenforce,
    "getent": getent,
    "hostnamectl": hostnamectl,
    "lsmod": lsmod,
    "modinfo": modinfo,
    "modprobe": modprobe,
    "mount": mount,
    "postconf": postconf,
    "rpm": rpm,
    "runuser": su,
    "service": service,
    "sestatus": sestatus,
    "ss": ss,
    "sshd": sshd,
    "su": su,
    "sudo": sudo,
    "swapon": swapon,
    "sysctl": sysctl,
    "systemctl": systemctl,
    "systemd-analyze": analyze,
    "timedatectl": timedatectl,
    "update-crypto-policies": crypto_policies,
    "yum": dnf,
    **{
        name: _unanswered(name)
        for name in ("nft", "iptables", "ip6tables", "journalctl", "ausearch", "aureport")
    },
}

PACKAGES = {
    "auditctl": "audit",
    "augenrules": "audit",
    "ausearch": "audit",
    "aureport": "audit",
    "authselect": "authselect",
    "chronyc": "chrony",
    "crontab": "cronie",
    "dnf": "dnf",
    "dnf-3": "dnf",
    "firewall-cmd": "firewalld",
    "postconf": "postfix",
    "sshd": "openssh-server",
    "sudo": "sudo",
    "yum": "yum",
    "nft": "nftables",
    "iptables": "iptables-nft",
    "ip6tables": "iptables-nft",
}
"""Commands that are there only when their package is."""
