"""Reading and writing the files of a run: whole or not at all, in one form, never past a bound."""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import Any

from firedrill.core.digest import digest_of
from firedrill.core.errors import InputError

MAX_JSON_BYTES = 512 * 1024 * 1024
"""No JSON file of a run that we wrote comes near this; a larger one is not read into memory."""

_CHUNK = 1 << 20
_TEMPORARY = re.compile(r"\..+\.[0-9]+\.tmp")


def json_bytes(value: Any, *, pretty: bool = False) -> bytes:
    """``value`` as UTF-8 JSON with sorted keys and a final newline.

    Lone surrogates, which have no UTF-8 form, are written as JSON escapes, so every value that JSON
    can hold comes back as it went in, and equal values always give equal bytes.

    Raises:
        ValueError: for NaN or infinity.
        TypeError: for values that JSON cannot hold.
    """
    text = json.dumps(
        value,
        sort_keys=True,
        ensure_ascii=False,
        allow_nan=False,
        indent=1 if pretty else None,
        separators=(",", ": ") if pretty else (",", ":"),
    )
    return text.encode("utf-8", "backslashreplace") + b"\n"


def write_atomic(path: Path, data: bytes, *, durable: bool = False) -> None:
    """Write ``data`` under a temporary name in the same folder, then move it into place.

    ``durable`` waits until the disk has it; without it only a crash of the program is survived.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as handle:
            handle.write(data)
            if durable:
                handle.flush()
                os.fsync(handle.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def is_temporary(name: str) -> bool:
    """Whether a file of that name is what a killed ``write_atomic`` leaves behind."""
    return _TEMPORARY.fullmatch(name) is not None


def remove_temporaries(folders: Iterable[Path]) -> None:
    """Remove what killed writes left in ``folders``, which nobody writes to at the moment."""
    for folder in folders:
        if folder.is_dir():
            for path in folder.iterdir():
                if is_temporary(path.name) and is_plain_file(path):
                    path.unlink(missing_ok=True)


def is_plain_file(path: Path) -> bool:
    """Whether ``path`` is a regular file, not a link to one."""
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except (OSError, ValueError):
        return False


def read_bytes(path: Path, limit: int = MAX_JSON_BYTES) -> bytes:
    """The content of a regular file.

    Raises:
        InputError: when it is missing, a link, unreadable or longer than ``limit`` bytes.
    """
    if not is_plain_file(path):
        raise InputError("expected a file, found none", source=str(path))
    try:
        with path.open("rb") as handle:
            data = handle.read(limit + 1)
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", source=str(path)) from error
    if len(data) > limit:
        raise InputError(f"longer than {limit} bytes", source=str(path))
    return data


def parse_json(data: bytes, source: str) -> Any:
    """``data`` as JSON.

    Raises:
        InputError: when it is not JSON; says the line.
    """
    try:
        return json.loads(data.decode("utf-8"), parse_constant=_refuse)
    except json.JSONDecodeError as error:
        raise InputError(f"not JSON: {error.msg}", source=source, line=error.lineno) from error
    except (UnicodeDecodeError, RecursionError, ValueError) as error:
        raise InputError(f"not JSON: {error}", source=source) from error


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


def read_json(path: Path) -> Any:
    """The JSON value of a file.

    Raises:
        InputError: when the file is missing or not JSON.
    """
    return parse_json(read_bytes(path), str(path))


def file_digest(path: Path) -> str:
    """``sha256:`` and 64 hex digits of a file's bytes, read in pieces."""
    state = hashlib.sha256()
    with path.open("rb") as handle:
        while chunk := handle.read(_CHUNK):
            state.update(chunk)
    return "sha256:" + state.hexdigest()


def digest_without_timing(document: Any) -> str:
    """Digest of a JSON object's canonical form without its ``timing`` member."""
    if isinstance(document, dict):
        document = {name: value for name, value in document.items() if name != "timing"}
    return digest_of(document)


def walk(root: Path, *, skip: Collection[str] = ()) -> Iterator[tuple[Path, bool]]:
    """Everything below ``root`` in sorted order as ``(path, is_folder)``; links are not followed.

    ``skip`` names entries of ``root`` itself to leave out.
    """
    try:
        entries = sorted(os.scandir(root), key=lambda entry: entry.name)
    except (FileNotFoundError, NotADirectoryError):
        return
    for entry in entries:
        if entry.name in skip:
            continue
        path = Path(entry.path)
        folder = entry.is_dir(follow_symlinks=False)
        yield path, folder
        if folder:
            yield from walk(path)
