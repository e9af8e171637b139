"""Running shell scripts in steps: until they end, or until time has to pass."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from typing import Protocol

from firedrill.world.kube.programs.model import Executed
from firedrill.world.kube.programs.scripts import duration
from firedrill.world.kube.programs.shell_bounds import ExhaustedError, Purse, held
from firedrill.world.kube.programs.shell_code import Code, Simple, compiled
from firedrill.world.kube.programs.shell_sums import Sum
from firedrill.world.kube.programs.shell_words import Word

_BUDGET = 600
_OUTPUT = 200_000
_NESTED = 6
_LONGEST_SUM = 200
_SHELLS = frozenset({"sh", "bash", "ash", "dash", "zsh"})
_BEFORE = frozenset({"exec", "command", "nohup", "time", "sudo", "eval"})
_SUM = re.compile(r"\s*(\d+|\$?\w+|<=|>=|==|!=|\+\+|--|[-+*/%()<>])")


class Host(Protocol):
    """Where a script runs: what its commands find, and the files that it writes."""

    def tool(self, words: list[str], stdin: str, env: Mapping[str, str]) -> Executed:
        """Run a command that is neither a shell nor built into one."""

    def write(self, path: str, text: str | None, *, add: bool = False) -> None:
        """Write a file, or remove it (None)."""

    def is_server(self, words: list[str]) -> bool:
        """Whether the command is the image's own program, which keeps running."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a script has come.

    Attributes:
        at: the next instruction.
        code: the last exit code.
        env: variables.
        each: the words that are left to each `for` loop, and its variable.
        calls: where to return to.
        server: its image's program runs in the background.
        strict: it ends with the first command that fails (`set -e`).
    """

    at: int = 0
    code: int = 0
    env: Mapping[str, str] = field(default_factory=dict)
    each: tuple[tuple[str, tuple[str, ...]], ...] = ()
    calls: tuple[int, ...] = ()
    server: bool = False
    strict: bool = False


@dataclass(frozen=True, slots=True)
class Step:
    """What came of running a script for a while.

    Attributes:
        progress: where it stands.
        out, err: what it wrote.
        said: both, in the order in which they came.
        wait: ms until it goes on; -1 for never; ignored where it has ended.
        ended: it is over; its exit code is in `progress`.
        becomes: the command line that took its place.
    """

    progress: Progress
    out: str
    err: str = ""
    said: str = ""
    wait: int = 0
    ended: bool = False
    becomes: tuple[str, ...] = ()


def begin(env: Mapping[str, str]) -> Progress:
    """A script before its first instruction."""
    return Progress(env=dict(env))


def advance(text: str, progress: Progress, host: Host) -> Step:
    """Run a script until it ends, waits, or gives its place to the image's program."""
    return _Machine(compiled(text), progress, host, 0, Purse()).run()


def script_of(args: Sequence[str]) -> str | None:
    """The script in the arguments of a shell; None where there is none."""
    for number, word in enumerate(args):
        if word.startswith("-") and not word.startswith("--") and "c" in word[1:]:
            rest = [item for item in args[number + 1 :] if item not in {"-e", "-x", "-u", "-l", "--"}]
            if not rest:
                return None
            flags = "".join(item[1:] for item in args[:-1] if re.fullmatch(r"-[a-z]+", item))
            return ("set -e\n" if "e" in flags else "") + rest[0]
    return None


def run_through(
    text: str, env: Mapping[str, str], host: Host, stdin: str = "", purse: Purse | None = None
) -> Executed:
    """Run a script to its end at once; the time that it would take is in the outcome.

    One that has used up its purse is given up, as by a client that stops waiting.
    """
    out, err, ms = "", "", 0
    purse = Purse() if purse is None else purse
    progress = begin(env)
    for _ in range(_BUDGET):
        machine = _Machine(compiled(text), progress, host, 0, purse)
        machine.given = stdin
        step = machine.run()
        out, err = (out + step.out)[-_OUTPUT:], (err + step.err)[-_OUTPUT:]
        progress = step.progress
        if step.ended or step.becomes:
            return Executed(out, err, progress.code, ms=ms)
        if step.wait < 0 or ms > 3_600_000 or purse.steps <= 0:
            return Executed(out, err, 124, ms=3_600_000)
        ms += step.wait
    return Executed(out, err, 124, ms=ms)


class _Machine:
    def __init__(self, code: Code, progress: Progress, host: Host, depth: int, purse: Purse) -> None:
        self.code, self.now, self.host, self.depth = code, progress, host, depth
        self.out, self.err, self.said = "", "", ""
        self.wait = 0
        self.ended = False
        self.becomes: tuple[str, ...] = ()
        self.given = ""
        self.purse = purse

    def run(self) -> Step:
        try:
            self.turn()
        except ExhaustedError:
            self.say("", "sh: out of memory\n")
            self.now, self.ended, self.becomes = replace(self.now, code=2, env={}), True, ()
        return Step(self.now, self.out[-_OUTPUT:], self.err, self.said, self.wait, self.ended, self.becomes)

    def turn(self) -> None:
        """Take steps until there is something to wait for."""
        for _ in range(_BUDGET):
            if self.wait or self.becomes:
                break
            if self.ended or self.now.at >= len(self.code.steps):
                self.ended = True
                break
            if not self.purse.step():
                self.wait = 1000
                break
            step = self.code.steps[self.now.at]
            self.now = replace(self.now, at=self.now.at + 1)
            getattr(self, f"_{step[0]}")(*step[1:])
        else:
            self.wait = 1000  # it turns round and round without a pause

    # --- instructions

    def _jump(self, to: int) -> None:
        self.now = replace(self.now, at=to)

    def _fail(self, to: int) -> None:
        if self.now.code != 0:
            self._jump(to)

    def _good(self, to: int) -> None:
        if self.now.code == 0:
            self._jump(to)

    def _not(self) -> None:
        self._set(0 if self.now.code else 1)

    def _set(self, code: int) -> None:
        self.now = replace(self.now, code=code)

    def _each(self, name: str, words: tuple[Word, ...]) -> None:
        items = tuple(item for word in words for item in self.fields(word))
        self.now = replace(self.now, each=(*self.now.each, (name, items)))

    def _next(self, to: int) -> None:
        name, items = self.now.each[-1]
        if not items:
            self._jump(to)
            return
        env = {**self.now.env, name: items[0]}
        self.now = replace(self.now, env=env, each=(*self.now.each[:-1], (name, items[1:])))

    def _leave(self) -> None:
        self.now = replace(self.now, each=self.now.each[:-1])

    def _match(self, word: Word, patterns: tuple[Word, ...]) -> None:
        subject = self.value(word)
        self._set(0 if any(fnmatchcase(subject, self.value(item)) for item in patterns) else 1)

    def _return(self) -> None:
        if not self.now.calls:
            self.ended = True
            return
        self.now = replace(self.now, at=self.now.calls[-1], calls=self.now.calls[:-1])

    def _pipe(self, simples: tuple[Simple, ...]) -> None:
        given = self.given
        for number, simple in enumerate(simples):
            done = self.simple(simple, given, piped=True)
            if number + 1 < len(simples):
                given = done.stdout
                self.say("", done.stderr)
            else:
                self.say(done.stdout, done.stderr)
        self.strictly()

    def _run(self, simple: Simple, behind: bool) -> None:
        before = self.now
        done = self.simple(simple, self.given)
        self.say(done.stdout, done.stderr)
        if behind:
            server = bool(self.becomes) or self.wait < 0
            self.becomes, self.wait = (), 0
            self.now = replace(self.now, server=before.server or server, code=0)
        self.strictly()

    def strictly(self) -> None:
        """`set -e`: a command that fails ends the script, unless its exit code is looked at."""
        if not self.now.strict or self.now.code == 0 or self.wait or self.becomes:
            return
        following = self.code.steps[self.now.at][0] if self.now.at < len(self.code.steps) else ""
        if following not in ("fail", "good", "not"):
            self.ended = True

    # --- commands

    def simple(self, simple: Simple, stdin: str, *, piped: bool = False) -> Executed:
        env = dict(self.now.env)
        if not self.purse.step():
            return Executed(code=1)
        for name, word in simple.assigns:
            env[name] = self.value(word, env)
        held(env)
        if not simple.words or simple.assigns:
            self.now = replace(self.now, env=env, code=0)
        words = [item for word in simple.words for item in self.fields(word)]
        if not words:
            return Executed()
        done = self.command(words, stdin)
        self.now = replace(self.now, code=done.code)
        if done.ms and not self.wait:
            self.wait = done.ms
        return self.redirected(simple, done)

    def command(self, words: list[str], stdin: str) -> Executed:
        before = 0
        while before + 1 < len(words) and words[before].rpartition("/")[2] in _BEFORE:
            before += 1
        words = words[before:]
        name = words[0].rpartition("/")[2]
        if words[0] in self.code.functions and len(self.now.calls) < 50:
            env = {**self.now.env, **{str(number + 1): word for number, word in enumerate(words[1:])}}
            entry, back = self.code.functions[words[0]], (*self.now.calls, self.now.at)
            self.now = replace(self.now, at=entry, calls=back, env=env)
            return Executed()
        if name in _SHELLS:
            inner = script_of(words[1:])
            return self.inner(inner, stdin) if inner is not None else Executed()
        own = getattr(self, f"_do_{_BUILT_IN.get(name, '')}", None)
        if own is not None:
            done: Executed = own(words[1:])
            return done
        if self.host.is_server(words):
            self.becomes = tuple(words)
            return Executed()
        return self.host.tool(words, stdin, self.now.env)

    def inner(self, text: str, stdin: str) -> Executed:
        if self.depth >= _NESTED:
            return Executed(code=1)
        machine = _Machine(compiled(text), begin(self.now.env), self.host, self.depth + 1, self.purse)
        machine.given = stdin
        ms = 0
        for _ in range(_BUDGET):
            step = machine.run()
            if step.becomes:
                self.becomes = step.becomes
            if step.ended or step.becomes or step.wait < 0:
                self.wait = -1 if step.wait < 0 and not step.ended else self.wait
                break
            if self.purse.steps <= 0:
                break
            ms += step.wait
            machine.wait = 0
        return Executed(machine.out, machine.err, machine.now.code, ms=ms)

    def redirected(self, simple: Simple, done: Executed) -> Executed:
        out, err = done.stdout, done.stderr
        for number, operator, word in simple.redirects:
            target = self.value(word)
            if operator == ">&" or target.startswith("&"):
                if number == "2" and target.endswith("1"):
                    out, err = out + err, ""
                elif number == "1" and target.endswith("2"):
                    out, err = "", err + out
            elif operator.startswith(">"):
                text = {"1": out, "2": err}.get(number, out + err)
                out, err = ("" if number in "1&" else out), ("" if number in "2&" else err)
                if not target.startswith("/dev/"):
                    self.host.write(target, text, add=operator == ">>")
        return replace(done, stdout=out, stderr=err)

    def say(self, out: str, err: str) -> None:
        self.out, self.err = _tail(self.out + out), _tail(self.err + err)
        self.said = _tail(self.said + out + err)

    # --- built in

    def _do_sleep(self, args: list[str]) -> Executed:
        ms = sum(duration(word) for word in args[:3])
        self.wait = -1 if ms < 0 or any(duration(word) < 0 for word in args) else max(ms, 10)
        return Executed()

    def _do_exit(self, args: list[str]) -> Executed:
        self.ended = True
        told = int(args[0]) % 256 if args and args[0].isdecimal() and len(args[0]) < 6 else self.now.code
        return Executed(code=told)

    def _do_return(self, args: list[str]) -> Executed:
        done = self._do_exit(args)
        if self.now.calls:
            self.ended = False
            self._return()
        return done

    def _do_set(self, args: list[str]) -> Executed:
        if any(re.fullmatch(r"-[a-z]*e[a-z]*", word) for word in args):
            self.now = replace(self.now, strict=True)
        return Executed()

    def _do_export(self, args: list[str]) -> Executed:
        env = dict(self.now.env)
        for word in args:
            name, equals, value = word.partition("=")
            if equals:
                env[name] = value
        self.now = replace(self.now, env=held(env))
        return Executed()

    def _do_wait(self, _: list[str]) -> Executed:
        if self.now.server:
            self.wait = -1
        return Executed()

    def _do_pause(self, _: list[str]) -> Executed:
        self.wait = -1
        return Executed()

    def _do_nothing(self, _: list[str]) -> Executed:
        return Executed()

    def _do_false(self, _: list[str]) -> Executed:
        return Executed(code=1)

    def _do_sum(self, args: list[str]) -> Executed:
        return Executed(code=0 if args and args[0] not in ("0", "") else 1)

    def _do_touch(self, args: list[str]) -> Executed:
        for word in args:
            if not word.startswith("-"):
                self.host.write(word, "", add=True)
        return Executed()

    def _do_rm(self, args: list[str]) -> Executed:
        for word in args:
            if not word.startswith("-"):
                self.host.write(word, None)
        return Executed()

    # --- words

    def fields(self, word: Word) -> list[str]:
        """What a word becomes: several where something unquoted in it holds blanks."""
        out: list[str] = []
        open_ = False
        for kind, text, quoted in word:
            value = text if kind == "text" else self.part(kind, text, self.now.env)
            if kind == "text" or quoted:
                out = [*out[:-1], self.purse.join(out[-1], value)] if open_ else [*out, value]
                open_ = True
                continue
            pieces = value.split()
            if pieces:
                joined = open_ and not value[0].isspace()
                first = self.purse.join(out.pop() if joined else "", pieces[0])
                self.purse.join("", value)
                out += [first, *pieces[1:]]
                open_ = not value[-1].isspace()
        return out

    def value(self, word: Word, env: Mapping[str, str] | None = None) -> str:
        known = self.now.env if env is None else env
        out = ""
        for kind, text, _ in word:
            out = self.purse.join(out, text if kind == "text" else self.part(kind, text, known))
        return out

    def part(self, kind: str, text: str, env: Mapping[str, str]) -> str:
        if kind == "name":
            return self.variable(text, env)
        if kind == "sum":
            return str(self.sum(text))
        done = self.inner(text, "")
        return done.stdout.rstrip("\n")

    def variable(self, text: str, env: Mapping[str, str]) -> str:
        if text == "?":
            return str(self.now.code)
        match = re.match(r"(\w+)(:?[-=]|%%?|##?)?(.*)", text, re.DOTALL)
        if match is None:
            return ""
        value, operator, rest = env.get(match[1], ""), match[2] or "", match[3]
        if operator.endswith(("-", "=")):
            return value or rest
        if operator and operator[0] == "%":
            head, found, _ = (value.rpartition if operator == "%" else value.partition)(rest.rstrip("*"))
            return head if found else value
        if operator and operator[0] == "#":
            _, found, tail = (value.partition if operator == "#" else value.rpartition)(rest.lstrip("*"))
            return tail if found else value
        return value

    def sum(self, text: str) -> int:
        """An arithmetic expression of whole numbers; what cannot be read counts as 0."""
        text = text[:_LONGEST_SUM]
        step = re.fullmatch(r"\s*(\w+)\s*(?:(\+\+|--)|(=|\+=|-=)\s*(.+))\s*", text)
        if step is not None and not step[1].isdecimal() and not text.lstrip().startswith("=="):
            before = self.number(step[1])
            if step[2]:
                after = before + (1 if step[2] == "++" else -1)
            else:
                value = self.sum(step[4])
                after = value if step[3] == "=" else before + (value if step[3] == "+=" else -value)
            self.now = replace(self.now, env={**self.now.env, step[1]: str(after)})
            return before if step[2] else after
        tokens = _SUM.findall(text)
        return Sum([str(self.number(item)) if item[-1].isalnum() else item for item in tokens]).value()

    def number(self, name: str) -> int:
        text = name if name.isdecimal() else str(self.now.env.get(name.lstrip("$"), "0"))
        return int(text) if re.fullmatch(r"-?\d{1,15}", text) else 0


def _tail(text: str) -> str:
    return text if len(text) < 2 * _OUTPUT else text[-_OUTPUT:]


_BUILT_IN = {
    "sleep": "sleep", "exit": "exit", "return": "return", "set": "set", "export": "export",
    "local": "export", "declare": "export", "readonly": "export", "wait": "wait", "pause": "pause",
    "true": "nothing", ":": "nothing", "trap": "nothing", "cd": "nothing", "shift": "nothing",
    "unset": "nothing", "ulimit": "nothing", "umask": "nothing", "chmod": "nothing", "chown": "nothing",
    "mkdir": "nothing", "sync": "nothing", "source": "nothing", ".": "nothing",
    "false": "false", "((": "sum", "touch": "touch", "rm": "rm",
}  # fmt: skip

__all__ = ["Host", "Progress", "Step", "advance", "begin", "run_through", "script_of"]
