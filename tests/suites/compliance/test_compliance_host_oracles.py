"""The right playbooks of hosts, run for real: what they collect leads their policies to the truth."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import yaml

from firedrill.core.compliance import TWIN, VISIBLE
from firedrill.sandbox.host import play, run_command
from firedrill.suites.compliance import Variant, artefacts, known_ids, load, variants
from firedrill.suites.compliance.hosts import host_of
from firedrill.world.policy.rego import Module, Value, evaluate

pytestmark = [
    pytest.mark.slow,
    pytest.mark.elsewhere,
    pytest.mark.service,
    pytest.mark.skipif(
        not shutil.which("bwrap") or not Path("/usr/bin/fakeroot-sysv").exists(),
        reason="needs bwrap and fakeroot",
    ),
]
HOSTS = tuple(name for name in known_ids() if name.startswith("rh-"))


def judged(policy: str, collected: object, variant: Variant) -> None:
    found = evaluate([Module("policy.rego", policy)], "[data.check.result, data.check.violations]", collected)
    assert isinstance(found, Value), (variant.name, found)
    assert found.value[0] is variant.compliant, (variant.name, variant.trap)
    assert sorted(found.value[1]) == sorted(variant.violating), (variant.name, variant.trap)


@pytest.mark.parametrize("name", HOSTS)
def test_what_a_playbook_reads_shows_the_truth_of_some_variant(name: str) -> None:
    spec = load(name)
    files = artefacts(spec)
    hidden = variants(spec, 7)[2:]
    variant = hidden[int(name[3:]) * 5 % len(hidden)]
    script = yaml.safe_load(files["playbook.yml"])[0]["tasks"][0]["ansible.builtin.shell"]
    played = run_command(host_of(variant), script)
    assert not played.gaps
    assert not played.changed
    judged(files["policy.rego"], {"lines": played.stdout.rstrip("\n").splitlines()}, variant)


def test_a_playbook_tells_the_broken_host_from_its_twin() -> None:
    spec = load("rh-25")
    files = artefacts(spec)
    for variant in variants(spec, 7)[:2]:
        played = play(host_of(variant), "playbook.yml", {"playbook.yml": files["playbook.yml"].encode()})
        assert (played.code, played.changed, played.gaps) == (0, (), ()), played.stdout
        assert variant.name in (VISIBLE, TWIN)
        judged(files["policy.rego"], json.loads(played.files["collected_data.json"]), variant)
