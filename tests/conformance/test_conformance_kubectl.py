"""Hundreds of kubectl commands on a served world: exit codes and what is printed."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from firedrill.gateway.kubernetes.kubectl import KubectlBinary, find_kubectl

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "bench"))
import kubectl_script

pytestmark = [pytest.mark.service, pytest.mark.timeout(300)]

FOUND = find_kubectl()
SCRIPTS = kubectl_script.scripts()
# All scripts with the newest version, which sends protobuf; with the oldest, which sends JSON, the one that
# is about bodies. The bench runs every script with every version.
EACH = [(FOUND[0], SCRIPTS), *((item, SCRIPTS[:1]) for item in FOUND[1:][-1:])] if FOUND else []
CASES = [
    pytest.param(item, script, id="kubectl-{}.{}-{}".format(*item.version[:2], script.stem))
    for item, scripts in EACH
    for script in scripts
] or [
    pytest.param(
        None, None, id="none", marks=pytest.mark.skip("no kubectl of 1.30 or newer is here: scripts/tools")
    )
]


@pytest.fixture(scope="module")
def served(request: pytest.FixtureRequest) -> Iterator[tuple[KubectlBinary, kubectl_script.ServedWorld]]:
    """A version of kubectl, and a world of its own."""
    with kubectl_script.make_served() as running:
        yield request.param, running
    assert not running.host.defects, "\n".join(running.host.defects)


@pytest.mark.parametrize(("served", "script"), CASES, indirect=["served"])
def test_script(
    served: tuple[KubectlBinary, kubectl_script.ServedWorld], script: Path, tmp_path: Path
) -> None:
    shell = kubectl_script.Shell(*served, tmp_path)
    shell.environment["GOGC"] = (
        "off"  # for a command that lives a moment, collecting garbage is a third of it
    )
    outcome = shell.run_script(script)
    assert not outcome.failures, "\n".join(outcome.failures)


def test_there_are_enough_commands() -> None:
    assert sum(len(kubectl_script.steps(path)) for path in kubectl_script.scripts()) >= 250
