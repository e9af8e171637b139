"""A host as data: files with owner and mode, running kernel settings, mounts, units, packages, rules.

What a file says and what runs are recorded apart, since most requirements ask for both. Nothing here
computes what the machine would do with it: that is ``world.host.effective``.
"""

from __future__ import annotations

import functools
import posixpath
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError, model_validator

from firedrill.core.documents import read_documents
from firedrill.core.episode import Record
from firedrill.core.errors import InputError

TOPS = ("etc", "var", "boot", "home", "root", "usr", "run", "opt", "srv", "tmp", "mnt", "media")
"""What may stand at the root of a host's tree."""
MAX_FILE = 1_000_000
"""Characters of one file."""
LINKS = 40
"""Symbolic links followed for one path, as in the kernel."""


def _path(path: str) -> str:
    path = _place(path)
    if path.split("/")[1] not in TOPS:
        raise ValueError(f"must be below one of {', '.join(TOPS)}")
    return path


def _place(path: str) -> str:
    plain = path == posixpath.normpath(path) and not path.startswith("//")
    if not path.startswith("/") or not plain or "\0" in path or "\n" in path:
        raise ValueError("must be absolute and plain, as in /etc/motd")
    return path


def _mode(value: object) -> object:
    # YAML reads 0644 as the number 420 and 644 as the number 644
    if not isinstance(value, str):
        raise ValueError('must be text in octal, in quotes, as in "0644"')
    return value.zfill(4)


def _text(value: object) -> object:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


Path = Annotated[str, AfterValidator(_path), Field(max_length=1024)]
Place = Annotated[str, AfterValidator(_place), Field(max_length=1024)]
Mode = Annotated[str, BeforeValidator(_mode), Field(pattern=r"^[0-7]{4}$")]
Word = Annotated[str, Field(pattern=r"^[^\s]+$", max_length=256)]
Value = Annotated[str, BeforeValidator(_text)]


class HostFile(Record):
    """A file, folder or symbolic link. ``mode`` is octal text of four digits; a link's says nothing."""

    path: Path
    type: Literal["file", "dir", "link"] = "file"
    owner: Word = "root"
    group: Word = "root"
    mode: Mode = "0644"
    content: Annotated[str, Field(max_length=MAX_FILE)] = ""
    target: Annotated[str, Field(pattern=r"^[^\x00\n]*$", max_length=1024)] = ""
    selinux: str = ""
    acl: tuple[str, ...] = ()
    """Entries beyond the mode, as ``user:alice:r--``: a record only, no file system holds it."""

    @model_validator(mode="before")
    @classmethod
    def _shape(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        kind = data.get("type", "link" if "target" in data else "file")
        if kind != "link" and "target" in data:
            raise ValueError("only a link has a target")
        if kind == "link" and not data.get("target"):
            raise ValueError("a link needs a target")
        if kind != "file" and data.get("content"):
            raise ValueError(f"a {kind} has no content")
        usual = {"dir": "0755", "link": "0777"}.get(kind, "0644")
        return {"mode": usual, **data, "type": kind}

    @property
    def bits(self) -> int:
        """The mode as a number."""
        return int(self.mode, 8)


class OperatingSystem(Record):
    """What os-release says in short."""

    id: Word = "rhel"
    version: Word = "9.4"


class Mount(Record):
    """A running mount; ``options`` as the mount table shows them."""

    source: Word
    target: Place
    fstype: Word
    options: tuple[Word, ...] = ("rw", "relatime")


class Unit(Record):
    """A unit as the running service manager knows it. Files may say otherwise."""

    name: Word
    load: Literal["loaded", "not-found", "masked", "error", "bad-setting"] = "loaded"
    active: Literal["active", "inactive", "failed", "activating", "deactivating", "reloading"] = "inactive"
    sub: Word = "dead"
    enabled: Literal[
        "enabled", "enabled-runtime", "disabled", "static", "masked", "masked-runtime", "alias", "indirect",
        "linked", "generated", "transient", ""
    ] = "disabled"  # fmt: skip
    description: str = ""


class Package(Record):
    """An installed package."""

    name: Word
    epoch: Value = ""
    version: Value
    release: Value
    arch: Word = "x86_64"

    @property
    def nvra(self) -> str:
        """``name-version-release.arch``, as ``rpm -q`` prints it."""
        return f"{self.name}-{self.version}-{self.release}.{self.arch}"


class Audit(Record):
    """The audit system that runs: ``enabled`` 0 off, 1 on, 2 immutable; ``rules`` as ``auditctl -l``."""

    enabled: Annotated[int, Field(ge=0, le=2)] = 1
    rules: tuple[str, ...] = ()


class Zone(Record):
    """A firewall zone: its bindings and what it lets through."""

    target: str = "default"
    interfaces: tuple[Word, ...] = ()
    sources: tuple[Word, ...] = ()
    services: tuple[Word, ...] = ()
    ports: tuple[Word, ...] = ()
    protocols: tuple[Word, ...] = ()
    forward: bool = True
    masquerade: bool = False
    icmp_blocks: tuple[Word, ...] = ()
    icmp_block_inversion: bool = False
    rich_rules: tuple[str, ...] = ()


class Firewalld(Record):
    """The firewall that runs. What it would start with is in files."""

    running: bool = True
    default_zone: Word = "public"
    zones: dict[str, Zone] = {}


class Listen(Record):
    """A listening socket."""

    proto: Literal["tcp", "tcp6", "udp", "udp6"] = "tcp"
    addr: Word
    port: Annotated[int, Field(ge=1, le=65535)]
    process: str = ""


class Host(Record):
    """One host. ``files`` by path, ``mounts`` by target, ``units`` and ``packages`` by name."""

    os: OperatingSystem = OperatingSystem()
    kernel: Word = "5.14.0-427.13.1.el9_4.x86_64"
    hostname: Word = "rhel9"
    selinux: Literal["enforcing", "permissive", "disabled"] = "enforcing"
    files: dict[Path, HostFile] = {}
    sysctl: dict[str, Value] = {}
    """Running values by dotted key."""
    mounts: dict[Place, Mount] = {}
    units: dict[str, Unit] = {}
    packages: dict[str, Package] = {}
    modules: tuple[Word, ...] = ()
    """Loaded kernel modules."""
    modules_built: tuple[Word, ...] = ()
    """Loadable modules that exist on disk, loaded or not."""
    audit: Audit = Audit()
    firewalld: Firewalld = Firewalld()
    listen: tuple[Listen, ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _keyed(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        return {**data, **{field: keyed(data[field], key) for field, key in KEYS.items() if field in data}}

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """A copy that looks at its own files, not at what was worked out for ours."""
        copied = super().model_copy(update=update, deep=deep)
        for name in ("links", "folders"):
            copied.__dict__.pop(name, None)
        return copied

    @functools.cached_property
    def links(self) -> frozenset[str]:
        """Paths of all symbolic links."""
        return frozenset(path for path, file in self.files.items() if file.type == "link")

    @functools.cached_property
    def folders(self) -> Mapping[str, tuple[str, ...]]:
        """Names in each folder, sorted; folders that only a path implies are there too."""
        found: dict[str, set[str]] = {"/": set()}
        for path, file in self.files.items():
            if file.type == "dir":
                found.setdefault(path, set())
            here = path
            while here != "/":
                folder, _, name = here.rpartition("/")
                here = folder or "/"
                names = found.setdefault(here, set())
                if name in names:
                    break
                names.add(name)
        return {path: tuple(sorted(names)) for path, names in found.items()}

    def resolve(self, path: str, *, last: bool = True) -> str | None:
        """Where ``path`` leads with symbolic links followed; None for a dangling or endless link.

        Args:
            path: absolute.
            last: follow the last part too.
        """
        todo = [part for part in reversed(path.split("/")) if part]
        here = "/"
        left = LINKS
        while todo:
            part = todo.pop()
            if part in (".", ".."):
                here = posixpath.dirname(here) if part == ".." else here
                continue
            there = posixpath.join(here, part)
            if there in self.links and (todo or last):
                left -= 1
                if not left:
                    return None
                target = self.files[there].target
                here = "/" if target.startswith("/") else here
                todo.extend(part for part in reversed(target.split("/")) if part)
            else:
                here = there
        return here if here in self.files or here in self.folders else None

    def file(self, path: str) -> HostFile | None:
        """What stands at ``path``, links followed; folders that only a path implies are 0755 of root."""
        real = self.resolve(path)
        if real is None:
            return None
        return self.files.get(real) or HostFile(path=real, type="dir", mode="0755")

    def read(self, path: str) -> str | None:
        """Content of the regular file at ``path``, links followed, or None."""
        found = self.file(path)
        return found.content if found is not None and found.type == "file" else None

    def names(self, folder: str) -> tuple[str, ...]:
        """Names in the folder at ``folder``, sorted by byte; empty when there is none."""
        real = self.resolve(folder)
        return self.folders.get(real, ()) if real is not None else ()

    def below(self, folder: str) -> Iterator[HostFile]:
        """Every file at or below ``folder``, in order of paths, links not followed."""
        start = folder.rstrip("/") + "/"
        for path in sorted(self.files):
            if path == folder or path.startswith(start):
                yield self.files[path]

    def patched(self, patch: Mapping[str, Any], source: str = "patch") -> Host:
        """This host with ``patch`` applied; see :mod:`firedrill.world.host.patching`.

        Raises:
            InputError: names the field that is wrong, or that changes nothing there is.
        """
        from firedrill.world.host.patching import patched

        return patched(self, patch, source)


KEYS = {"files": "path", "mounts": "target", "units": "name", "packages": "name"}
"""The member by which each list of a host is known."""


def keyed(items: Any, key: str) -> Any:
    """A list of records, or a mapping of them by ``key``, as a mapping in which each says its key."""
    if isinstance(items, dict):
        return {name: {key: name, **item} if isinstance(item, dict) else item for name, item in items.items()}
    if not isinstance(items, list):
        return items
    found: dict[Any, Any] = {}
    for item in items:
        name = item.get(key) if isinstance(item, dict) else getattr(item, key, None)
        if name is None or name in found:
            raise ValueError(f"an entry without a {key}, or a second {name!r}")
        found[name] = item
    return found


def host_from(data: Any, source: str) -> Host:
    """A host from plain data.

    Raises:
        InputError: names the field.
    """
    try:
        return Host.model_validate(data)
    except ValidationError as error:
        raise refusal(error, source) from None


def refusal(error: ValidationError, source: str, before: str = "") -> InputError:
    """The first of a validation's errors as one that names file and field."""
    first = error.errors(include_url=False, include_input=False)[0]
    places = [before, *(str(place) for place in first["loc"])]
    field = ".".join(place for place in places if place)
    return InputError(first["msg"].removeprefix("Value error, "), source=source, field=field or None)


def read_host(text: str, source: str) -> Host:
    """A host from the text of its YAML file.

    Raises:
        InputError: no YAML, not one document, or a field is wrong.
    """
    documents = read_documents(text, source)
    if len(documents) != 1:
        raise InputError("must hold one document", source=source)
    return host_from(documents[0], source)
