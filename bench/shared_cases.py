"""The public policy cases of the benches: an unpacked folder, or the archive of FIREDRILL_SHARED."""

from __future__ import annotations

import os
import tarfile
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

SHARED = Path(os.environ.get("FIREDRILL_SHARED") or Path(__file__).resolve().parents[2] / "shared")


@contextmanager
def folder(arguments: Sequence[str]) -> Iterator[Path]:
    """The folder that the first argument names, else the archive unpacked for as long as it is needed."""
    if arguments:
        yield Path(arguments[0])
        return
    with tempfile.TemporaryDirectory() as scratch:
        with tarfile.open(SHARED / "data" / "policy-dev.tar.xz") as archive:
            archive.extractall(scratch, filter="data")
        yield Path(scratch) / "policy-dev"
