from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from firedrill.sandbox import cgroups
from firedrill.sandbox.cgroups import Group, Hierarchy


@pytest.fixture
def unified(tmp_path: Path) -> Path:
    """A hierarchy of version 2 in which our own group may not be divided, and the one above may."""
    for name in ("", "user", "user/app"):
        folder = tmp_path / "cg" / name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "cgroup.procs").touch()
        (folder / "cgroup.subtree_control").write_text("memory pids cpu" if name == "user" else "cpu")
    return tmp_path / "cg"


def mounts(path: Path) -> str:
    return f"proc /proc proc rw 0 0\ncgroup2 {path} cgroup2 rw,nosuid 0 0\n"


def test_the_unified_hierarchy_is_divided_where_it_can_be(unified: Path) -> None:
    (unified / "user/app/cgroup.subtree_control").unlink()
    (unified / "user/app/cgroup.subtree_control").mkdir()  # writing to it fails, as with EBUSY
    assert cgroups.discover(mounts(unified), "0::/user/app\n") == Hierarchy(2, (unified / "user",))


def test_controllers_are_switched_on_where_that_is_allowed(unified: Path) -> None:
    assert cgroups.discover(mounts(unified), "0::/user/app\n") == Hierarchy(2, (unified / "user/app",))
    assert (unified / "user/app/cgroup.subtree_control").read_text() == "+memory +pids"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_hierarchy_that_is_not_ours_is_left_alone(unified: Path) -> None:
    for folder in (unified, unified / "user", unified / "user/app"):
        (folder / "cgroup.procs").chmod(0o444)
    assert cgroups.discover(mounts(unified), "0::/user/app\n") is None


def test_without_any_hierarchy_there_is_none() -> None:
    assert cgroups.discover("proc /proc proc rw 0 0\n", "0::/\n") is None


def test_nothing_above_the_mount_is_looked_at(unified: Path) -> None:
    for folder in (unified, unified / "user", unified / "user/app"):
        (folder / "cgroup.subtree_control").unlink()
        (folder / "cgroup.subtree_control").mkdir()
    assert cgroups.discover(mounts(unified), "0::/user/app\n") is None


def test_the_two_controllers_of_version_1_are_found(tmp_path: Path) -> None:
    (tmp_path / "memory/own").mkdir(parents=True)
    (tmp_path / "pids").mkdir()
    text = f"cgroup {tmp_path}/memory cgroup rw,memory 0 0\ncgroup {tmp_path}/pids cgroup rw,pids 0 0\n"
    found = cgroups.discover(text, "3:memory:/own\n2:pids:/elsewhere\n1:name=systemd:/\n")
    assert found == Hierarchy(1, (tmp_path / "memory/own", tmp_path / "pids"))


def test_bounds_are_written_in_the_words_of_each_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def with_files(self: Path, *args: object, **kwargs: object) -> None:
        os.mkdir(self)
        for name in ("memory.max", "memory.swap.max", "pids.max", "cgroup.procs"):
            (self / name).touch()

    monkeypatch.setattr(Path, "mkdir", with_files)
    group = cgroups.make(Hierarchy(2, (tmp_path,)), memory=1000, processes=10)
    assert group is not None
    texts = {path.name: path.read_text() for path in group.folders[0].iterdir()}
    assert texts["memory.max"] == "1000"
    assert texts["memory.swap.max"] == "0"
    assert texts["pids.max"] == str(10 + cgroups.SPARE_PROCESSES)
    assert group.entrances == [str(group.folders[0] / "cgroup.procs")]


def test_a_refusal_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    assert cgroups.make(Hierarchy(2, (tmp_path / "a", tmp_path / "missing")), memory=1, processes=1) is None
    assert list((tmp_path / "a").iterdir()) == []


def test_groups_of_dead_owners_are_swept_and_those_of_the_living_stay(tmp_path: Path) -> None:
    dead = subprocess.Popen(["true"])
    dead.wait()
    hierarchy = Hierarchy(2, (tmp_path,))
    alive = cgroups.make(hierarchy, memory=1, processes=1)
    assert alive is not None
    reused = alive.folders[0].name.replace(f"-{os.getpid()}-", f"-{os.getppid()}-")
    for name in (f"fd-{dead.pid}-12345-0", reused, "fd-x-1-1"):
        (tmp_path / name).mkdir()
    cgroups.sweep(hierarchy)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(["fd-x-1-1", alive.folders[0].name])


def test_what_is_left_inside_is_killed(tmp_path: Path) -> None:
    left = subprocess.Popen(["sleep", "60"])
    folder = tmp_path / "group"
    folder.mkdir()
    (folder / "cgroup.procs").write_text(f"{left.pid}\n")
    assert not Group((folder,)).remove(0.0)
    assert left.wait(60) == -9
