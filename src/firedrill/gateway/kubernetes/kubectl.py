"""The kubectl programs of this machine."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import orjson

_USUAL = ("/usr/local/bin", "/usr/bin", "/opt/bin", "/snap/bin", "/usr/lib/google-cloud-sdk/bin")
_NAME = re.compile(r"kubectl(\.1\.\d+)?")
_VERSION = re.compile(r"v(\d+)\.(\d+)\.(\d+)")


@dataclass(frozen=True, slots=True, order=True)
class KubectlBinary:
    """A program and its version, as in `(1, 33, 1)`. Sorts by version."""

    version: tuple[int, int, int]
    path: Path


def find_kubectl(minimum: tuple[int, int] = (1, 30)) -> list[KubectlBinary]:
    """Every kubectl from that version on, newest first, one for each version.

    Looks in PATH, in the usual folders and in the checkout's own `tools/`. A dispatcher that chooses among
    versioned programs beside it is passed over for these.
    """
    found: dict[tuple[int, int, int], KubectlBinary] = {}
    for path in _candidates():
        info = path.stat()
        version = _version(str(path), info.st_size, info.st_mtime_ns)
        if version is not None and version[:2] >= minimum:
            found.setdefault(version, KubectlBinary(version, path))
    return sorted(found.values(), reverse=True)


def _folders() -> Iterator[Path]:
    for text in (*os.environ.get("PATH", "").split(os.pathsep), *_USUAL):
        if text.startswith("/"):
            yield Path(text)
    root = Path(__file__).resolve().parents[4]
    if (root / "pyproject.toml").is_file():
        yield from (root / "tools" / "bin", root / "tools" / "usr" / "bin")


def _candidates() -> list[Path]:
    found: dict[Path, None] = {}
    for folder in _folders():
        try:
            names = sorted(path.name for path in folder.iterdir() if _NAME.fullmatch(path.name))
        except OSError:
            continue
        for name in names:
            path = (folder / name).resolve()
            beside = list(path.parent.glob("kubectl.1.*"))
            if (name == "kubectl" and beside) or not os.access(path, os.X_OK) or not path.is_file():
                found.update((one.resolve(), None) for one in sorted(beside) if os.access(one, os.X_OK))
            else:
                found[path] = None
    return list(found)


@lru_cache(maxsize=64)
def _version(path: str, _size: int, _changed: int) -> tuple[int, int, int] | None:
    try:
        done = subprocess.run(
            [path, "version", "--client", "-o", "json"], capture_output=True, timeout=20, check=False
        )
        text = orjson.loads(done.stdout)["clientVersion"]["gitVersion"]
    except (OSError, subprocess.TimeoutExpired, orjson.JSONDecodeError, KeyError, TypeError):
        return None
    match = _VERSION.match(str(text))
    return (int(match[1]), int(match[2]), int(match[3])) if match else None
