"""What hosts need of this machine: told plainly where it is missing."""

from __future__ import annotations

import importlib.util
import shutil
from typing import Any

import pytest

from firedrill.core.errors import InfrastructureError, InputError
from firedrill.sandbox.host import HostLimits, bundle, play
from firedrill.sandbox.toolroot import require
from firedrill.world.host import base_host

BROKEN = b"- hosts: all\n  tasks:\n    - commnd: true\n"
FINE = b"- hosts: all\n  gather_facts: false\n  tasks: [{command: 'true'}]\n"


def test_without_ansible_an_input_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    real = importlib.util.find_spec

    def find(name: str, *rest: Any) -> Any:
        return None if name == "ansible" else real(name, *rest)

    monkeypatch.setattr(importlib.util, "find_spec", find)
    bundle._bundle.cache_clear()
    with pytest.raises(InputError, match="extra `host`"):
        bundle.bundle(require(), "bwrap")


def test_without_fakeroot_an_infrastructure_error_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(shutil, "which", lambda _name: None)
    bundle._bundle.cache_clear()
    with pytest.raises(InfrastructureError, match="fakeroot"):
        bundle.bundle(require(), "bwrap")
    bundle._bundle.cache_clear()


@pytest.mark.service
def test_a_playbook_is_checked_without_being_run() -> None:
    files = {"broken.yml": BROKEN, "fine.yml": FINE}
    broken = play(base_host(), "broken.yml", files, HostLimits(seconds=60), ["--syntax-check"])
    assert broken.code != 0
    assert "commnd" in broken.stderr + broken.stdout
    fine = play(base_host(), "fine.yml", files, HostLimits(seconds=60), ["--syntax-check"])
    assert (fine.code, fine.changed) == (0, ())
