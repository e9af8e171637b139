"""The clerk's Rego for requirements about hosts, in words that no scenario has, over lines as its script writes them."""

from __future__ import annotations

import pytest
import yaml

from firedrill.agents.clerk.hosts.choosing import template
from firedrill.agents.clerk.hosts.template import Wanted, wanted
from firedrill.agents.clerk.words import read
from firedrill.world.policy.rego import Module, Rego, Value


def compliant(text: str, *lines: str) -> bool:
    """What the Rego says of collected lines."""
    found = template(read(text))
    assert found is not None
    modules = [Module("policy.rego", found.files()["policy.rego"])]
    got = Rego().evaluate(modules, "data.check.result", {"lines": ["S|begun", *lines]})
    assert isinstance(got, Value), got
    assert isinstance(got.value, bool)
    return got.value


TRIES = "An SSH session may guess little: `MaxSessions` comes out as 4 or less for everybody."
POINTERS = "Addresses of the kernel are hidden: `kernel.kptr_restrict` is 2, now and after a reboot."
KEYS = "The file `/etc/keys` belongs to user root and group root, and its mode is 0640 or stricter."
LINK = "The kernel module `dccp` cannot be used: modprobe has a line `install dccp /bin/false`."
HOME = "`/home` is a mount of its own with `nodev` and `nosuid`, now and after a reboot by `/etc/fstab`."
CONFIG = "F|/etc/ssh/sshd_config|"


@pytest.mark.parametrize(
    ("text", "lines", "fine"),
    [
        (TRIES, ("set|maxsessions 4",), True),
        (TRIES, ("set|maxsessions 5",), False),
        (TRIES, (), False),
        (TRIES, ("set|maxsessions 4", CONFIG + "Match User kim", CONFIG + "  maxsessions 9"), False),
        (POINTERS, ("now|kernel.kptr_restrict = 2", "F|/etc/sysctl.d/a.conf|kernel/kptr_restrict=2"), True),
        (POINTERS, ("now|kernel.kptr_restrict = 2", "F|/etc/sysctl.d/a.conf|# kernel.kptr_restrict = 2"), False),
        (POINTERS, ("now|kernel.kptr_restrict = 1", "F|/etc/sysctl.d/a.conf|kernel.kptr_restrict = 2"), False),
        (KEYS, ("P|/etc/keys|root|root|600", "E|/etc/keys"), True),
        (KEYS, ("P|/etc/keys|root|root|1640", "E|/etc/keys"), False),
        (KEYS, ("P|/etc/keys|root|root|0", "E|/etc/keys"), True),
        (KEYS, ("P|/etc/keys|kim|root|600", "E|/etc/keys"), False),
        (LINK, ("built|/lib/dccp.ko", "F|/etc/modprobe.d/a.conf|install dccp /bin/false"), True),
        (LINK, ("built|/lib/dccp.ko", "F|/etc/modprobe.d/a.conf|#install dccp /bin/false"), False),
        (LINK, (), True),
        (HOME, ("now|rw,nodev,nosuid", "F|/etc/fstab|/dev/a /home xfs defaults,nosuid,nodev 0 0"), True),
        (HOME, ("now|rw,nodev,nosuid", "F|/etc/fstab|/dev/a /home xfs nosuid,nodev,suid 0 0"), False),
    ],
)  # fmt: skip
def test_what_the_words_say_is_what_counts(text: str, lines: tuple[str, ...], fine: bool) -> None:
    """Comments, later lines, blocks, bits and states."""
    assert compliant(text, *lines) is fine


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("comes out as `no`", Wanted(words=("no",))),
        ("is one of `a`, `b` or `c`", Wanted(words=("a", "b", "c"))),
        ("is at most 60; `0` means never", Wanted(least=1, most=60)),
        ("lies between 1 and 5", Wanted(least=1, most=5)),
        ("is 14 or more", Wanted(least=14)),
        ("is blue", None),
    ],
)
def test_values_in_words(text: str, found: Wanted | None) -> None:
    """Words, bounds, and what excludes 0."""
    assert wanted(text) == found


def test_the_playbook_is_yaml_and_other_words_are_nobodys() -> None:
    """It has one play with two tasks; what no family reads has no template."""
    found = template(read(KEYS))
    assert found is not None
    (play,) = yaml.safe_load(found.files()["playbook.yml"])
    assert [len(play["tasks"]), play["hosts"]] == [2, "all"]
    assert template(read("The host is painted blue.")) is None
