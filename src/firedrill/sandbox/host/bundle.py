"""What a played host needs beside its tree: Ansible, the first process, the keeper of owners.

Gathered once in the user's cache, compiled by the tool root's own Python, and bound read-only. Ansible comes
from the Python that runs Firedrill; nothing of that Python's own folder is shown.
"""

from __future__ import annotations

import functools
import importlib.metadata
import importlib.util
import os
import shutil
import subprocess
import threading
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from firedrill.core.digest import digest_of, short
from firedrill.core.errors import InfrastructureError, InputError
from firedrill.sandbox.bundle import cache_home, source
from firedrill.sandbox.toolroot import ToolRoot

PACKAGES = {
    "ansible-core": ("ansible",),
    "jinja2": ("jinja2",),
    "markupsafe": ("markupsafe",),
    "pyyaml": ("yaml", "_yaml"),
    "packaging": ("packaging",),
    "resolvelib": ("resolvelib",),
}
"""Distribution to the packages that are taken from it."""
OPTIONAL = ("ansible_collections",)
OWN = ("answer", "rpm", "ansible-playbook", "compiled_library")
INSIDE = ("__init__", "frames", "processes", "steward")
SITE, MANAGER, TOOLS = "/usr/lib/python3/dist-packages", "/usr/lib/manager", "/usr/lib/tools"
"""Where the three stand inside."""
_LOCK = threading.Lock()
PRELOAD = "libfakeroot-sysv.so"


@dataclass(frozen=True)
class Bundle:
    """Folders of the machine to bind."""

    site: Path
    manager: Path
    locale: Path
    collections: Path | None
    """Collections of Ansible that the user has installed."""


def packaged(name: str) -> str:
    """The text of one of this room's data files."""
    return (resources.files("firedrill.sandbox.host") / "data" / name).read_text("utf-8")


def tools() -> list[str]:
    """Names of the real programs that a host has, if the tool root has them."""
    return packaged("tools.txt").split()


def _place(package: str) -> Path:
    found = importlib.util.find_spec(package)
    if found is None or found.origin is None:
        raise InputError(
            f"playbooks need the Python package {package}, which is not installed",
            source="ansible-core",
            mend="install Firedrill with its extra `host`",
        )
    return Path(found.origin).parent


def _fakeroot() -> tuple[Path, Path]:
    """The keeper of owners and the library that asks it, of this machine."""
    keeper = shutil.which("faked-sysv")
    library = next(iter(sorted(Path("/usr").glob(f"lib*/**/libfakeroot/{PRELOAD}"))), None)
    if keeper is None or library is None:
        raise InfrastructureError(
            "hosts need fakeroot with System V message queues, which is not installed; "
            "run `apt-get install fakeroot`"
        )
    return Path(keeper), library


def _locale(root: ToolRoot) -> Path:
    """A locale in UTF-8, without which Ansible does not start."""
    for usr in (root.path / "usr", Path("/usr")):
        for name in ("C.utf8", "C.UTF-8"):
            if (usr / "lib" / "locale" / name).is_dir():
                return usr / "lib" / "locale" / name
    raise InfrastructureError("hosts need the locale C.UTF-8 below /usr/lib/locale, and there is none")


def bundle(root: ToolRoot, bwrap: str) -> Bundle:
    """The folders of this machine, gathered first when they are not there yet.

    Raises:
        InputError: ansible-core is not installed.
        InfrastructureError: fakeroot is not, or the cache cannot be written.
    """
    # several plays may begin at once, each in a thread
    with _LOCK:
        return _bundle(root, bwrap)


@functools.lru_cache(maxsize=4)
def _bundle(root: ToolRoot, bwrap: str) -> Bundle:
    places = {package: _place(package) for packages in PACKAGES.values() for package in packages}
    versions = {name: importlib.metadata.version(name) for name in PACKAGES}
    keeper, library = _fakeroot()
    texts = {name: (source() / "inside" / f"{name}.py").read_text("utf-8") for name in INSIDE}
    own = {name: packaged(f"{name}.script") for name in OWN}
    locale = _locale(root)
    binaries = [str(path.stat().st_size) for path in (keeper, library)]
    recipe = Path(__file__).read_text("utf-8")
    parts = [versions, texts, own, binaries, str(locale), root.digest, recipe]
    target = cache_home() / "host" / short(digest_of(parts), 16)
    if not target.is_dir():
        work = target.with_name(f".{target.name}-{os.getpid()}")
        try:
            _gather(work, places, texts, own, (keeper, library))
            _label(work / "site", versions)
            shutil.copytree(locale, work / "locale" / "C.utf8")
            _compile(work, root, bwrap)
            try:
                work.rename(target)
            except OSError:
                # somebody else was faster
                if not target.is_dir():
                    raise
        except OSError as error:
            raise InfrastructureError(f"what hosts need cannot be gathered: {error}") from error
        finally:
            shutil.rmtree(work, ignore_errors=True)
    return Bundle(target / "site", target / "manager", target / "locale", _collections())


def _collections() -> Path | None:
    found = importlib.util.find_spec("ansible_collections")
    places = list(found.submodule_search_locations or ()) if found is not None else []
    return Path(places[0]) if places else None


def _gather(
    work: Path,
    places: dict[str, Path],
    texts: dict[str, str],
    own: dict[str, str],
    fakeroot: tuple[Path, ...],
) -> None:
    shutil.rmtree(work, ignore_errors=True)
    (work / "site").mkdir(parents=True)
    (work / "manager" / "inside").mkdir(parents=True)
    (work / "site" / "ansible_collections").mkdir()
    for package, place in places.items():
        shutil.copytree(place, work / "site" / package, ignore=shutil.ignore_patterns("__pycache__", "*.pyi"))
    for name, text in texts.items():
        (work / "manager" / "inside" / f"{name}.py").write_text(text, "utf-8")
    for name in ("rpm", "compiled_library"):
        (work / "site" / f"{name}.py").write_text(own[name], "utf-8")
    # read by Python at its start
    (work / "site" / "compiled.pth").write_text("import compiled_library\n", "utf-8")
    for name in ("answer", "ansible-playbook"):
        (work / "manager" / name).write_text(own[name], "utf-8")
    for path in fakeroot:
        shutil.copyfile(path, work / "manager" / path.name)


def _label(site: Path, versions: dict[str, str]) -> None:
    """Names and versions, which Ansible asks for."""
    for name, version in versions.items():
        folder = site / f"{name.replace('-', '_')}-{version}.dist-info"
        folder.mkdir()
        text = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        (folder / "METADATA").write_text(text, "utf-8")


def _compile(work: Path, root: ToolRoot, bwrap: str) -> None:
    """Bytecode; without it everything works too, more slowly."""
    usr = str(root.path / "usr")
    subprocess.run(
        [
            bwrap, "--ro-bind", usr, "/usr",
            "--symlink", "usr/lib", "/lib", "--symlink", "usr/lib64", "/lib64",
            "--bind", str(work), "/run/work", "--proc", "/proc", "--dev", "/dev",
            "/usr/bin/python3", "-I", "-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash",
            "-s", "/run/work/site", "-p", SITE, "/run/work/site", "/run/work/manager/inside",
        ],
        env={}, capture_output=True, check=False,
    )  # fmt: skip
    for path in work.rglob("*"):
        path.chmod(0o755 if path.is_dir() or path.parent.name == "manager" else 0o644)
