"""What the service manager makes of a unit: its files, masks, links, drop-ins, and its record."""

from __future__ import annotations

import fnmatch
import posixpath

from firedrill.world.host.effective.units_conf import assignments
from firedrill.world.host.records import Host, Unit

FOLDERS = (
    "/etc/systemd/system",
    "/run/systemd/system",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
)
"""Where unit files stand, the strongest first."""
SUFFIXES = (
    ".service",
    ".socket",
    ".mount",
    ".target",
    ".timer",
    ".path",
    ".slice",
    ".scope",
    ".swap",
    ".device",
    ".automount",
)


def full_name(name: str) -> str:
    """``sshd`` as ``sshd.service``; a path as its mount unit."""
    if name.startswith("/"):
        return (
            "-.mount" if name == "/" else name.strip("/").replace("-", r"\x2d").replace("/", "-") + ".mount"
        )
    return name if name.endswith(SUFFIXES) else f"{name}.service"


def fragment(host: Host, name: str) -> str | None:
    """The path of a unit's main file; of ``a@b.service`` its template's when it has none of its own."""
    names = [name]
    if "@" in name and not name.partition("@")[2].startswith("."):
        names.append(name.partition("@")[0] + "@" + posixpath.splitext(name)[1])
    for candidate in names:
        for folder in FOLDERS:
            path = f"{folder}/{candidate}"
            if path in host.files and (host.files[path].type == "link" or host.read(path) is not None):
                return path
    return None


def aliases(host: Host, name: str) -> list[str]:
    """Other names that link to the unit's file, among unit folders."""
    found = []
    for folder in FOLDERS:
        for path in sorted(host.links):
            place, base = posixpath.split(path)
            if place == folder and base != name and posixpath.basename(host.files[path].target) == name:
                found.append(base)
    return found


def canonical(host: Host, name: str) -> str:
    """The unit that ``name`` is an alias of, or itself."""
    for folder in FOLDERS:
        path = f"{folder}/{name}"
        if path in host.links:
            target = posixpath.basename(host.files[path].target)
            return name if target in ("null", name) else target
    return name


def mask(host: Host, name: str) -> str:
    """``masked`` or ``masked-runtime`` where the unit's file is a link to /dev/null or empty."""
    for folder, word in (("/etc/systemd/system", "masked"), ("/run/systemd/system", "masked-runtime")):
        path = f"{folder}/{name}"
        known = host.files.get(path)
        if known is not None and (
            (known.type == "link" and posixpath.normpath(known.target) == "/dev/null")
            or (known.type == "file" and not known.content.strip())
        ):
            return word
    return ""


def wanted_by(host: Host, name: str) -> list[str]:
    """Links in ``*.wants`` and ``*.requires`` folders of /etc that start the unit."""
    found = []
    for path in sorted(host.links):
        folder, base = posixpath.split(path)
        if (
            base == name
            and folder.startswith("/etc/systemd/system/")
            and folder.endswith((".wants", ".requires"))
        ):
            found.append(path)
    return found


def file_state(host: Host, name: str) -> str:
    """What ``systemctl is-enabled`` says; empty when there is no such unit."""
    if masked := mask(host, name):
        return masked
    record = host.units.get(name)
    if wanted_by(host, name) or any(wanted_by(host, alias) for alias in aliases(host, name)):
        return "enabled"
    if record is not None:
        return record.enabled
    path = fragment(host, name)
    if path is None:
        return ""
    if path in host.links:
        return "alias"
    text = host.read(path) or ""
    install = assignments(text, "Install")
    alias = {value for key, value in install if key == "Alias"}
    if any(f"/etc/systemd/system/{name}" in host.links for name in alias):
        return "enabled"
    return "disabled" if install else "static"


def unit(host: Host, name: str) -> Unit | None:
    """The unit as the manager shows it: the record, or what a file that was never started gives."""
    real = canonical(host, name)
    record = host.units.get(real)
    state = file_state(host, real)
    if record is None and not state:
        return None
    if record is None:
        record = Unit(name=real, description=description(host, real))
    masked = state.startswith("masked")
    load = "masked" if masked else record.load
    return record.model_copy(update={"name": real, "enabled": state, "load": load})


def description(host: Host, name: str) -> str:
    """``Description=`` of the unit's files, or its name."""
    found = name
    for _, text in sources(host, name):
        for key, value in assignments(text, "Unit"):
            found = value if key == "Description" else found
    return found


def sources(host: Host, name: str) -> list[tuple[str, str]]:
    """(path, text) of the unit's file and its drop-ins, in reading order."""
    real = canonical(host, name)
    path = fragment(host, real)
    found = [(path, text)] if path is not None and (text := host.read(path)) is not None else []
    chosen: dict[str, str] = {}
    for folder in FOLDERS:
        for base in host.names(f"{folder}/{real}.d"):
            if base.endswith(".conf"):
                chosen.setdefault(base, f"{folder}/{real}.d/{base}")
    found += [(place, host.read(place) or "") for _, place in sorted(chosen.items())]
    return found


def names(host: Host, suffixes: tuple[str, ...] = SUFFIXES) -> list[str]:
    """Every unit that has a record or a file, sorted."""
    found = {name for name in host.units if name.endswith(suffixes)}
    for folder in FOLDERS:
        found |= {name for name in host.names(folder) if name.endswith(suffixes)}
    return sorted(found)


def preset(host: Host, name: str) -> str:
    """What the preset files say: the first line that fits."""
    for layer in ("/etc", "/run", "/usr/lib"):
        folder = f"{layer}/systemd/system-preset"
        for base in host.names(folder):
            for line in (host.read(f"{folder}/{base}") or "").splitlines():
                words = line.split()
                if (
                    len(words) >= 2
                    and words[0] in ("enable", "disable")
                    and fnmatch.fnmatchcase(name, words[1])
                ):
                    return f"{words[0]}d"
    return "disabled"
