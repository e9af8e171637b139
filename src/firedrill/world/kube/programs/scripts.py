"""What a command line or a shell script in a container does over time: a small, bounded reading of it."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from firedrill.world.kube.programs.model import MIB

_SHELLS = {"sh", "bash", "ash", "dash", "zsh"}
_FOREVER = -1
_STEPS = 200
_REFERENCE = re.compile(r"\$\(([A-Za-z_][\w.-]*)\)")
VARIABLE = re.compile(r"\$\{?([A-Za-z_]\w*)(?::-([^}]*))?\}?")
_UNITS = {"s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_SIZES = {"K": 1024, "M": MIB, "G": 1024 * MIB}


@dataclass(frozen=True, slots=True)
class Result:
    """How a script goes.

    Attributes:
        ms: how long it runs; -1 for ever.
        code: its exit code then.
        lines: (ms after the start, text) that it prints.
        loop, loop_ms: lines that it repeats for ever after those, and how often.
        listens: (port, protocol) that it opens.
        memory, cpu: bytes and thousandths of a core that it uses.
        term: exit code after SIGTERM; -1 where it ignores it, as a first process without a handler does.
        process: as a process list shows it.
    """

    ms: int
    code: int = 0
    lines: tuple[tuple[int, str], ...] = ()
    loop: tuple[str, ...] = ()
    loop_ms: int = 0
    listens: tuple[tuple[int, str], ...] = ()
    memory: int = 0
    cpu: int = 0
    term: int = -1
    process: str = ""


def expand(text: str, env: Mapping[str, str]) -> str:
    """A word of `command` or `args` with `$(NAME)` filled in, as the kubelet does it."""
    marked = text.replace("$$", "\0")
    return _REFERENCE.sub(lambda match: str(env.get(match[1], match[0])), marked).replace("\0", "$")


def simulate(argv: Sequence[str], env: Mapping[str, str]) -> Result | None:
    """What the command line does; None where it is no tool or script that is known here."""
    process = " ".join(argv)[:200]
    name = argv[0].rpartition("/")[2]
    run = _Run(dict(env))
    if name in _SHELLS:
        script = _script_of(argv[1:])
        if script is None:
            return Result(60, 0, process=process)
        run.script(script)
    elif not run.command(list(argv)):
        return None
    return run.result(process)


def _script_of(args: Sequence[str]) -> str | None:
    for number, word in enumerate(args):
        if word.startswith("-") and "c" in word.lstrip("-") and not word.startswith("--"):
            return args[number + 1] if number + 1 < len(args) else None
    return None


def duration(text: str) -> int:
    """Milliseconds of an argument of `sleep`; -1 for `infinity`."""
    if text in {"infinity", "inf"}:
        return _FOREVER
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smhd]?)", text)
    return int(float(match[1][:12]) * _UNITS[match[2] or "s"]) if match else 0


class _Run:
    """One reading of a script. It stops at the first thing that never ends."""

    def __init__(self, env: dict[str, str]) -> None:
        self.env = env
        self.ms = 30
        self.code = 0
        self.forever = False
        self.exited = False
        self.trapped = False
        self.steps = 0
        self.lines: list[tuple[int, str]] = []
        self.loop: tuple[str, ...] = ()
        self.loop_ms = 0
        self.listens: list[tuple[int, str]] = []
        self.memory = 0
        self.cpu = 0
        self.unknown = False

    def result(self, process: str) -> Result:
        return Result(
            _FOREVER if self.forever else self.ms,
            self.code,
            tuple(self.lines[:_STEPS]),
            self.loop,
            self.loop_ms,
            tuple(self.listens),
            self.memory,
            self.cpu,
            0 if self.trapped else -1,
            process,
        )

    @property
    def done(self) -> bool:
        return self.forever or self.exited

    def script(self, text: str) -> None:
        text = text.replace("\\\n", " ")[:20_000]
        loop = re.search(r"\b(while|until)\s+(.+?)\s*(?:;|\n)\s*do\b(.*?)(?:;|\n)\s*done", text, re.DOTALL)
        if loop is None:
            self.statements(text)
            return
        self.statements(text[: loop.start()])
        if not self.done:
            self._loop(loop[1], loop[2].strip(), loop[3])
        if not self.done:
            self.script(text[loop.end() :].lstrip("; \n"))

    def _loop(self, word: str, condition: str, body: str) -> None:
        endless = condition in {"true", ":", "[ 1 ]", "[ true ]"} if word == "while" else condition == "false"
        probe = _Run(dict(self.env))
        if not endless:
            probe.statements(condition)
            if (probe.code == 0) != (word == "while"):
                return
            probe = _Run(dict(self.env))
        probe.ms = 0
        probe.script(body)
        if probe.exited:
            self.lines += [(self.ms + at, line) for at, line in probe.lines]
            self.ms += probe.ms
            self.code, self.exited = probe.code, True
            return
        self.forever = True
        self.listens += probe.listens
        self.memory += probe.memory
        if probe.forever:
            self.lines += [(self.ms + at, line) for at, line in probe.lines]
            self.loop, self.loop_ms = probe.loop, probe.loop_ms
            return
        self.loop, self.loop_ms = tuple(line for _, line in probe.lines), max(probe.ms, 10)
        self.cpu += 1000 if probe.ms < 10 else 0

    def statements(self, text: str) -> None:
        run_next = True
        for operator, words in pieces(text):
            if self.done:
                return
            if operator == "|":
                continue  # what a pipe ends in decides neither how long it runs nor what it starts
            if operator in {"&&", "||"}:
                run_next = run_next and self.code == 0 if operator == "&&" else self.code != 0
            else:
                run_next = True
            if run_next and words:
                self.steps += 1
                if self.steps > _STEPS:
                    self.forever = True
                    return
                if not self.command(words):
                    self.unknown = True
                    self.code = 0

    def command(self, words: list[str]) -> bool:
        while words and re.fullmatch(r"[A-Za-z_]\w*=.*", words[0], re.DOTALL):
            key, _, value = words[0].partition("=")
            self.env[key] = self._value(value)
            words = words[1:]
        if not words:
            return True
        name, args = words[0].rpartition("/")[2], [self._value(word) for word in words[1:]]
        if name in {"exec", "command", "nohup", "time", "sudo", "eval"} and args:
            return self.command(args)
        if name in _SHELLS:
            inner = _script_of(args)
            if inner is not None:
                self.script(inner)
            return True
        action = getattr(self, f"_do_{_METHODS.get(name, '')}", None)
        if action is None:
            return False
        self.code = 0
        action(name, args)
        return True

    def _value(self, word: str) -> str:
        return VARIABLE.sub(lambda match: self.env.get(match[1], match[2] or ""), word)

    def _do_echo(self, _: str, args: list[str]) -> None:
        if ">" in args or ">>" in args or any(word.startswith(">") for word in args):
            return
        words = args[1:] if args[:1] in (["-n"], ["-e"]) else args
        self.lines.append((self.ms, " ".join(words)))

    def _do_sleep(self, _: str, args: list[str]) -> None:
        ms = duration(args[0]) if args else 0
        if ms < 0:
            self.forever = True
        else:
            self.ms += ms

    def _do_exit(self, _: str, args: list[str]) -> None:
        self.code = int(args[0]) % 256 if args and args[0].isdecimal() and len(args[0]) < 6 else self.code
        self.exited = True

    def _do_true(self, *_: object) -> None:
        self.code = 0

    def _do_false(self, *_: object) -> None:
        self.code = 1

    def _do_tail(self, _: str, args: list[str]) -> None:
        self.forever = any(word.startswith("-") and "f" in word.lower() for word in args)

    def _do_wait(self, *_: object) -> None:
        self.forever = True

    def _do_trap(self, _: str, args: list[str]) -> None:
        self.trapped = self.trapped or any(word in {"TERM", "SIGTERM", "15", "EXIT"} for word in args)

    def _do_listen(self, _: str, args: list[str]) -> None:
        listening = any(word.startswith("-") and "l" in word for word in args)
        ports = [int(word) for word in args if word.isdecimal() and 0 < int(word[:6]) < 65_536]
        if listening and ports:
            self.listens.append((ports[-1], "tcp"))
            self.forever = True

    def _do_python(self, _: str, args: list[str]) -> None:
        if args[:2] == ["-m", "http.server"]:
            port = (
                int(args[2]) if len(args) > 2 and args[2].isdecimal() and int(args[2][:6]) < 65_536 else 8000
            )
            self.listens.append((port, "http"))
            self.forever, self.memory = True, 16 * MIB

    def _do_httpd(self, _: str, args: list[str]) -> None:
        port = next((args[n + 1] for n, word in enumerate(args[:-1]) if word == "-p"), "80").rpartition(":")[
            2
        ]
        self.listens.append((int(port) if port.isdecimal() and int(port[:6]) < 65_536 else 80, "http"))
        self.forever = True

    def _do_stress(self, _: str, args: list[str]) -> None:
        values = dict(pairwise(args))
        size = re.fullmatch(r"(\d{1,9})([KMG]?)B?", values.get("--vm-bytes", "256M"))
        workers = values.get("--vm", values.get("-m", "0"))
        count = min(int(workers), 64) if workers.isdecimal() and len(workers) < 4 else 0
        if size and count:
            self.memory += count * int(size[1]) * _SIZES.get(size[2], 1)
        cores = values.get("--cpu", values.get("-c", "0"))
        self.cpu += 1000 * (min(int(cores), 64) if cores.isdecimal() and len(cores) < 4 else 0) + 1000 * count
        self.lines.append((self.ms, "stress: info: [1] dispatching hogs"))
        limit = values.get("--timeout", values.get("-t"))
        if limit is None:
            self.forever = True
        else:
            self.ms += max(duration(limit), 0)


_METHODS = {
    "echo": "echo", "printf": "echo", "sleep": "sleep", "exit": "exit", "true": "true", ":": "true",
    "false": "false", "tail": "tail", "wait": "wait", "trap": "trap", "nc": "listen", "ncat": "listen",
    "python": "python", "python3": "python", "httpd": "httpd", "stress": "stress", "stress-ng": "stress",
    "set": "true", "export": "true", "mkdir": "true", "touch": "true", "chmod": "true", "chown": "true",
    "cp": "true", "mv": "true", "rm": "true", "date": "true", "cat": "true", "ls": "true", "test": "true",
    "[": "true", "grep": "true", "sed": "true", "awk": "true", "cd": "true", "env": "true", "id": "true",
    "hostname": "true", "uname": "true", "ln": "true", "head": "true", "sync": "true", "dd": "true",
    "printenv": "true", "ps": "true", "wget": "true", "curl": "true", "nslookup": "true", "tar": "true",
    "pause": "wait", "perl": "true", "seq": "true", "sysctl": "true",
}  # fmt: skip


def pieces(text: str) -> list[tuple[str, list[str]]]:
    """Simple commands with the operator before each."""
    try:
        lexer = shlex.shlex(text.replace("\n", " ; "), posix=True, punctuation_chars=";&|")
        lexer.whitespace_split = True
        tokens = list(lexer)[:2000]
    except ValueError:
        return [("", ["false"])]
    out: list[tuple[str, list[str]]] = [("", [])]
    for token in tokens:
        if token and set(token) <= set(";&|"):
            out.append((token, []))
        else:
            out[-1][1].append(token)
    return out
