"""The tools that a command inside a container may use."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from firedrill.world.kube.kubelet import environment, nettools, volumes
from firedrill.world.kube.kubelet.containers import spec_of
from firedrill.world.kube.kubelet.execution import Executed
from firedrill.world.kube.kubelet.state import Container, PodState, node_of
from firedrill.world.kube.objects import Obj, dig, name_of
from firedrill.world.kube.programs import catalogue
from firedrill.world.kube.programs.model import Program
from firedrill.world.kube.programs.scripts import duration, pieces
from firedrill.world.sim.clock import rfc3339

if TYPE_CHECKING:
    from firedrill.world.world import World

Tool = Callable[["Session", list[str], str], Executed]
_SHELLS = {"sh", "bash", "ash", "dash", "zsh"}
_OUTPUT = 200_000
_STEPS = 100
_ROOT = ("bin", "dev", "etc", "home", "lib", "proc", "root", "run", "sbin", "sys", "tmp", "usr", "var")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_DAYS = ("Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed")


class Session:
    """One command in one container; it never changes the world."""

    def __init__(self, world: World, pod: Obj, state: PodState, found: Container, program: Program) -> None:
        self.world, self.pod, self.state, self.found, self.program = world, pod, state, found, program
        self.item: Mapping[str, object] = spec_of(pod, found.name) or {"name": found.name}
        self.steps = 0
        self.exited = False
        self._env: dict[str, str] | None = None

    @property
    def env(self) -> dict[str, str]:
        """The variables of the container's process."""
        if self._env is None:
            node = node_of(self.world, self.state.node)
            try:
                if node is None:
                    return {}
                self._env = environment.resolve(self.world, self.pod, self.item, self.state, node)
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
        return out | volumes.files(self.world, self.pod, self.item)

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
        return self._own(name, words[1:])

    def _own(self, name: str, args: list[str]) -> Executed:
        """A program of the image itself: its health check succeeds when it serves."""
        run = self.found.run
        serves = (
            run is not None
            and self.world.now >= run.started + run.plan.ready_after
            and not self.found.health.closed
            and self.found.health.status < 400
        )
        if name in {"redis-cli", "valkey-cli"}:
            if not serves:
                return Executed(
                    stderr="Could not connect to Redis at 127.0.0.1:6379: Connection refused\n", code=1
                )
            return Executed("PONG\n" if "ping" in [word.lower() for word in args] else "OK\n")
        if name == "pg_isready":
            text = "accepting connections" if serves else "no response"
            return Executed(f"/var/run/postgresql:5432 - {text}\n", code=0 if serves else 2)
        if any(word in {"--version", "-v", "-V", "version"} for word in args):
            return Executed(f"{name}\n")
        return Executed(code=0 if serves else 1)

    def _shell(self, args: list[str], stdin: str) -> Executed:
        script = next(
            (args[n + 1] for n, word in enumerate(args[:-1]) if "c" in word[1:] and word[0] == "-"), None
        )
        if script is None:
            return Executed()
        out, err, code, go = "", "", 0, True
        parts = pieces(script)
        for number, (operator, words) in enumerate(parts):
            if operator in {"&&", "||"}:
                go = (code == 0) == (operator == "&&") if go or operator == "||" else False
            elif operator != "|":
                go = True
            if not go or not words:
                continue
            given = stdin
            if operator == "|":
                given, out = out, ""
            done = self._word(words, given)
            code = done.code
            out, err = (out + done.stdout)[-_OUTPUT:], (err + done.stderr)[-_OUTPUT:]
            if self.exited:
                break
            if number + 1 < len(parts) and parts[number + 1][0] == "|":
                continue
        return Executed(out, err, code)

    def _word(self, words: list[str], stdin: str) -> Executed:
        quiet, plain = False, []
        for word in words:
            if word in {">/dev/null", "1>/dev/null", "2>/dev/null", "&>/dev/null", "2>&1", ">&2"}:
                quiet = quiet or word.startswith((">/", "1>", "&>"))
            else:
                plain.append(expand_variables(word, self.env))
        if plain and plain[0] == "exit":
            self.exited = True
            code = int(plain[1]) % 256 if len(plain) > 1 and plain[1].isdecimal() and len(plain[1]) < 6 else 0
            return Executed(code=code)
        name = plain[0].rpartition("/")[2] if plain else ""
        if plain and name not in TOOLS and name not in _SHELLS and not self.has(name):
            return Executed(stderr=f"sh: {plain[0]}: not found\n", code=127)
        done = self.run(plain, stdin)
        return Executed("", done.stderr, done.code) if quiet else done

    def has(self, name: str) -> bool:
        """Whether the image holds the executable."""
        own = {word.rpartition("/")[2] for word in (*self.program.entrypoint, *self.program.commands)}
        return name in own or name in catalogue.tools_of(self.program.tools)


def expand_variables(word: str, env: Mapping[str, str]) -> str:
    """A word of a script with its variables filled in."""
    from firedrill.world.kube.programs.scripts import VARIABLE

    return VARIABLE.sub(lambda match: env.get(match[1], match[2] or ""), word)


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


def _test(session: Session, args: list[str], _: str) -> Executed:
    words = [word for word in args if word != "]"]
    known = session.files()
    if len(words) == 2 and words[0] in {"-f", "-e", "-d", "-r", "-s"}:
        below = any(name.startswith(words[1].rstrip("/") + "/") for name in known)
        return Executed(code=0 if words[1] in known or below else 1)
    if len(words) == 3 and words[1] in {"=", "==", "!="}:
        return Executed(code=0 if (words[0] == words[2]) == (words[1] != "!=") else 1)
    if len(words) == 2 and words[0] in {"-n", "-z"}:
        return Executed(code=0 if bool(words[1]) == (words[0] == "-n") else 1)
    return Executed(code=0 if words and words[0] else 1)


def _echo(_: Session, args: list[str], __: str) -> Executed:
    end = "" if args[:1] == ["-n"] else "\n"
    return Executed(" ".join(args[1:] if args[:1] in (["-n"], ["-e"]) else args) + end)


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
}
