"""The tools that a command inside a container may use."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from firedrill.world.kube.kubelet import clients, environment, eviction, files, nettools, writers
from firedrill.world.kube.kubelet.checks import listening
from firedrill.world.kube.kubelet.containers import spec_of
from firedrill.world.kube.kubelet.state import Container, PodState, keep, kubelets, node_of
from firedrill.world.kube.objects import Obj, dig, name_of
from firedrill.world.kube.programs import catalogue, shell
from firedrill.world.kube.programs.launch import ASKING
from firedrill.world.kube.programs.model import Executed, Program
from firedrill.world.kube.programs.scripts import duration
from firedrill.world.kube.programs.shell_bounds import Purse
from firedrill.world.sim.clock import rfc3339

if TYPE_CHECKING:
    from firedrill.world.world import World

Tool = Callable[["Session", list[str], str], Executed]
_SHELLS = {"sh", "bash", "ash", "dash", "zsh"}
_OUTPUT = 200_000
_FILES = 200
_STEPS = 100
_SHELLS_DEEP = 6
_ROOT = ("bin", "dev", "etc", "home", "lib", "proc", "root", "run", "sbin", "sys", "tmp", "usr", "var")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_DAYS = ("Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed")


class Session:
    """One command in one container: it changes nothing but files of the container."""

    def __init__(self, world: World, pod: Obj, state: PodState, found: Container, program: Program) -> None:
        self.world, self.pod, self.state, self.found, self.program = world, pod, state, found, program
        self.item: Mapping[str, object] = spec_of(pod, found.name) or {"name": found.name}
        self.steps = 0
        self.shells = 0
        self.purse = Purse()
        self._env: dict[str, str] | None = None

    @property
    def env(self) -> dict[str, str]:
        """The variables of the container's process."""
        if self._env is None:
            node = node_of(self.world, self.state.node)
            try:
                if node is None:
                    return {}
                run = self.found.run
                known = run.env if run is not None else None
                self._env = dict(
                    known or environment.resolve(self.world, self.pod, self.item, self.state, node)
                )
            except environment.ConfigError:
                self._env = {}
        return self._env

    def files(self) -> dict[str, str]:
        """The files whose contents are known, by path."""
        mine = self.state.ip
        out = {
            "/etc/hostname": self.hostname + "\n",
            "/etc/resolv.conf": nettools.resolv_conf(self.world, self.pod),
            "/etc/hosts": "# Kubernetes-managed hosts file.\n127.0.0.1\tlocalhost\n"
            f"::1\tlocalhost ip6-localhost ip6-loopback\n{mine}\t{self.hostname}\n",
        }
        return out | files.written(self.state, self.item) | files.shown(self.state, self.item)

    @property
    def hostname(self) -> str:
        """As the container sees it."""
        if dig(self.pod, "spec", "hostNetwork"):
            return self.state.node
        return str(dig(self.pod, "spec", "hostname") or name_of(self.pod))

    def run(self, words: list[str], stdin: str = "") -> Executed:
        """Run one command line that has been split into words."""
        self.steps += 1
        if self.steps > _STEPS or not words:
            return Executed(code=0 if not words else 1)
        name = words[0].rpartition("/")[2]
        if name in _SHELLS:
            return self._shell(words[1:], stdin)
        tool = TOOLS.get(name)
        if tool is not None:
            return tool(self, words[1:], stdin)
        return self.own(words)

    def own(self, args: list[str]) -> Executed:
        """A program of the image itself: its health check succeeds when it serves."""
        if any(word in {"--version", "-v", "-V", "version"} for word in args[1:]):
            return Executed(f"{args[0].rpartition('/')[2]}\n")
        run, health = self.found.run, self.found.health
        serves = (
            run is not None
            and self.world.now >= run.started + run.plan.ready_after
            and not health.closed
            and health.status < 400
        )
        return Executed(code=0 if serves else 1)

    def serves(self, port: int) -> bool:
        """Whether a program of the pod listens on the port."""
        return listening(self.world, self.state, port) is not None

    def _shell(self, args: list[str], stdin: str) -> Executed:
        script = shell.script_of(args)
        if script is None:
            return Executed()
        if self.shells >= _SHELLS_DEEP:
            return Executed(stderr="sh: can't fork: Resource temporarily unavailable\n", code=2)
        self.shells += 1
        try:
            return shell.run_through(script, self.env, self, stdin, self.purse)
        finally:
            self.shells -= 1

    # --- what scripts ask of the place where they run

    def tool(self, words: list[str], stdin: str, env: Mapping[str, str]) -> Executed:
        """Run a command of a script."""
        skipped = 0
        while words[skipped].rpartition("/")[2] == "timeout" and len(words) > skipped + 2:
            skipped += 2
        words = words[skipped:]
        name = words[0].rpartition("/")[2]
        if name not in TOOLS and not self.has(name):
            why = "No such file or directory" if "/" in words[0] else "not found"
            return Executed(stderr=f"sh: {words[0]}: {why}\n", code=127)
        if name in ASKING and not self.has(name):
            return Executed(stderr=f"sh: {words[0]}: not found\n", code=127)
        before, self._env = self._env, dict(env)
        done = self.run(words, stdin)
        self._env = before
        return done

    def is_server(self, words: list[str]) -> bool:
        """Whether the command would take the place of the script: not in a container that runs already."""
        return False

    def write(self, path: str, text: str | None, *, add: bool = False) -> None:
        """Write a file of the container, or remove it."""
        key = files.key_of(self.item, path)
        state = kubelets(self.world).pods.get(self.state.uid, self.state)
        written = dict(state.written)
        if text is None:
            written.pop(key, None)
        elif len(written) < _FILES:
            written[key] = ((written.get(key, "") if add else "") + text)[-_OUTPUT:]
        self.state = keep(self.world, replace(state, written=written))
        if text:
            eviction.stored(self.world, state.uid)

    def has(self, name: str) -> bool:
        """Whether the image holds the executable."""
        own = {word.rpartition("/")[2] for word in (*self.program.entrypoint, *self.program.commands)}
        return name in own or name in catalogue.tools_of(self.program.tools)


def _env(session: Session, args: list[str], _: str) -> Executed:
    names = [word for word in args if not word.startswith("-")]
    if names:
        found = [session.env[name] for name in names if name in session.env]
        return Executed("".join(f"{text}\n" for text in found), code=0 if len(found) == len(names) else 1)
    return Executed("".join(f"{key}={text}\n" for key, text in session.env.items()))


def _cat(session: Session, args: list[str], stdin: str) -> Executed:
    known, out, err = session.files(), "", ""
    paths = [word for word in args if not word.startswith("-")]
    if not paths:
        return Executed(stdin)
    for path in paths:
        if path in known:
            out += known[path]
        elif any(name.startswith(path.rstrip("/") + "/") for name in known):
            err += f"cat: read error: {path}: Is a directory\n"
        else:
            err += f"cat: can't open '{path}': No such file or directory\n"
    return Executed(out, err, 1 if err else 0)


def _ls(session: Session, args: list[str], _: str) -> Executed:
    paths = [word for word in args if not word.startswith("-")] or ["/"]
    known, out, err = session.files(), [], ""
    for path in paths:
        base = path.rstrip("/")
        if path in known:
            out.append(path)
            continue
        below = {name[len(base) + 1 :].partition("/")[0] for name in known if name.startswith(base + "/")}
        mounts = dig(session.item, "volumeMounts", default=())
        below |= {
            str(item["mountPath"])[len(base) + 1 :].partition("/")[0]
            for item in mounts
            if str(item["mountPath"]).startswith(base + "/")
        }
        if not base:
            below |= set(_ROOT)
        mounted = any(str(item["mountPath"]).rstrip("/") == base for item in mounts)
        if not below and not mounted and base.strip("/") not in _ROOT:
            err += f"ls: {path}: No such file or directory\n"
        out += sorted(name for name in below if name)
    return Executed("".join(f"{name}\n" for name in out), err, 1 if err else 0)


def _date(session: Session, args: list[str], _: str) -> Executed:
    now = session.world.now
    text = rfc3339(now)
    if args and args[0] == "+%s":
        return Executed(f"{now // 1000}\n")
    day = _DAYS[now // 86_400_000 % 7]
    month = _MONTHS[int(text[5:7]) - 1]
    return Executed(f"{day} {month} {int(text[8:10]):2d} {text[11:19]} UTC {text[:4]}\n")


def _ps(session: Session, _: list[str], __: str) -> Executed:
    run = session.found.run
    command = run.plan.process if run is not None else session.program.name
    user = "root" if _uid(session) == 0 else str(_uid(session))
    return Executed(
        f"PID   USER     TIME  COMMAND\n    1 {user:<8} 0:00 {command}\n   42 {user:<8} 0:00 ps\n"
    )


def _uid(session: Session) -> int:
    own = dig(session.item, "securityContext", "runAsUser")
    shared = dig(session.pod, "spec", "securityContext", "runAsUser")
    chosen = own if own is not None else shared
    return session.program.user if chosen is None else int(chosen)


def _id(session: Session, args: list[str], _: str) -> Executed:
    uid = _uid(session)
    if "-u" in args:
        return Executed(f"{uid}\n")
    label = "(root)" if uid == 0 else ""
    return Executed(f"uid={uid}{label} gid={uid}{label} groups={uid}{label}\n")


def _filter(keep: Callable[[list[str], list[str]], list[str]]) -> Tool:
    def tool(session: Session, args: list[str], stdin: str) -> Executed:
        paths = [word for word in args if word.startswith("/")]
        known = session.files()
        text = "".join(known.get(path, "") for path in paths) if paths else stdin
        lines = keep(text.splitlines(), [word for word in args if word not in paths])
        return Executed("".join(f"{line}\n" for line in lines), code=0 if lines else 1)

    return tool


def _grep(lines: list[str], args: list[str]) -> list[str]:
    flags = "".join(word[1:] for word in args if word.startswith("-"))
    words = [word for word in args if not word.startswith("-")]
    wanted = words[0] if words else ""
    fold = str.lower if "i" in flags else str
    return [line for line in lines if (fold(wanted) in fold(line)) != ("v" in flags)]


def _number(args: list[str], default: int) -> int:
    digits = [word.lstrip("-n") for word in args if word.lstrip("-n").isdecimal()]
    return min(int(digits[0][:6]), _OUTPUT) if digits else default


def _sleep(_: Session, args: list[str], __: str) -> Executed:
    return Executed(code=0 if args and duration(args[0]) >= 0 else 1)


_COMPARED: Mapping[str, Callable[[int, int], bool]] = {
    "-eq": lambda a, b: a == b,
    "-ne": lambda a, b: a != b,
    "-lt": lambda a, b: a < b,
    "-le": lambda a, b: a <= b,
    "-gt": lambda a, b: a > b,
    "-ge": lambda a, b: a >= b,
}


def _test(session: Session, args: list[str], _: str) -> Executed:
    words = [word for word in args if word not in {"]", "]]"}]
    turned = words[:1] == ["!"]
    good = _holds(session, words[1:] if turned else words)
    return Executed(code=0 if good != turned else 1)


def _holds(session: Session, words: list[str]) -> bool:
    for joint in ("-o", "||", "-a", "&&"):
        if joint in words[1:-1]:
            at = words.index(joint)
            sides = (_holds(session, words[:at]), _holds(session, words[at + 1 :]))
            return any(sides) if joint in {"-o", "||"} else all(sides)
    if len(words) == 2 and words[0] in {"-f", "-e", "-d", "-r", "-s", "-x", "-w", "-S"}:
        known = session.files()
        mounts = {
            str(item["mountPath"]).rstrip("/") for item in dig(session.item, "volumeMounts", default=())
        }
        below = any(name.startswith(words[1].rstrip("/") + "/") for name in known)
        if words[0] == "-s":
            return bool(known.get(words[1])) or below
        return words[1] in known or below or words[1].rstrip("/") in mounts
    if len(words) == 2 and words[0] in {"-n", "-z"}:
        return bool(words[1]) == (words[0] == "-n")
    if len(words) == 3 and words[1] in {"=", "==", "!="}:
        return (words[0] == words[2]) == (words[1] != "!=")
    if len(words) == 3 and words[1] in _COMPARED:
        left, right = (int(word) if word.lstrip("-").isdecimal() else 0 for word in (words[0], words[2]))
        return _COMPARED[words[1]](left, right)
    return bool(words and words[0] and words[0] not in _COMPARED)


def _echo(_: Session, args: list[str], __: str) -> Executed:
    end = "" if args[:1] == ["-n"] else "\n"
    return Executed(" ".join(args[1:] if args[:1] in (["-n"], ["-e"]) else args) + end)


def _dd(session: Session, args: list[str], _: str) -> Executed:
    given = dict(word.partition("=")[::2] for word in args if "=" in word)
    block, count = _bytes(given.get("bs", "512")), given.get("count", "1")
    size = block * min(int(count), 10**6) if count.isdecimal() and len(count) < 8 else 0
    if "of" in given and not given["of"].startswith("/dev/"):
        session.write(given["of"], files.filled(size))
    return Executed(stderr=f"{size} bytes copied\n", ms=size // 200_000)


def _fallocate(session: Session, args: list[str], _: str) -> Executed:
    size = next((args[n + 1] for n, word in enumerate(args[:-1]) if word in {"-l", "-s"}), "0")
    if args:
        session.write(args[-1], files.filled(_bytes(size)))
    return Executed()


def _bytes(text: str) -> int:
    match = re.fullmatch(r"(\d{1,12})([kKMG]?)(?:i?B)?", text)
    scale = {"": 1, "k": 1024, "K": 1024, "M": 1024**2, "G": 1024**3}
    return int(match[1]) * scale[match[2]] if match else 0


def _seq(args: list[str]) -> Executed:
    numbers = [int(word) for word in args if word.lstrip("-").isdecimal() and len(word) < 7]
    if not numbers:
        return Executed(code=1)
    first, last = (1, numbers[0]) if len(numbers) == 1 else (numbers[0], numbers[-1])
    step = numbers[1] if len(numbers) > 2 and numbers[1] else 1
    return Executed("".join(f"{number}\n" for number in list(range(first, last + 1, max(step, 1)))[:1000]))


def _fixed(text: str, code: int = 0) -> Tool:
    return lambda _session, _args, _stdin: Executed(text, code=code)


def _hostname(session: Session, args: list[str], _: str) -> Executed:
    return Executed((session.state.ip if args[:1] == ["-i"] else session.hostname) + "\n")


TOOLS: dict[str, Tool] = {
    "env": _env,
    "printenv": _env,
    "cat": _cat,
    "ls": _ls,
    "date": _date,
    "ps": _ps,
    "id": _id,
    "whoami": lambda session, _a, _i: Executed("root\n" if _uid(session) == 0 else f"{_uid(session)}\n"),
    "hostname": _hostname,
    "echo": _echo,
    "true": _fixed(""),
    ":": _fixed(""),
    "false": _fixed("", 1),
    "pwd": _fixed("/\n"),
    "uname": _fixed("Linux\n"),
    "sleep": _sleep,
    "test": _test,
    "[": _test,
    "[[": _test,
    "grep": _filter(_grep),
    "head": _filter(lambda lines, args: lines[: _number(args, 10)]),
    "tail": _filter(lambda lines, args: lines[-_number(args, 10) :]),
    "sort": _filter(lambda lines, _: sorted(lines)),
    "wc": _filter(lambda lines, _: [str(len(lines))]),
    "nslookup": lambda session, args, _: nettools.nslookup(session, args),
    "dig": lambda session, args, _: nettools.dig_name(session, args),
    "host": lambda session, args, _: nettools.nslookup(session, args),
    "getent": lambda session, args, _: nettools.getent(session, args),
    "curl": lambda session, args, _: nettools.curl(session, args),
    "wget": lambda session, args, _: nettools.wget(session, args),
    "nc": lambda session, args, _: nettools.connect(session, args),
    "telnet": lambda session, args, _: nettools.connect(session, args),
    "ncat": lambda session, args, _: nettools.connect(session, args),
    "mysql": clients.mysql,
    "mysqladmin": clients.mysql,
    "mariadb": clients.mysql,
    "mariadb-admin": clients.mysql,
    "psql": clients.psql,
    "pg_isready": clients.pg_isready,
    "redis-cli": clients.redis,
    "valkey-cli": clients.redis,
    "redis-benchmark": writers.benchmark,
    "valkey-benchmark": writers.benchmark,
    "python": writers.python,
    "python3": writers.python,
    "mongosh": clients.mongo,
    "mongo": clients.mongo,
    "wait-for-it": clients.wait_for,
    "wait-for-it.sh": clients.wait_for,
    "wait-for": clients.wait_for,
    "wait-for.sh": clients.wait_for,
    "dockerize": clients.wait_for,
    "seq": lambda _session, args, _i: _seq(args),
    "printf": _echo,
    "dd": _dd,
    "fallocate": _fallocate,
    "truncate": _fallocate,
}
