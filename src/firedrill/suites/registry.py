"""The suites that the user has added: names that stand for folders."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError

from firedrill.core.episode import Record
from firedrill.core.errors import InputError
from firedrill.suites._files import locked, write_atomic
from firedrill.suites._places import data_home
from firedrill.suites.model import Suite

_NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"
_VERSION = r"^[A-Za-z0-9][A-Za-z0-9._+-]*$"


class Entry(Record):
    """One registered suite. The folder stays where it is; ``digest`` tells whether it has changed since."""

    name: str = Field(pattern=_NAME, max_length=64)
    version: str = Field(pattern=_VERSION, max_length=64)
    path: str
    digest: str
    title: str = ""
    scenarios: int = 0

    @property
    def label(self) -> str:
        """``name@version``."""
        return f"{self.name}@{self.version}"

    @property
    def present(self) -> bool:
        """Whether the folder (or scenario file) is still there."""
        return Path(self.path).exists()


class _Registry(Record):
    format: int = 1
    suites: tuple[Entry, ...] = ()


def registry_file() -> Path:
    """``suites.json`` in the user's data folder."""
    return data_home() / "suites.json"


def list_suites() -> tuple[Entry, ...]:
    """All registered suites, by name, and per name the oldest registration first."""
    return tuple(sorted(_read().suites, key=lambda entry: entry.name))


def find(spec: str) -> Entry | None:
    """The entry of ``name`` (its latest registration) or ``name@version``, or None."""
    name, _, version = spec.partition("@")
    matching = [e for e in _read().suites if e.name == name and (not version or e.version == version)]
    return matching[-1] if matching else None


def unknown(spec: str) -> InputError:
    """The error for a name that is neither registered nor a path."""
    from firedrill.suites.compliance.opening import suite_names
    from firedrill.suites.living.packaged import packaged_names

    entries = list_suites()
    names = sorted({entry.name for entry in entries} | {entry.label for entry in entries})
    names += [*packaged_names(), *suite_names()]
    close = difflib.get_close_matches(spec, names, n=1)
    if close:
        mend = f"did you mean {close[0]!r}?"
    else:
        mend = "`firedrill suite list` shows what there is; give a path, or `firedrill suite add PATH`"
    return InputError(f"no suite and no folder {spec!r}", mend=mend)


def add(suite: Suite, path: Path, *, title: str = "", replace: bool = False) -> Entry:
    """Register ``suite`` as standing at ``path``.

    Adding what is registered already changes nothing. The same name and version with other content, or at
    another place, needs ``replace``.

    Raises:
        InputError: when name and version are taken, or cannot be used as a name, or the path is no text.
    """
    if any("\udc80" <= char <= "\udcff" for char in str(path.resolve())):
        raise InputError(
            "its path is not UTF-8, and cannot be registered", source=str(path), mend="rename it"
        )
    try:
        entry = Entry(
            name=suite.name,
            version=suite.version,
            path=str(path.resolve()),
            digest=suite.digest,
            title=title,
            scenarios=len(suite.scenarios),
        )
    except ValidationError as error:
        field = str(error.errors(include_url=False)[0]["loc"][0])
        problem = (
            f"{field} {getattr(suite, field, '')!r} cannot be used: letters, digits and ._- only, at most 64"
        )
        raise InputError(problem, source=str(path), mend=f"give --{field}") from None
    with locked(_lock_file()):
        entries = list(_read().suites)
        place = next(
            (i for i, e in enumerate(entries) if (e.name, e.version) == (entry.name, entry.version)), None
        )
        if place is None:
            entries.append(entry)
        elif replace or entries[place].model_copy(update={"title": title}) == entry:
            entries[place] = entry
        else:
            raise _taken(entries[place], entry)
        _write(entries)
    return entry


def _taken(old: Entry, new: Entry) -> InputError:
    if old.digest != new.digest:
        problem = f"a suite {old.label} with other content is registered at {old.path}"
    else:
        problem = f"the suite {old.label} is registered at {old.path}"
    return InputError(problem, source=new.path, mend="give another --version or --name, or --replace it")


def unregister(spec: str) -> tuple[Entry, ...]:
    """Forget ``name`` (all its versions) or ``name@version``; the folders stay. Returns what was forgotten.

    Raises:
        InputError: when nothing has that name.
    """
    name, _, version = spec.partition("@")
    with locked(_lock_file()):
        entries = _read().suites
        gone = tuple(e for e in entries if e.name == name and (not version or e.version == version))
        if not gone:
            raise unknown(spec)
        _write(e for e in entries if e not in gone)
    return gone


def _lock_file() -> Path:
    return registry_file().with_suffix(".lock")


def _read() -> _Registry:
    path = registry_file()
    try:
        data: Any = json.loads(path.read_bytes())
        return _Registry.model_validate(data)
    except FileNotFoundError:
        return _Registry()
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror})", source=str(path)) from None
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = ".".join(str(part) for part in first["loc"])
        raise InputError(first["msg"], source=str(path), field=field, mend=_MEND) from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"is not JSON: {error}", source=str(path), mend=_MEND) from None


_MEND = "move it away and add the suites again"


def _write(entries: Iterable[Entry]) -> None:
    data = _Registry(suites=tuple(entries)).model_dump(mode="json")
    write_atomic(registry_file(), (json.dumps(data, indent=2, ensure_ascii=False) + "\n").encode())
