"""Hosts of compliance scenarios: truth and procedures agree, and each trap catches somebody."""

from __future__ import annotations

import pytest

from firedrill.suites.compliance import known_ids, load, text_of, variants
from firedrill.suites.compliance.careless import table, uncaught
from firedrill.suites.compliance.controls import judge_of, verdicts
from firedrill.suites.compliance.hosts import host_of

HOSTS = tuple(name for name in known_ids() if name.startswith("rh-"))


def test_all_are_there() -> None:
    assert len(HOSTS) == 27
    assert set(table()) == set(HOSTS)


@pytest.mark.parametrize("name", HOSTS)
def test_procedures_agree_with_what_hosts_are_said_to_be(name: str) -> None:
    spec, judge = load(name), judge_of(name)
    for variant in variants(spec, 1):
        found = verdicts(judge(host_of(variant)))
        assert found == dict(sorted(variant.expect.items())), (variant.name, variant.trap)
        assert variant.compliant is not bool(variant.violating), (variant.name, variant.trap)
    assert "${" not in text_of(spec)
    assert sum(item.compliant for item in spec.variants) >= 3
    assert sum(not item.compliant for item in spec.variants) >= 5
    assert {item.trap for item in spec.mutants} <= {item.trap for item in spec.variants}


@pytest.mark.parametrize("name", HOSTS)
def test_each_trap_catches_somebody_who_is_right_about_what_can_be_seen(name: str) -> None:
    spec = load(name)
    assert not [(variant.name, variant.trap) for variant in uncaught(spec, variants(spec, 3))]


def test_a_playbook_that_is_wrong_exists_for_every_word_of_the_vocabulary() -> None:
    specs = [load(name) for name in HOSTS]
    traps = {item.trap for spec in specs for item in spec.variants}
    assert {mutant.trap for spec in specs for mutant in spec.mutants} == traps
