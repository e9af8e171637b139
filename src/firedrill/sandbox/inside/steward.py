"""The first process of a played host: lays out the host's tree, runs one program, tells what changed.

It goes by the name of a service manager, as facts are told from the first process's name, and buries what
loses its parent. The tree is made inside, on file systems of the sandbox's own: nothing of it ever stands on
the machine. Files get their recorded mode plus what is needed to read them; the recorded one, and the owner,
are told by faked.

Descriptor 0 is the control socket. Frames to here: ``entry`` kind, path, mode, uid, gid, data (many);
``run`` argv, environment, cwd, program names..., limits; ``stop``. Frames from here: ``ready`` (with the
listening socket for questions of stubs), ``problem`` text, ``changed`` path, ``file`` name, data, ``done``
code, 1 when stopped.
"""

# ruff: noqa: PTH101, PTH103, PTH115, PTH118, PTH120, PTH123, PTH211
# pathlib and contextlib would make every play start more slowly

from __future__ import annotations

import _socket
import os
import resource
import select
import struct
import time

from .frames import MAX_FRAME, pack, unpack
from .processes import others, shield

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

PLACE = "/run/manager"
"""A file system of its own, so that it is no part of the host's tree."""
SOCKET, STATE, SAVED = f"{PLACE}/socket", f"{PLACE}/before", f"{PLACE}/after"
FAKED = "/usr/lib/manager/faked-sysv"
SIGTERM, SIGKILL = 15, 9
NAME = b"systemd"
MOST, TOLD = 50_000, 1000
"""Paths of a tree that are looked at (whoever makes more has changed it), and that are told."""
PATIENCE = 2.0
"""Seconds that the keeper of owners gets to write them down."""

Entry = tuple[str, bytes, int, int, int, bytes]
"""Kind (file, dir, link), path, mode, user, group, content or target."""


class Tree:
    """The host's tree as it was laid out."""

    def __init__(self, entries: list[Entry], roots: list[str]) -> None:
        self.entries = entries
        self.roots = [os.fsencode(root) for root in roots]
        self.before: dict[bytes, tuple[int, bytes]] = {}
        self.owners: dict[tuple[int, int], tuple[bytes, int, int, int]] = {}

    def lay_out(self) -> None:
        """Make everything. Parents come before what is in them."""
        for kind, path, mode, _, _, data in self.entries:
            if kind == "dir":
                os.makedirs(path, 0o755, exist_ok=True)
                os.chmod(path, mode | 0o700)
                continue
            os.makedirs(os.path.dirname(path), 0o755, exist_ok=True)
            if kind == "link":
                os.symlink(data, path)
                continue
            end = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
            with os.fdopen(end, "wb") as handle:
                handle.write(data)
                os.fchmod(handle.fileno(), mode | 0o600)

    def note(self) -> None:
        """Remember how everything is, and who owns it by the records."""
        self.before = self.look()
        for kind, path, mode, uid, gid, _ in self.entries:
            known = os.lstat(path)
            bits = {"file": 0o100000, "dir": 0o040000, "link": 0o120000}[kind] | mode
            self.owners[known.st_dev, known.st_ino] = (path, bits, uid, gid)

    def state(self) -> str:
        """The owners in the form that faked loads."""
        lines = []
        for (device, inode), (path, mode, uid, gid) in self.owners.items():
            links = os.lstat(path).st_nlink
            lines.append(
                f"dev={device:x},ino={inode},mode={mode:o},uid={uid},gid={gid},nlink={links},rdev=0\n"
            )
        return "".join(lines)

    def look(self) -> dict[bytes, tuple[int, bytes]]:
        """Mode and content of everything below the roots."""
        found: dict[bytes, tuple[int, bytes]] = {}
        for root in self.roots:
            for path in self._walk(root):
                if len(found) >= MOST:
                    found[b"/"] = (0, b"")
                    return found
                mode = os.lstat(path).st_mode
                found[path] = (mode, self._content(path, mode))
        return found

    def _walk(self, root: bytes) -> Iterator[bytes]:
        todo = [root]
        while todo:
            folder = todo.pop()
            yield folder
            try:
                with os.scandir(folder) as items:
                    for item in items:
                        if item.is_dir(follow_symlinks=False) and not os.path.ismount(item.path):
                            todo.append(item.path)
                        elif not item.is_dir(follow_symlinks=False):
                            yield item.path
            except OSError:
                # taken away between two looks
                continue

    def _content(self, path: bytes, mode: int) -> bytes:
        if mode & 0o170000 == 0o120000:
            return os.readlink(path)
        if mode & 0o170000 != 0o100000:
            return b""
        import hashlib

        digest = hashlib.sha256()
        with open(path, "rb") as handle:
            while chunk := handle.read(1 << 20):
                digest.update(chunk)
        return digest.digest()

    def changed(self) -> list[bytes]:
        """Paths that are other than they were: content, kind, mode, owner, there or not."""
        after = self.look()
        found = {path for path in {*self.before, *after} if self.before.get(path) != after.get(path)}
        saved = read_state(SAVED)
        if saved is None:
            # whoever ends the keeper of owners has something to hide
            found.add(b"/")
        for key, (path, mode, uid, gid) in self.owners.items():
            if saved is not None and path in after and saved.get(key) != (mode, uid, gid):
                found.add(path)
        return sorted(found)[:TOLD]


def read_state(path: str) -> dict[tuple[int, int], tuple[int, int, int]] | None:
    """Device and inode to mode, user and group, as faked saved them; None when it did not."""
    try:
        with open(path, encoding="ascii") as handle:
            lines = handle.read().splitlines()
        found = {}
        for line in lines:
            given = dict(word.split("=", 1) for word in line.split(","))
            key = (int(given["dev"], 16), int(given["ino"]))
            found[key] = (int(given["mode"], 8), int(given["uid"]), int(given["gid"]))
    except (OSError, ValueError, KeyError):
        return None
    return found


class Steward:
    """One play: from the tree to the report."""

    def __init__(self, control: int) -> None:
        self.control = _socket.socket(fileno=control)
        self.buffer = bytearray()
        self.entries: list[Entry] = []
        self.keeper = 0
        self.codes: dict[int, int] = {}
        self.output = 0
        """Bytes of files that were handed back."""

    def receive(self) -> list[list[bytes]] | None:
        """Frames that have come, or None when the other side is gone."""
        chunk = self.control.recv(262_144)
        if not chunk:
            return None
        self.buffer += chunk
        found = []
        while len(self.buffer) >= 4:
            size = int.from_bytes(self.buffer[:4], "big")
            if size > MAX_FRAME:
                return None
            if len(self.buffer) < 4 + size:
                break
            found.append(unpack(bytes(self.buffer[4 : 4 + size])))
            del self.buffer[: 4 + size]
        return found

    def tell(self, *fields: bytes | str | int) -> None:
        """Send one frame."""
        self.control.sendall(pack(*fields))

    def order(self) -> list[bytes]:
        """Take entries until the order to run comes."""
        while True:
            frames = self.receive()
            if frames is None:
                raise OSError("nobody there")
            for name, *rest in frames:
                if name == b"run":
                    return rest
                kind, path, mode, uid, gid, data = rest[:6]
                self.entries.append((kind.decode(), path, int(mode), int(uid), int(gid), data))

    def play(self) -> None:
        """Everything, in order."""
        argv, environment, cwd, roots, most, seconds, memory, processes, size = self.order()
        tree = Tree(self.entries, roots.decode().split("\0"))
        tree.lay_out()
        with open(STATE, "w", encoding="ascii") as handle:
            tree.note()
            handle.write(tree.state())
        key = self._keep()
        listening = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
        listening.bind(SOCKET)
        listening.listen(64)
        for kind, bound in (
            (resource.RLIMIT_AS, int(memory)),
            (resource.RLIMIT_NPROC, int(processes)),
            (resource.RLIMIT_FSIZE, int(size)),
            (resource.RLIMIT_CORE, 0),
            (resource.RLIMIT_NOFILE, 1024),
            (resource.RLIMIT_CPU, int(seconds)),
        ):
            resource.setrlimit(kind, (bound, bound))
        self.control.sendmsg(
            [pack("ready")],
            [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, struct.pack("i", listening.fileno()))],
        )
        listening.close()
        os.chdir(cwd)
        variables = {**dict(word.split(b"=", 1) for word in environment.split(b"\0")), b"FAKEROOTKEY": key}
        code, stopped = self._run(argv.split(b"\0"), variables)
        self._end_all()
        for path in tree.changed():
            self.tell("changed", path)
        self._hand_back(cwd, int(most))
        self.tell("done", code, int(stopped))

    def _keep(self) -> bytes:
        """Start the keeper of owners; returns the key by which programs ask it."""
        out, inner = os.pipe2(os.O_CLOEXEC)
        source = os.open(STATE, os.O_RDONLY | os.O_CLOEXEC)
        self.keeper = os.posix_spawn(
            FAKED,
            [FAKED, "--foreground", "--load", "--save-file", SAVED],
            {},
            file_actions=[(os.POSIX_SPAWN_DUP2, source, 0), (os.POSIX_SPAWN_DUP2, inner, 1)],
        )
        os.close(inner)
        os.close(source)
        said = b""
        while b":" not in said and (chunk := os.read(out, 100)):
            said += chunk
        if b":" not in said:
            raise OSError("fakeroot's keeper of owners did not start")
        return said.split(b":")[0].strip()

    def _run(self, argv: list[bytes], environment: dict[bytes, bytes]) -> tuple[int, bool]:
        null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        try:
            pid = os.posix_spawn(
                argv[0], argv, environment, setsid=True, setsigmask=[], setsigdef=(2, 13, 25),
                file_actions=[(os.POSIX_SPAWN_DUP2, null, 0)],
            )  # fmt: skip
        except OSError as error:
            os.write(2, b"%s: %s\n" % (argv[0], (error.strerror or "").encode()))
            return 127, False
        watch = os.pidfd_open(pid)
        poll = select.poll()
        poll.register(self.control.fileno(), select.POLLIN)
        poll.register(watch, select.POLLIN)
        while pid not in self.codes:
            for end, _ in poll.poll(500):
                if end != watch:
                    frames = self.receive()
                    if frames is None:
                        os._exit(1)
                    return 124, True
            self._bury()
        return self.codes[pid], False

    def _bury(self) -> None:
        try:
            while (found := os.waitpid(-1, os.WNOHANG))[0]:
                status = found[1]
                code = os.waitstatus_to_exitcode(status)
                self.codes[found[0]] = code if code >= 0 else 128 - code
        except ChildProcessError:
            pass

    def _end_all(self) -> None:
        """End everything, the keeper of owners last, so that it can write them down."""
        for _ in range(1000):
            left = [pid for pid in others() if pid != self.keeper]
            for pid in left:
                try:
                    os.kill(pid, SIGKILL)
                except OSError:
                    continue
            self._bury()
            if not left:
                break
            time.sleep(0.001)
        until = time.monotonic() + PATIENCE
        if self.keeper not in self.codes:
            os.kill(self.keeper, SIGTERM)
        while self.keeper not in self.codes and time.monotonic() < until:
            time.sleep(0.001)
            self._bury()

    def _hand_back(self, folder: bytes, most: int) -> None:
        """Regular files of the working folder, small ones, by name."""
        for place, folders, names in os.walk(folder):
            folders[:] = sorted(name for name in folders if not name.startswith(b"."))
            for name in sorted(names):
                path = os.path.join(place, name)
                try:
                    end = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
                except OSError:
                    continue
                with os.fdopen(end, "rb") as handle:
                    if os.fstat(end).st_mode & 0o170000 != 0o100000:
                        continue
                    data = handle.read(most + 1)
                self.output += len(data)
                if self.output > 8 * most:
                    return
                self.tell("file", os.path.relpath(path, folder), data[: most + 1])


def main(_argv: list[str]) -> None:
    """Serve one play on descriptor 0."""
    shield()
    with open("/proc/self/comm", "wb") as handle:
        handle.write(NAME)
    os.umask(0o022)
    steward = Steward(os.dup(0))
    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    os.dup2(null, 0)
    try:
        steward.play()
    except OSError as error:
        # told to the other side, who says what it means
        steward.tell("problem", f"{error.strerror or error}: {error.filename or ''}")
