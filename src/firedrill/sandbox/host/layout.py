"""A host's tree as entries to lay out: its files, and what stands for the kernel and the commands."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Iterator

from firedrill.core.errors import InputError
from firedrill.sandbox.host.bundle import MANAGER, TOOLS, packaged, tools
from firedrill.world.host.records import Host, HostFile

Entry = tuple[str, str, int, int, int, bytes]
"""Kind (file, dir, link), path, mode, user id, group id, content or target."""

PLACES = ("etc", "usr", "var", "boot", "home", "root", "run", "opt", "srv", "mnt", "media")
"""What stands at the root and is looked at for changes; /tmp is anybody's."""
SETTINGS = b"# Settings of all playbooks on this host.\n[defaults]\ninternal_poll_interval = 0.01\n"
"""Looking less often whether a task has ended costs less."""


def entries(host: Host, commands: Iterable[str], present: frozenset[str]) -> list[Entry]:
    """Everything to lay out for ``host``.

    Args:
        host: whose files, with owners that its own accounts name.
        commands: names that a stub answers.
        present: names of programs that the tool root has.

    Raises:
        InputError: a file belongs to nobody whom the host knows, or stands where it cannot.
    """
    users, groups = accounts(host, "passwd"), accounts(host, "group")
    found: dict[str, Entry] = {}
    for place in PLACES:
        found[f"/{place}"] = ("dir", f"/{place}", 0o755, 0, 0, b"")
    for entry in _fixed(host, sorted(set(commands)), present):
        found[entry[1]] = entry
    for path, file in host.files.items():
        uid, gid = _id(users, file, file.owner, "owner"), _id(groups, file, file.group, "group")
        data = file.target if file.type == "link" else file.content
        found[path] = (file.type, path, file.bits, uid, gid, data.encode())
    return [found[path] for path in _parents_first(found)]


def accounts(host: Host, name: str) -> dict[str, int]:
    """Name to number of the host's users (``passwd``) or groups (``group``)."""
    found: dict[str, int] = {}
    for line in (host.read(f"/etc/{name}") or "").splitlines():
        words = line.split(":")
        if len(words) > 2 and words[2].isdigit():
            found.setdefault(words[0], int(words[2]))
    return {"root": 0, **found}


def _id(known: dict[str, int], file: HostFile, name: str, field: str) -> int:
    if name in known:
        return known[name]
    if name.isdigit():
        return int(name)
    raise InputError(
        f"there is no account {name!r}",
        field=f"files.{file.path}.{field}",
        mend="give it one in /etc/passwd or /etc/group, or write a number",
    )


def _parents_first(found: dict[str, Entry]) -> Iterator[str]:
    """Paths in order; whoever stands below a link or a plain file is refused."""
    for path in sorted(found, key=lambda path: path.split("/")):
        above = posixpath.dirname(path)
        while above != "/":
            kind = found[above][0] if above in found else "dir"
            if kind != "dir":
                raise InputError(f"stands below {above}, which is a {kind}", field=f"files.{path}")
            above = posixpath.dirname(above)
        yield path


def _fixed(host: Host, commands: list[str], present: frozenset[str]) -> Iterator[Entry]:
    yield ("dir", "/usr/bin", 0o755, 0, 0, b"")
    yield ("dir", "/usr/sbin", 0o755, 0, 0, b"")
    for name in tools():
        if name in present:
            yield _link(f"/usr/bin/{name}", f"{TOOLS}/{name}")
    for name in ("python3", "platform-python"):
        place = "/usr/libexec" if name == "platform-python" else "/usr/bin"
        yield _link(f"{place}/{name}", f"{TOOLS}/python3")
    system = frozenset(packaged("sbin.txt").split())
    for name in commands:
        yield _link(f"/usr/{'sbin' if name in system else 'bin'}/{name}", f"{MANAGER}/answer")
    yield _link("/usr/bin/ansible-playbook", f"{MANAGER}/ansible-playbook")
    yield ("file", "/etc/ansible/ansible.cfg", 0o644, 0, 0, SETTINGS)
    yield ("dir", "/run/systemd/system", 0o755, 0, 0, b"")
    yield ("dir", "/var/tmp", 0o1777, 0, 0, b"")  # noqa: S108 - the host's
    # as a link to the kernel's table it would name folders of the machine
    yield ("file", "/etc/mtab", 0o644, 0, 0, mount_table(host).encode())
    for key, value in host.sysctl.items():
        yield ("file", "/proc/sys/" + _kernel_path(key), 0o644, 0, 0, f"{value}\n".encode())


def _link(path: str, target: str) -> Entry:
    return ("link", path, 0o777, 0, 0, target.encode())


def _kernel_path(key: str) -> str:
    path = key.replace(".", "\0").replace("/", ".").replace("\0", "/")
    if not path.strip("/.") or ".." in path.split("/") or "" in path.split("/"):
        raise InputError("is no name of a kernel setting", field=f"sysctl.{key}")
    return path


def mount_table(host: Host) -> str:
    """The running mounts in the form of ``/proc/mounts``."""
    order = sorted(host.mounts.values(), key=lambda mount: mount.target)
    return "".join(
        f"{mount.source} {mount.target} {mount.fstype} {','.join(mount.options)} 0 0\n" for mount in order
    )
