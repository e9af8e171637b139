"""A host as data, and patches of it."""

from __future__ import annotations

from typing import Any

import pytest

from firedrill.core.errors import InputError
from firedrill.world.host import Host, base_host, host_from, read_host

SMALL: dict[str, Any] = {
    "files": {
        "/etc/motd": {"content": "hello\n"},
        "/etc/issue": {"target": "../etc/issue.d/one"},
        "/etc/issue.d/one": {"content": "first\nsecond\n", "owner": "alice", "mode": "600"},
        "/etc/loop": {"target": "/etc/loop"},
        "/etc/d": {"target": "issue.d"},
    },
    "sysctl": {"net.ipv4.ip_forward": 0},
    "mounts": {"/tmp": {"source": "tmpfs", "fstype": "tmpfs", "options": ["rw", "noexec"]}},
    "units": {"autofs.service": {"enabled": "disabled"}},
    "modules": ["xfs"],
}


def small() -> Host:
    return host_from(SMALL, "small")


def test_links_are_followed_as_the_kernel_does() -> None:
    host = small()
    assert host.read("/etc/issue") == "first\nsecond\n"
    assert host.read("/etc/d/one") == host.read("/etc/issue")
    assert host.file("/etc/loop") is None
    assert host.names("/etc/d") == ("one",)
    found = host.file("/etc/issue")
    assert found is not None
    assert (found.owner, found.mode, found.bits) == ("alice", "0600", 0o600)
    implied = host.file("/etc")
    assert implied is not None
    assert implied.type == "dir"


def test_a_patch_changes_what_it_names_and_nothing_else() -> None:
    host = small()
    after = host.patched(
        {
            "files": {
                "/etc/motd": {"mode": "0664"},
                "/etc/issue.d/one": {"edit": [{"line": "second", "with": "zweite"}, {"append": "third"}]},
                "/etc/issue": None,
                "/etc/new": {"content": "x", "group": "wheel"},
            },
            "sysctl": {"net.ipv4.ip_forward": 1},
            "mounts": {"/tmp": {"options": ["rw"]}},
            "units": {"autofs.service": {"enabled": "enabled"}, "x.service": {}},
            "modules": {"add": ["cramfs"]},
            "audit": {"rules": {"add": ["-w /etc/passwd -p wa"]}},
            "firewalld": {"zones": {"trusted": {"interfaces": {"add": ["lo"]}}}},
        }
    )
    assert after.files["/etc/motd"].content == "hello\n"
    assert after.files["/etc/motd"].mode == "0664"
    assert after.read("/etc/issue.d/one") == "first\nzweite\nthird\n"
    assert after.files["/etc/issue.d/one"].owner == "alice"
    assert after.file("/etc/issue") is None
    assert after.files["/etc/new"].group == "wheel"
    assert after.sysctl == {"net.ipv4.ip_forward": "1"}
    assert after.mounts["/tmp"].options == ("rw",)
    assert after.mounts["/tmp"].fstype == "tmpfs"
    assert after.units["autofs.service"].enabled == "enabled"
    assert after.units["x.service"].name == "x.service"
    assert after.modules == ("xfs", "cramfs")
    assert after.audit.rules == ("-w /etc/passwd -p wa",)
    assert after.firewalld.zones["trusted"].interfaces == ("lo",)
    assert host == small()


def test_a_folder_is_removed_with_what_is_below_and_a_file_becomes_a_link() -> None:
    after = small().patched({"files": {"/etc/issue.d": None, "/etc/motd": {"target": "/run/motd"}}})
    assert "/etc/issue.d/one" not in after.files
    assert after.files["/etc/motd"].type == "link"
    assert after.files["/etc/motd"].content == ""


@pytest.mark.parametrize(
    ("patch", "field"),
    [
        ({"disks": 1}, "disks"),
        ({"files": {"/etc/nothing": None}}, "files./etc/nothing"),
        ({"files": {"/etc/motd": {"mode": 420}}}, "files./etc/motd.mode"),
        ({"files": {"/etc/../x": {}}}, "files./etc/../x.path"),
        ({"files": {"/proc/x": {}}}, "files./proc/x.path"),
        ({"files": {"/etc/motd": {"edit": [{"line": "hullo", "with": ""}]}}}, "files./etc/motd.edit[0]"),
        ({"files": {"/etc/motd": {"edit": [{"linen": "hullo"}]}}}, "files./etc/motd.edit[0]"),
        ({"sysctl": {"a.b": None}}, "sysctl.a.b"),
        ({"modules": {"remove": ["cramfs"]}}, "modules.remove[0]"),
        ({"units": {"autofs.service": {"enabled": "perhaps"}}}, "units.autofs.service.enabled"),
        ({"audit": {"enabled": 3}}, "audit.enabled"),
    ],
)
def test_a_wrong_patch_names_its_field(patch: dict[str, Any], field: str) -> None:
    with pytest.raises(InputError) as caught:
        small().patched(patch, "n01")
    assert (caught.value.source, caught.value.field) == ("n01", field)


def test_a_copy_with_other_files_does_not_look_at_the_old_ones() -> None:
    host = small()
    assert host.names("/etc/issue.d") == ("one",)
    copied = host.model_copy(update={"files": {}})
    assert copied.names("/etc/issue.d") == ()
    assert copied.links == frozenset()


def test_a_host_is_read_from_lists_too() -> None:
    text = "files: [{path: /etc/motd, content: x}]\npackages: [{name: bash, version: '5', release: 1.el9}]\n"
    host = read_host(text, "host.yaml")
    assert host.packages["bash"].nvra == "bash-5-1.el9.x86_64"
    with pytest.raises(InputError, match="second"):
        read_host("files: [{path: /etc/motd}, {path: /etc/motd}]", "host.yaml")


def test_the_base_host_is_there() -> None:
    host = base_host()
    assert host.sysctl["kernel.randomize_va_space"] == "2"
    with pytest.raises(InputError):
        base_host("../rhel9")


def test_every_owner_of_the_base_host_has_an_account_and_every_link_leads_somewhere() -> None:
    host = base_host()
    users, groups = (
        {line.split(":")[0] for line in (host.read(f"/etc/{name}") or "").splitlines()}
        for name in ("passwd", "group")
    )
    assert {file.owner for file in host.files.values()} <= users
    assert {file.group for file in host.files.values()} <= groups
    dangling = {path for path in host.links if host.resolve(path) is None}
    assert dangling == {"/etc/localtime"}, "time zones are not part of it"
    assert len(host.files) > 120
    assert host.units["sshd.service"].active == "active"
    assert "autofs" not in host.packages
