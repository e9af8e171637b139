"""What programs would make of their files: sudo, PAM, auditd, chronyd, rsyslogd, journald, postfix, fstab."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from firedrill.world.host.effective import (
    auditrules,
    fstab,
    mailconf,
    pam,
    sudoers,
    syslog,
    timesync,
    units_conf,
)


class Files:
    """A tree of files."""

    def __init__(self, files: Mapping[str, str]) -> None:
        self.files = dict(files)

    def read(self, path: str) -> str | None:
        return self.files.get(path)

    def names(self, folder: str) -> list[str]:
        return sorted(p.rsplit("/", 1)[1] for p in self.files if p.rsplit("/", 1)[0] == folder)


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, "auto"),
        ({"/etc/systemd/journald.conf": "[Journal]\nStorage = persistent\n"}, "persistent"),
        ({"/etc/systemd/journald.conf": "[Journal]\n#Storage=persistent\n"}, "auto"),
        ({"/etc/systemd/journald.conf": "[Manager]\nStorage=persistent\n"}, "auto"),
        ({"/etc/systemd/journald.conf": '[Journal]\nStorage="persistent"\n'}, "auto"),
        (
            {
                "/etc/systemd/journald.conf": "[Journal]\nStorage=persistent\n",
                "/usr/lib/systemd/journald.conf.d/10.conf": "[Journal]\nStorage=none\n",
            },
            "none",
        ),
        (
            {
                "/etc/systemd/journald.conf.d/10.conf": "[Journal]\nStorage=persistent\n",
                "/usr/lib/systemd/journald.conf.d/10.conf": "[Journal]\nStorage=none\n",
                "/usr/lib/systemd/journald.conf.d/09.conf": "[Journal]\nStorage=volatile\n",
                "/usr/lib/systemd/journald.conf.d/99.bak": "[Journal]\nStorage=none\n",
            },
            "persistent",
        ),
    ],
)
def test_storage_of_the_journal(files: Mapping[str, str], expected: str) -> None:
    assert units_conf.storage(Files(files), "journald") == expected


def test_sudo_reads_what_its_include_folder_lets_it() -> None:
    tree = Files(
        {
            "/etc/sudoers": "Defaults env_reset, \\\n  use_pty\n# Defaults !use_pty\n#includedir /etc/sudoers.d\n",
            "/etc/sudoers.d/10-ops": "Defaults:alice !use_pty\nOPS ALL=(ALL) /bin/ls, NOPASSWD: /bin/cat\n",
            "/etc/sudoers.d/20.off": "Defaults !use_pty\n",
            "/etc/sudoers.d/old~": "Defaults !use_pty\n",
        }
    )
    assert sudoers.flag(tree, "use_pty")
    assert [d.scope for d in sudoers.defaults(tree) if not d.on] == [":alice"]
    assert [sudoers.tags(rule.text) for rule in sudoers.rules(tree)] == [{"NOPASSWD"}]
    assert sudoers.tags(r"alice ALL=(ALL) /bin/tool --set NOPASSWD\:x") == set()


def test_an_argument_of_a_module_wins_over_its_file() -> None:
    tree = Files(
        {
            "/etc/security/faillock.conf": "# deny = 3\ndeny = 5\n",
            "/etc/pam.d/system-auth": "auth required pam_faillock.so preauth deny=0\n"
            "auth  [default=die] pam_faillock.so authfail\n#auth required pam_faillock.so deny=9\n",
            "/etc/security/pwquality.conf": "minlen = 9\n",
            "/etc/security/pwquality.conf.d/50.conf": "minlen=20\n",
            "/etc/pam.d/password-auth": "password requisite pam_pwquality.so local_users_only\n",
        }
    )
    lines = pam.modules(tree, "system-auth", "pam_faillock.so", "auth")
    assert [pam.deny(tree, line) for line in lines] == [0, 5]
    (line,) = pam.modules(tree, "password-auth", "pam_pwquality.so", "password")
    assert pam.minlen(tree, line) == 9


def test_watches_have_two_forms() -> None:
    rules = [
        "-w /etc/passwd -p wa -k identity",
        "-a always,exit -F arch=b64 -F path=/etc/shadow -F perm=wa -F key=identity",
        "-a always,exit -F path=/etc/group -F perm=wa -F uid=0",
        "-a never,exit -F path=/etc/gshadow -F perm=wa",
        "-w /etc/gshadow -p w",
        "-a always,exit -F arch=b64 -S openat -F path=/etc/group",
    ]
    found = auditrules.watched(rules)
    assert {path: "".join(sorted(perms)) for path, perms in found.items()} == {
        "/etc/passwd": "aw",
        "/etc/shadow": "aw",
        "/etc/gshadow": "w",
    }


def test_time_comes_from_folders_too() -> None:
    tree = Files(
        {
            "/etc/chrony.conf": "#pool a.example\nserver 127.127.1.0\nSourceDir /etc/chrony.d\nconfdir /etc/c.d\n",
            "/etc/chrony.d/x.sources": "pool b.example iburst\n",
            "/etc/chrony.d/x.conf": "pool c.example iburst\n",
            "/etc/c.d/y.conf": "! server d.example\nserver e.example\n",
        }
    )
    found = timesync.sources(tree)
    assert found == [("server", "127.127.1.0"), ("pool", "b.example"), ("server", "e.example")]
    assert [timesync.remote(address) for _, address in found] == [False, True, True]


def test_rsyslog_says_the_mode_in_two_languages() -> None:
    tree = Files(
        {
            "/etc/rsyslog.conf": '# $FileCreateMode 0777\n  $filecreatemode 0640\ninclude(file="/etc/rsyslog.d/*.conf" mode="optional")\n',
            "/etc/rsyslog.d/a.conf": 'module(load="builtin:omfile" fileCreateMode="0600")\n',
            "/etc/rsyslog.d/b.off": "$FileCreateMode 0666\n",
        }
    )
    assert [mode for _, mode in syslog.create_modes(tree)] == ["0640", "0600"]


def test_of_contradicting_mount_options_the_last_wins() -> None:
    tree = Files({"/etc/fstab": "#x /tmp tmpfs noexec 0 0\ntmpfs /tmp/ tmpfs noexec,exec,nodev 0 0\n"})
    (entry,) = fstab.entries(tree)
    assert entry.target == "/tmp"
    assert not fstab.option(entry.options, "noexec")
    assert fstab.option(entry.options, "nodev")


def test_postfix_joins_lines_that_begin_with_blanks() -> None:
    text = "inet_interfaces = all\ninet_interfaces =\n  127.0.0.1,\n# no\n  ::1\nmyhostname = a\n"
    assert mailconf.interfaces(Files({mailconf.MAIN: text})) == ["127.0.0.1", "::1"]
    assert mailconf.interfaces(Files({})) == ["all"]
