"""The suites of scenario files that come with Firedrill, as they are stored: one compressed file for each."""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from firedrill.core.errors import InputError

SUFFIX = ".jsonl.gz"
_LIMIT = 64 * 1024 * 1024


def packaged_folder() -> Path:
    """Where they are."""
    return Path(str(resources.files("firedrill.suites").joinpath("data", "living")))


def packaged_names() -> tuple[str, ...]:
    """Their names, sorted."""
    root = packaged_folder()
    if not root.is_dir():
        return ()
    return tuple(sorted(i.name.removesuffix(SUFFIX) for i in root.iterdir() if i.name.endswith(SUFFIX)))


@cache
def packaged_head(name: str) -> Mapping[str, Any]:
    """What a packaged suite says of itself: name, version, title, digest, how many scenarios.

    Raises:
        InputError: there is none of that name.
    """
    head: Mapping[str, Any] = json.loads(packaged_lines(name)[0])
    return head


def packaged_lines(name: str) -> list[str]:
    """The lines of its file: the first about it, then one for each scenario.

    Raises:
        InputError: there is none of that name.
    """
    if name not in packaged_names():
        known = ", ".join(packaged_names()) or "none"
        raise InputError(f"no suite {name!r} comes with Firedrill", mend=f"there are: {known}")
    with gzip.open(packaged_folder() / f"{name}{SUFFIX}", "rb") as handle:
        text = handle.read(_LIMIT + 1)
    if len(text) > _LIMIT:
        raise InputError(f"the packaged suite {name} is too large")
    return text.decode().splitlines()


__all__ = ["SUFFIX", "packaged_folder", "packaged_head", "packaged_lines", "packaged_names"]
