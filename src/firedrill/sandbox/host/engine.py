"""Starting a host's sandbox, answering its stubs, and reading what came of it."""

from __future__ import annotations

import contextlib
import os
import selectors
import socket
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from firedrill.core.errors import InfrastructureError
from firedrill.sandbox import cgroups
from firedrill.sandbox.base import HOME
from firedrill.sandbox.bubblewrap import LAUNCHER, open_to_all, overlay_works, program, stranger
from firedrill.sandbox.bundle import boot
from firedrill.sandbox.host.bundle import MANAGER, SITE, TOOLS, Bundle, bundle
from firedrill.sandbox.host.layout import PLACES, Entry
from firedrill.sandbox.inside import launcher
from firedrill.sandbox.inside.frames import MAX_FRAME, Capture, join, pack, unpack
from firedrill.sandbox.toolroot import require

START_SECONDS = 60.0
END_SECONDS = 15.0
"""How long the first process may take to lay out the tree, and to report."""
QUESTION = 300_000
"""Bytes of one question of a stub."""
FLOOD = 64 << 20
"""Bytes of output after which a program is ended."""
BURIALS = 400
SIZES = {"etc": 64, "usr": 64, "var": 128, "boot": 16, "tmp": 256}
"""Megabytes of the file systems of a tree; 32 for all others."""


@dataclass(frozen=True, slots=True)
class HostLimits:
    """Bounds of one play."""

    seconds: float = 120.0
    memory_mb: int = 1024
    processes: int = 200
    file_mb: int = 64
    output_chars: int = 20_000
    handed_back: int = 1_000_000
    """Bytes of each file that is handed back; eight times as much of all."""
    questions: int = 20_000
    """Calls of stubs; more are refused."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What a stub gives, or what it runs instead of itself."""

    stdout: bytes = b""
    stderr: bytes = b""
    code: int = 0
    instead: tuple[str, ...] = ()


Asked = Callable[[str, list[str]], Reply]
"""Called with the folder a stub was called in, and its words; the first is its name."""


@dataclass
class Outcome:
    """What a program did to a host."""

    code: int = -1
    stopped: bool = False
    stdout: str = ""
    stderr: str = ""
    changed: list[str] = field(default_factory=list)
    files: dict[str, bytes] = field(default_factory=dict)
    seconds: float = 0.0
    problem: str = ""
    done: bool = False


def run(
    entries: Iterable[Entry],
    files: Mapping[str, bytes],
    argv: list[str],
    environment: Mapping[str, str],
    hostname: str,
    asked: Asked,
    limits: HostLimits,
) -> Outcome:
    """Lay out ``entries``, run ``argv`` in the working folder that holds ``files``, and report.

    Raises:
        InfrastructureError: the sandbox itself failed.
    """
    hierarchy = cgroups.find()
    group = None
    if hierarchy is not None:
        group = cgroups.make(hierarchy, memory=limits.memory_mb << 20, processes=limits.processes)
        if group is None:
            raise InfrastructureError("the control group of a host cannot be made")
    try:
        with contextlib.ExitStack() as stack:
            line = _Line(stack, group, hostname, limits, asked)
            line.order(entries, files, argv, environment)
            return line.follow()
    finally:
        if group is not None:
            for _ in range(BURIALS):
                if group.removed():
                    break
                time.sleep(0.005)


class _Line:
    """The open line to one sandbox."""

    def __init__(
        self,
        stack: contextlib.ExitStack,
        group: cgroups.Group | None,
        hostname: str,
        limits: HostLimits,
        asked: Asked,
    ) -> None:
        self.stack = stack
        self.limits = limits
        self.asked = asked
        self.answered = 0
        self.outcome = Outcome()
        self.select = stack.enter_context(selectors.DefaultSelector())
        self.captures = {name: Capture(limits.output_chars) for name in ("stdout", "stderr")}
        self.flood = 0
        self.buffer = bytearray()
        self.ready = False
        self.stopping = 0.0
        self.begun = time.monotonic()
        self.control, inner = socket.socketpair()
        stack.enter_context(self.control)
        with inner:
            self.process = _spawn(inner.fileno(), group, hostname)
        stack.callback(_end, self.process)
        for name in ("stdout", "stderr"):
            pipe = getattr(self.process, name)
            stack.enter_context(pipe)
            os.set_blocking(pipe.fileno(), False)
            self.select.register(pipe.fileno(), selectors.EVENT_READ, (self._output, name))
        self.select.register(self.control, selectors.EVENT_READ, (self._control, None))

    def order(
        self,
        entries: Iterable[Entry],
        files: Mapping[str, bytes],
        argv: list[str],
        environment: Mapping[str, str],
    ) -> None:
        """Send the tree, the working folder, and what is to be run."""
        limits = self.limits
        roots = "\0".join(f"/{place}" for place in PLACES)
        parts = [pack("entry", *entry) for entry in entries]
        parts += [
            pack("entry", "file", f"{HOME}/{name}", 0o644, 0, 0, data) for name, data in sorted(files.items())
        ]
        order = pack(
            "run", "\0".join(argv), "\0".join(f"{key}={value}" for key, value in environment.items()), HOME,
            roots, limits.handed_back, int(limits.seconds) + 5, limits.memory_mb << 20, limits.processes,
            limits.file_mb << 20,
        )  # fmt: skip
        try:
            self.control.sendall(b"".join(parts) + order)
        except OSError:
            # it is gone: what it said comes next
            return

    def follow(self) -> Outcome:
        """Answer and listen until it is over."""
        while not self.outcome.done and self.select.get_map():
            wait = self._patience()
            if wait <= 0:
                self._late()
                continue
            for key, _ in self.select.select(min(wait, 0.5)):
                deed, what = key.data
                deed(key.fileobj, what)
        return self._close()

    def _patience(self) -> float:
        now = time.monotonic()
        if self.stopping:
            return self.stopping + END_SECONDS - now
        return self.begun + (self.limits.seconds if self.ready else START_SECONDS) - now

    def _late(self) -> None:
        if self.stopping or not self.ready:
            if not self.ready:
                self.outcome.problem = "it did not answer"
            self.process.kill()
            self.outcome.done = True
            return
        self._stop()

    def _stop(self) -> None:
        if not self.stopping:
            self.stopping = time.monotonic()
            with contextlib.suppress(OSError):
                self.control.sendall(pack("stop"))

    def _output(self, end: int, name: str) -> None:
        try:
            data = os.read(end, 262_144)
        except BlockingIOError:
            return
        if not data:
            self.select.unregister(end)
            return
        self.captures[name].feed(data)
        self.flood += len(data)
        if self.flood > FLOOD:
            self._stop()

    def _control(self, line: socket.socket, _: None) -> None:
        data, ends, _flags, _address = socket.recv_fds(line, 262_144, 1)
        if ends:
            listening = self.stack.enter_context(socket.socket(fileno=ends[0]))
            listening.setblocking(False)
            self.select.register(listening, selectors.EVENT_READ, (self._call, None))
        if not data:
            self.outcome.done = True
            return
        self.buffer += data
        while len(self.buffer) >= 4:
            size = int.from_bytes(self.buffer[:4], "big")
            if size > MAX_FRAME or len(self.buffer) < 4 + size:
                break
            name, *fields = unpack(bytes(self.buffer[4 : 4 + size]))
            del self.buffer[: 4 + size]
            self._told(name.decode(), fields)

    def _told(self, name: str, fields: list[bytes]) -> None:
        if name == "ready":
            self.ready, self.begun = True, time.monotonic()
        elif name == "problem":
            self.outcome.problem = fields[0].decode("utf-8", "replace")
        elif name == "changed":
            self.outcome.changed.append(fields[0].decode("utf-8", "replace"))
        elif name == "file":
            self.outcome.files[fields[0].decode("utf-8", "replace")] = fields[1]
        elif name == "done":
            self.outcome.code, self.outcome.stopped = int(fields[0]), fields[1] == b"1"
            self.outcome.seconds = time.monotonic() - self.begun
            self.outcome.done = True

    def _call(self, listening: socket.socket, _: None) -> None:
        try:
            line, _address = listening.accept()
        except OSError:
            return
        line.setblocking(False)
        self.select.register(line, selectors.EVENT_READ, (self._question, bytearray()))

    def _question(self, line: socket.socket, buffer: bytearray) -> None:
        try:
            data = line.recv(65_536)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        buffer += data
        whole = 4 + int.from_bytes(buffer[:4], "big") if len(buffer) >= 4 else QUESTION
        if data and len(buffer) < whole <= QUESTION:
            return
        self.select.unregister(line)
        with line:
            if len(buffer) != whole or whole > QUESTION:
                return
            self.answered += 1
            if self.answered > self.limits.questions:
                return
            try:
                cwd, *words = [part.decode("utf-8", "replace") for part in unpack(bytes(buffer[4:]))]
                reply = self.asked(cwd, words)
            except ValueError:
                return
            line.settimeout(2.0)
            with contextlib.suppress(OSError):
                line.sendall(pack(reply.code, reply.stdout, reply.stderr, *reply.instead))

    def _close(self) -> Outcome:
        outcome = self.outcome
        for name, capture in self.captures.items():
            pipe = getattr(self.process, name)
            with contextlib.suppress(OSError, TypeError):
                while chunk := os.read(pipe.fileno(), 262_144):
                    capture.feed(chunk)
                    if self.flood > FLOOD:
                        break
            capture.feed(b"", final=True)
        outcome.stdout, outcome.stderr = self.captures["stdout"].text(), self.captures["stderr"].text()
        if not self.ready:
            said = outcome.problem or outcome.stderr.strip().rpartition("\n")[2] or "it ended"
            raise InfrastructureError(f"the host's sandbox failed: {said}")
        if outcome.code < 0:
            # ended from inside, by its bound on memory, or buried in files: the program's doing
            outcome.code, outcome.changed = 137, [*outcome.changed, "/"]
        return outcome


def _end(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(2.0)
        return
    process.kill()
    process.wait()


def _spawn(control: int, group: cgroups.Group | None, hostname: str) -> subprocess.Popen[bytes]:
    root = require()
    bwrap = program()
    made = bundle(root, bwrap)
    items = list(_items(root.path / "usr", made))
    user = stranger()
    folders: dict[str, int] = {}
    places: list[tuple[int, str]] = []
    for _, what in items:
        if isinstance(what, str):
            places.append((-1, what))
        else:
            path = what.resolve()
            places.append((folders.setdefault(str(path.parent), len(folders)), path.name))
    argv = _argv(bwrap, [inside for inside, _ in items], hostname)
    plan: tuple[Iterable[str | int], ...] = (
        group.entrances if group is not None else [],
        folders,
        [place for place, _ in places],
        [name for _, name in places],
        [int(overlay_works()), "" if user is None else user],
        argv,
    )
    end = os.memfd_create("plan", 0)
    try:
        os.write(end, join(*(join(*part) for part in plan)))
        os.lseek(end, 0, os.SEEK_SET)
        return subprocess.Popen(
            [*LAUNCHER, str(end)], stdin=control, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            pass_fds=[end], env={}, cwd="/", start_new_session=True,
        )  # fmt: skip
    except OSError as error:
        raise InfrastructureError(f"the host's sandbox cannot be started: {error}") from error
    finally:
        os.close(end)


def _items(usr: Path, made: Bundle) -> Iterable[tuple[str, Path | str]]:
    """What is bound where: of the tool root only what its programs and Python need."""
    for place in sorted((usr / "lib").iterdir()):
        name = place.name
        if "-linux-gnu" in name or name.startswith(("python3.", "ld-linux")):
            yield f"/usr/lib/{name}", place
    if (usr / "lib64").is_dir():
        yield "/usr/lib64", usr / "lib64"
    for name in ("awk", "zoneinfo"):
        if (usr / "share" / name).is_dir():
            yield f"/usr/share/{name}", usr / "share" / name
    yield TOOLS, usr / "bin"
    yield MANAGER, made.manager
    yield SITE, made.site
    yield "/usr/lib/locale", made.locale
    if made.collections is not None:
        open_to_all(made.collections)
        yield f"{SITE}/ansible_collections", made.collections
    yield "/proc/cmdline", "BOOT_IMAGE=(hd0,msdos1)/vmlinuz root=/dev/mapper/rhel-root ro\n"


def _argv(bwrap: str, inside: list[str], hostname: str) -> list[str]:
    argv = [
        bwrap, "--unshare-all", "--unshare-user", "--uid", "0", "--gid", "0", "--cap-drop", "ALL",
        "--disable-userns", "--new-session", "--die-with-parent", "--as-pid-1", "--clearenv",
        "--hostname", hostname, "--proc", "/proc", "--dev", "/dev",
        "--size", str(64 << 20), "--tmpfs", "/dev/shm", "--remount-ro", "/dev",  # noqa: S108 - inside
    ]  # fmt: skip
    for place in (*PLACES, "tmp"):
        argv += ["--size", str(SIZES.get(place, 32) << 20), "--tmpfs", f"/{place}"]
    for place, size in (("/proc/sys", 4), ("/run/manager", 4), (HOME, 128)):
        argv += ["--size", str(size << 20), "--tmpfs", place]
    for name in ("bin", "sbin", "lib", "lib64"):
        argv += ["--symlink", f"usr/{name}", f"/{name}"]
    for number, place in enumerate(inside):
        argv += ["--ro-bind", f"{launcher.STAGE}/s{number}", place]
    return [*argv, "--remount-ro", "/", "--chdir", "/", f"{TOOLS}/python3", *boot("steward", MANAGER)]
