"""Commands on a played host see that host, and nothing of the machine."""

from __future__ import annotations

import pytest

from firedrill.core.errors import InputError
from firedrill.sandbox.host import HostLimits, play, run_command
from firedrill.world.host import base_host

pytestmark = pytest.mark.service


def test_a_command_sees_the_hosts_files_with_their_owners() -> None:
    done = run_command(
        base_host(),
        "id -un; hostname; stat -c '%U:%G %a' /etc/shadow /etc/ssh/ssh_host_rsa_key /home/alice; "
        "head -c 5 /etc/shadow; echo; cat /proc/sys/net/ipv4/ip_forward /proc/1/comm; find /home -uid 1000 -type d; "
        "readlink /etc/os-release; echo kept > note.txt",
    )
    assert done.stdout.splitlines() == [
        "root", "rhel9.example.internal", "root:root 0", "root:ssh_keys 640", "alice:alice 700", "root:", "0",
        "systemd", "/home/alice", "../usr/lib/os-release",
    ]  # fmt: skip
    assert (done.code, done.stderr, done.changed, done.gaps) == (0, "", (), ())
    assert done.files == {"note.txt": b"kept\n"}


def test_nothing_of_the_machine_is_shown() -> None:
    done = run_command(
        base_host(), "cat /proc/self/mountinfo /proc/cmdline /etc/mtab; env; ls /usr/bin /root /tmp /"
    )
    said = done.stdout.lower()
    for word in ("firedrill", ".venv", "/work", "toolroot", ".cache", "debian", "apt-get", "dpkg"):
        assert word not in said


@pytest.mark.parametrize(
    ("command", "path"),
    [
        ("echo x >> /etc/motd", "/etc/motd"),
        ("rm /etc/issue", "/etc/issue"),
        ("chmod 600 /etc/motd", "/etc/motd"),
        ("chown alice /etc/motd", "/etc/motd"),
        ("ln -sf /etc/issue /etc/motd", "/etc/motd"),
        ("touch /usr/lib/sysctl.d/99-new.conf", "/usr/lib/sysctl.d/99-new.conf"),
        ("echo 1 > /proc/sys/net/ipv4/ip_forward; touch /etc/x", "/etc/x"),
        ("kill -9 $(pgrep faked); true", "/"),
    ],
)
def test_what_a_command_changes_is_named(command: str, path: str) -> None:
    assert path in run_command(base_host(), command).changed


def test_what_hangs_forks_or_floods_is_bounded() -> None:
    limits = HostLimits(seconds=1.0, processes=40, output_chars=500)
    hung = run_command(base_host(), "echo before; sleep 1000 & sleep 1000", limits=limits)
    assert (hung.code, hung.stopped, hung.stdout) == (124, True, "before\n")
    forks = run_command(base_host(), "f() { f | f & }; f; sleep 100", limits=limits)
    assert forks.stopped
    flood = run_command(base_host(), "yes", limits=limits)
    assert flood.stopped
    assert len(flood.stdout) <= 500


def test_the_first_process_can_neither_be_ended_nor_read_nor_confused() -> None:
    junk = "import socket; s = socket.socket(1); s.connect('/run/manager/socket'); s.send(b'\\0\\0\\0\\5x'); s.close()"
    done = run_command(
        base_host(),
        f'kill -9 1; kill -STOP 1; cat /proc/1/environ /proc/1/fd/0; python3 -c "{junk}"; sysctl -n kernel.sysrq',
    )
    assert done.stdout == "16\n"
    assert done.stderr.count("Permission denied") >= 2
    assert (done.code, done.changed) == (0, ())


def test_whoever_buries_the_host_in_files_has_changed_it() -> None:
    many = "mkdir /etc/many; cd /etc/many; seq 60000 | xargs touch"
    done = run_command(base_host(), many, limits=HostLimits(seconds=60))
    assert "/" in done.changed
    assert len(done.changed) <= 1000


def test_the_working_folder_gives_back_plain_files_only() -> None:
    done = run_command(
        base_host(),
        "ln -s /etc/shadow link; mkfifo pipe; mkdir d; echo x > d/file; head -c 300 /dev/zero > big",
        {"given": b"1"},
        HostLimits(handed_back=100),
    )
    assert sorted(done.files) == ["big", "d/file", "given"]
    assert len(done.files["big"]) == 101


def test_a_hosts_links_lead_nowhere_outside() -> None:
    host = base_host().patched(
        {"files": {"/etc/out": {"target": "../../../../../../etc/hostname"}, "/etc/far": {"target": "/work"}}}
    )
    done = run_command(host, "cat /etc/out; ls /etc/far/ 2>&1")
    assert done.stdout.startswith("rhel9.example.internal\nls: cannot access")


def test_wrong_names_are_refused() -> None:
    with pytest.raises(InputError, match="no name below"):
        run_command(base_host(), "true", {"../x": b""})
    with pytest.raises(InputError, match="no such file"):
        play(base_host(), "playbook.yml", {})
    stranger = base_host().patched({"files": {"/etc/motd": {"owner": "mallory"}}})
    with pytest.raises(InputError, match="no account 'mallory'"):
        run_command(stranger, "true")
    below = base_host().patched({"files": {"/etc/mtd": {"target": "/etc"}, "/etc/mtd/x": {"content": ""}}})
    with pytest.raises(InputError, match="stands below /etc/mtd"):
        run_command(below, "true")
