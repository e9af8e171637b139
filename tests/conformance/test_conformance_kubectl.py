"""Hundreds of kubectl commands on a served world: exit codes and what is printed."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from firedrill.gateway.kubernetes.kubectl import KubectlBinary, find_kubectl

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "bench"))
import kubectl_script

pytestmark = [pytest.mark.service, pytest.mark.xdist_group("kubectl-script"), pytest.mark.timeout(120)]

FOUND = find_kubectl()
# one version always; the others, which differ little, where time is no matter
VERSIONS = [
    pytest.param(
        binary,
        id="kubectl-{}.{}".format(*binary.version),
        marks=() if number == 0 else pytest.mark.slow,
    )
    for number, binary in enumerate(FOUND)
] or [
    pytest.param(
        None, id="none", marks=pytest.mark.skip("no kubectl of 1.30 or newer is here: scripts/tools")
    )
]


@pytest.fixture(scope="module", params=VERSIONS)
def binary(request: pytest.FixtureRequest) -> KubectlBinary:
    found: KubectlBinary = request.param
    return found


@pytest.fixture(scope="module")
def served(binary: KubectlBinary) -> Iterator[kubectl_script.ServedWorld]:
    with kubectl_script.make_served() as running:
        yield running
    assert not running.host.defects, "\n".join(running.host.defects)


@pytest.mark.parametrize("script", kubectl_script.scripts(), ids=lambda path: path.stem)
def test_script(
    binary: KubectlBinary, served: kubectl_script.ServedWorld, script: Path, tmp_path: Path
) -> None:
    outcome = kubectl_script.Shell(binary, served, tmp_path).run_script(script)
    assert not outcome.failures, "\n".join(outcome.failures)


def test_there_are_enough_commands() -> None:
    assert sum(len(kubectl_script.steps(path)) for path in kubectl_script.scripts()) >= 250
