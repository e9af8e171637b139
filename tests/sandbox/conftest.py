"""Sandboxes to test in, and evidence to put there."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from firedrill.sandbox import SandboxLimits, SandboxSpec, View, bubblewrap, toolroot
from firedrill.sandbox import bare as unconfined
from firedrill.sandbox.opening import open_workspace
from firedrill.sandbox.workspace import SupervisedWorkspace

REPO = Path(__file__).resolve().parents[2]
Opener = Callable[..., SupervisedWorkspace]


@pytest.fixture
def tool_root() -> toolroot.ToolRoot:
    """The tool root of this machine; a test that needs one is skipped without, but never in CI."""
    found = toolroot.locate() if shutil.which("bwrap") else None
    if found is None:
        reason = "no bubblewrap or no tool root here: run `make install`"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    return found


@pytest.fixture
def evidence(tmp_path: Path) -> Path:
    """An incident's folder with two files, readable by all."""
    folder = tmp_path / "incident"
    (folder / "metrics").mkdir(parents=True)
    (folder / "otel_logs_raw.tsv").write_text("Timestamp\tBody\n1\tit broke\n")
    (folder / "metrics" / "cpu.tsv").write_text("value\n0.5\n")
    return folder


@pytest.fixture
def view(evidence: Path) -> View:
    """Both files, and a generated text."""
    return View(
        entries={name: evidence / name for name in ("otel_logs_raw.tsv", "metrics")},
        texts={"topology.json": '{"nodes": []}'},
    )


@pytest.fixture
def box(tool_root: toolroot.ToolRoot, view: View) -> Opener:
    """``box(**limits)`` opens a bubblewrap sandbox over the evidence."""

    def opened(view_of: View = view, **limits: float) -> SupervisedWorkspace:
        spec = SandboxSpec(limits=SandboxLimits(**limits))  # type: ignore[arg-type]
        return open_workspace(view_of, spec)

    return opened


MEASURED = """
import sys, coverage, coverage.exceptions; sys.path.insert(0, {src!r})
c = coverage.Coverage(data_file={data!r}, data_suffix=True, config_file={config!r})
c.start()
"""
SUPERVISOR = """
from firedrill.sandbox.inside.supervisor import main
try:
    main([])
finally:
    c.stop(); c.save()
"""
LAUNCHER = """
import os
from firedrill.sandbox.inside import launcher
def keep():
    c.stop()
    try:
        c.save()
    except coverage.exceptions.CoverageException:
        # this process became another user, who may not write here; its figures are no part of the test
        pass
def first(deed):
    # afterwards this process can no longer write the figures: it is another user, or another program
    def then(*a):
        keep()
        return deed(*a)
    return then
launcher.drop, os.execve = first(launcher.drop), first(os.execve)
try:
    launcher.main(sys.argv[1:])
except SystemExit:
    keep()
    raise
"""


def measured(program: str) -> list[str] | None:
    """Arguments that make Python run ``program`` under coverage, when these tests are run so."""
    module = sys.modules.get("coverage")
    if module is None or module.Coverage.current() is None:
        return None
    names = {
        "src": str(REPO / "src"),
        "data": str(REPO / ".coverage"),
        "config": str(REPO / "pyproject.toml"),
    }
    return ["-c", MEASURED.format(**names) + program]


@pytest.fixture
def measured_launcher(monkeypatch: pytest.MonkeyPatch) -> None:
    """The launcher of sandboxes, measured with the tests."""
    arguments = measured(LAUNCHER)
    if arguments is not None:
        monkeypatch.setattr(bubblewrap, "LAUNCHER", (sys.executable, *arguments))


@pytest.fixture
def bare(view: View, monkeypatch: pytest.MonkeyPatch) -> Opener:
    """``bare(**limits)`` opens a workspace without a sandbox, whose supervisor is measured with the tests."""
    arguments = measured(SUPERVISOR)
    if arguments is not None:
        monkeypatch.setattr(unconfined, "boot", lambda _module: arguments)
    spec_of = {"cpu_seconds": 600}

    def opened(view_of: View = view, **limits: float) -> SupervisedWorkspace:
        spec = SandboxSpec(kind="none", limits=SandboxLimits(**{**spec_of, **limits}))  # type: ignore[arg-type]
        return open_workspace(view_of, spec)

    return opened
