"""What sysctl.d, modprobe.d and sshd's files come to."""

from __future__ import annotations

from collections.abc import Mapping

from firedrill.world.host import base_host
from firedrill.world.host.effective import modprobe, sshd, sysctl


def files(**texts: str) -> Mapping[str, Mapping[str, Mapping[str, str]]]:
    return {"files": {path: {"content": text} for path, text in texts.items()}}


def test_the_last_file_by_name_wins_and_etc_hides_lib() -> None:
    host = base_host().patched(
        files(
            **{
                "/usr/lib/sysctl.d/60-a.conf": "kernel.randomize_va_space = 2\n",
                "/etc/sysctl.d/60-a.conf": "# nothing\n",
                "/etc/sysctl.d/50-b.conf": "-kernel/randomize_va_space=1\n",
                "/etc/sysctl.d/99-c.bak": "kernel.randomize_va_space=0\n",
            }
        )
    )
    assert sysctl.configured(host, "kernel.randomize_va_space") == "1"
    assert sysctl.configured(host, "kernel.unknown") is None


def test_patterns_set_what_no_line_names() -> None:
    host = base_host()
    assert sysctl.configured(host, "net.ipv4.conf.eth0.rp_filter") == "1"
    assert sysctl.configured(host, "net.ipv4.conf.all.promote_secondaries") == "1"
    assert sysctl.configured(host, "net.ipv4.conf.all.accept_source_route") is None


def test_names_of_modules_know_no_hyphen() -> None:
    host = base_host().patched(
        files(**{"/etc/modprobe.d/x.conf": "install usb_storage  /bin/false\n#blacklist usb-storage\n"})
    )
    assert modprobe.installs(host, "usb-storage") == ["/bin/false"]
    assert not modprobe.blacklisted(host, "usb-storage")


def test_sshd_takes_the_first_value_and_a_block_ends_with_its_file() -> None:
    host = base_host().patched(
        files(
            **{
                "/etc/ssh/sshd_config.d/10-x.conf": 'permitrootlogin="no"\nMatch User bob\n X11Forwarding yes\n',
                "/etc/ssh/sshd_config": "Include sshd_config.d/*.conf\nPermitRootLogin yes\nLoginGraceTime 1m # a\n",
            }
        )
    )
    assert sshd.first(host, "PermitRootLogin") == "no"
    assert sshd.first(host, "LoginGraceTime") == "1m"
    assert [s.match for s in sshd.conditional(host, "X11Forwarding")] == ["User bob"]
    assert sshd.first(host, "X11Forwarding") == "yes"
    assert [sshd.seconds(t) for t in ("1m30s", "60", "0", "2m", "x", "")] == [90, 60, 0, 120, None, None]
