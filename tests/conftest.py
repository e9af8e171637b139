"""Fixtures that every room's tests share."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import sys
import tarfile
import tempfile
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager, nullcontext
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from firedrill.sandbox import toolroot

TOOL_ROOTS = os.environ.get("FIREDRILL_TOOLROOT") or str(toolroot.home())
REPO = Path(__file__).resolve().parent.parent

_CALM: dict[str, Any] = {
    "deadline": None,
    "suppress_health_check": [HealthCheck.too_slow, HealthCheck.data_too_large],
}
settings.register_profile("firedrill", max_examples=25, **_CALM)
settings.register_profile("thorough", max_examples=1000, **_CALM)  # HYPOTHESIS_PROFILE=thorough
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE") or "firedrill")


def shared_folder() -> Path:
    """Where the recorded incidents lie: ``FIREDRILL_SHARED``, or ``shared`` beside the checkout."""
    return Path(os.environ.get("FIREDRILL_SHARED") or REPO.parent / "shared")


def _unpack(archive: Path) -> Path:
    stamp = archive.stat()
    key = hashlib.sha256(f"{archive}{stamp.st_size}{stamp.st_mtime_ns}".encode()).hexdigest()[:16]
    target = Path(tempfile.gettempdir()) / "firedrill-tests" / key
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(dir=target.parent))
        with tarfile.open(archive) as tar:
            tar.extractall(staging, filter="data")
        try:
            staging.rename(target)
        except OSError:
            shutil.rmtree(staging)  # another process was faster
    return target


@pytest.fixture(scope="session")
def shared_data() -> Callable[[str], Path]:
    """``shared_data("real-dev")``: the unpacked folder of that archive, read-only by agreement."""

    def find(name: str) -> Path:
        archive = shared_folder() / "data" / f"{name}.tar.xz"
        if not archive.is_file():
            pytest.skip(
                f"{archive} is missing: set FIREDRILL_SHARED to the folder that holds data/{name}.tar.xz"
            )
        return _unpack(archive) / name

    return find


@pytest.fixture(scope="session")
def shared_reference() -> Callable[[str], Path]:
    """``shared_reference("ntam-graph.json")``: a reference file, or a skip."""

    def find(name: str) -> Path:
        path = shared_folder() / "reference" / name
        if not path.is_file():
            pytest.skip(f"{path} is missing: set FIREDRILL_SHARED to the folder that holds reference/{name}")
        return path

    return find


@pytest.fixture(scope="session")
def once_for_all(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, Callable[[Path], object]], Path]:
    """``once_for_all("name", make)``: a folder that one of the processes makes, read-only by agreement."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base

    def find(name: str, make: Callable[[Path], object]) -> Path:
        folder = shared / "shared" / name
        folder.parent.mkdir(exist_ok=True)
        with folder.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not folder.exists():
                staging = Path(tempfile.mkdtemp(dir=folder.parent)) / "made"
                with _not_followed():
                    make(staging)
                staging.rename(folder)
        return folder

    return find


@pytest.fixture(scope="session")
def recorded_suite(once_for_all: Callable[[str, Callable[[Path], object]], Path]) -> Path:
    """A suite of one incident, lite-018 (a Service is deleted): a world recorded with everything, of which little."""
    from firedrill.suites import open_suite
    from firedrill.suites.exporting import Amount
    from firedrill.suites.exporting.suite import export_suite

    def make(out: Path) -> None:
        small = Amount(traces=0.005, metrics_ms=300_000, logs=0.005)
        export_suite(open_suite("lite"), out, names=["lite-018"], amount=small, processes=1)

    return once_for_all("recorded-suite", make)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with slow tests begin first: what is long and begins last, everyone waits for."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Slow tests run without coverage: following each branch of whole hours would treble their time.

    It does follow those that simulate in processes of their own, which it leaves alone.
    """
    simulates = item.get_closest_marker("slow") and not item.get_closest_marker("elsewhere")
    with _not_followed() if simulates else nullcontext():
        return (yield)


@contextmanager
def _not_followed() -> Iterator[None]:
    coverage = sys.modules.get("coverage")
    following = coverage.Coverage.current() if coverage else None
    if following is None:
        yield
        return
    following.stop()
    try:
        yield
    finally:
        following.start()


@pytest.fixture(scope="session")
def _homes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A name for each test's own home; most never write there, so that no folder is made ahead."""
    root = tmp_path_factory.mktemp("homes")
    return (root / str(number) for number in count())


@pytest.fixture(autouse=True)
def _own_home(_homes: Iterator[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads or writes the user's own suites, caches, settings or model keys."""
    home = next(_homes)
    monkeypatch.setenv("FIREDRILL_DATA", str(home / "data"))
    monkeypatch.setenv("FIREDRILL_CACHE", str(home / "cache"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home / "config"))
    # the tool root is large and built once: tests use the one that `make install` built
    monkeypatch.setenv("FIREDRILL_TOOLROOT", TOOL_ROOTS)
    for name in list(os.environ):
        if name.endswith(("_API_KEY", "_BASE_URL")) or name in (
            "HF_TOKEN",
            "HF_ENDPOINT",
            "FIREDRILL_PRICES",
        ):
            monkeypatch.delenv(name)
