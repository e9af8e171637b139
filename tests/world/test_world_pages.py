"""The pages that are made from the code agree with it."""

from __future__ import annotations

from pathlib import Path

from firedrill.faults import catalogue
from firedrill.world.kube import coverage
from firedrill.world.kube.kinds import default_kinds

DOCS = Path(__file__).parents[2] / "docs"


def test_the_page_on_coverage_is_the_code_s() -> None:
    assert (DOCS / "coverage.md").read_text("utf-8") == coverage.page(), "run scripts/coverage"


def test_the_page_on_faults_is_the_code_s() -> None:
    assert (DOCS / "faults.md").read_text("utf-8") == catalogue.page(), "run scripts/coverage"


def test_what_is_called_simulated_is_a_resource() -> None:
    known = {kind.resource for kind in default_kinds().all()}
    assert set(coverage.words()["simulated"]) <= known


def test_what_a_loop_looks_after_is_not_called_stored() -> None:
    silent = [
        kind.resource
        for kind in default_kinds().all()
        if coverage.loops(kind) and kind.resource not in coverage.words()["simulated"]
    ]
    assert silent == []
