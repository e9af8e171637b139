"""Shell scripts as flat code: what `sh -c` reads, without running anything.

Covered: lists, pipes of simple commands, `if`, `while`, `until`, `for`, `case`, functions, groups, variables
with defaults, substitution of commands and sums, redirections. What is not is left out, never an error.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from firedrill.world.kube.programs.shell_words import Token, Word, tokens

Redirect = tuple[str, str, Word]
"""(file descriptor, operator, target)."""

_LONGEST = 60_000
_DEPTH = 40
_RESERVED = frozenset(
    {
        "then",
        "else",
        "elif",
        "fi",
        "do",
        "done",
        "esac",
        "}",
        "in",
        "if",
        "while",
        "until",
        "for",
        "case",
        "{",
    }
)


@dataclass(frozen=True, slots=True)
class Simple:
    """A simple command: assignments before it, its words, its redirections."""

    assigns: tuple[tuple[str, Word], ...] = ()
    words: tuple[Word, ...] = ()
    redirects: tuple[Redirect, ...] = ()


@dataclass(slots=True)
class Code:
    """A script.

    Attributes:
        steps: instructions: (`run`, Simple, in the background), (`pipe`, Simples), (`jump`, to),
            (`fail`, to) and (`good`, to) by the last exit code, (`not`,), (`set`, exit code),
            (`each`, variable, words), (`next`, to), (`match`, word, patterns), (`return`,).
        functions: where each begins.
    """

    steps: list[tuple[object, ...]] = field(default_factory=list)
    functions: dict[str, int] = field(default_factory=dict)


@lru_cache(maxsize=512)
def compiled(text: str) -> Code:
    """The code of a script; one that cannot be read ends where that is noticed."""
    parser = _Parser(tokens(text[:_LONGEST]))
    parser.sequence(frozenset(), 0)
    return parser.code


def plain(word: Word) -> str:
    """The word where nothing in it has to be filled in; else what of it is literal."""
    return "".join(text for kind, text, _ in word if kind == "text")


def commands_in(text: str) -> tuple[str, ...]:
    """The names of the commands that a script may run, those of inner scripts and conditions included."""
    out: dict[str, None] = {}
    _collect(text, out, 0)
    return tuple(out)


def lines_in(text: str) -> tuple[str, ...]:
    """The commands of a script with their first argument, as far as they are literal."""
    out: dict[str, None] = {}
    for step in compiled(text).steps:
        if step[0] != "run":
            continue
        words = [plain(word) for word in step[1].words]  # type: ignore[attr-defined]
        while words[:1] and words[0] in {"exec", "command", "nohup", "time", "sudo"}:
            words = words[1:]
        if words and words[0]:
            out[" ".join(words)] = None
    return tuple(out)


def _collect(text: str, out: dict[str, None], depth: int) -> None:
    if depth > 4:
        return
    for step in compiled(text).steps:
        simples = step[1] if step[0] == "pipe" else (step[1],) if step[0] == "run" else ()
        for simple in simples:  # type: ignore[attr-defined]
            words = [plain(word) for word in simple.words]
            while words[:1] and words[0] in {"exec", "command", "nohup", "time", "sudo", "!"}:
                words = words[1:]
            if words and words[0]:
                out[words[0]] = None
            if any(redirect[1].startswith(">") for redirect in simple.redirects):
                out.update(dict.fromkeys(f">{plain(target)}" for _, _, target in simple.redirects))
            for word in (*simple.words, *(value for _, value in simple.assigns)):
                for kind, inner, _ in word:
                    if kind == "command":
                        _collect(inner, out, depth + 1)
            if words and words[0].rpartition("/")[2] in {"sh", "bash", "ash", "dash"} and "-c" in words:
                _collect(words[-1], out, depth + 1)


# --- structure


class _Parser:
    """Reads tokens once, from left to right, and writes instructions."""

    def __init__(self, tokens: Sequence[Token]) -> None:
        self.tokens, self.at = tokens, 0
        self.code = Code()
        self.loops: list[tuple[int, list[int]]] = []

    def emit(self, *step: object) -> int:
        self.code.steps.append(step)
        return len(self.code.steps) - 1

    def aim(self, number: int) -> None:
        """Let the jump at that number lead here."""
        step = self.code.steps[number]
        self.code.steps[number] = (*step[:-1], len(self.code.steps))

    def operator(self) -> str:
        kind, value = self.tokens[self.at] if self.at < len(self.tokens) else ("", "")
        return str(value) if kind == "operator" else ""

    def reserved(self) -> str:
        kind, value = self.tokens[self.at] if self.at < len(self.tokens) else ("", "")
        if kind != "word" or len(value) != 1 or value[0][0] != "text" or value[0][2]:  # type: ignore[arg-type, index]
            return ""
        return str(value[0][1])  # type: ignore[index]

    def expect(self, word: str) -> None:
        self.blank()
        if self.reserved() == word:
            self.at += 1

    def blank(self) -> None:
        while self.operator() in ("\n", ";"):
            self.at += 1

    def sequence(self, stops: frozenset[str], depth: int) -> None:
        while self.at < len(self.tokens) and depth < _DEPTH:
            self.blank()
            if self.reserved() in stops or self.operator() in stops or self.at >= len(self.tokens):
                return
            before = self.at
            self.both(stops, depth)
            if self.operator() == "&":
                self.at += 1
                self.behind()
            if self.at == before:
                self.at += 1

    def behind(self) -> None:
        """The command that was just written runs in the background."""
        steps = self.code.steps
        if steps and steps[-1][0] == "run":
            steps[-1] = ("run", steps[-1][1], True)

    def both(self, stops: frozenset[str], depth: int) -> None:
        self.pipeline(stops, depth)
        while self.operator() in ("&&", "||"):
            jump = self.emit("fail" if self.operator() == "&&" else "good", -1)
            self.at += 1
            self.blank()
            self.pipeline(stops, depth)
            self.aim(jump)

    def pipeline(self, stops: frozenset[str], depth: int) -> None:
        turned = self.reserved() == "!"
        self.at += turned
        begin = len(self.code.steps)
        self.command(stops, depth)
        while self.operator() == "|":
            self.at += 1
            self.blank()
            self.command(stops, depth)
        stages = self.code.steps[begin:]
        if len(stages) > 1 and all(step[0] == "run" for step in stages):
            self.code.steps[begin:] = [("pipe", tuple(step[1] for step in stages))]
        if turned:
            self.emit("not")

    def command(self, stops: frozenset[str], depth: int) -> None:
        word = self.reserved()
        if word in ("if", "while", "until", "for", "case", "{"):
            self.at += 1
            getattr(self, {"{": "group"}.get(word, f"read_{word}"))(depth + 1)
            self.leftover()
        elif self.operator() == "(":
            self.at += 1
            self.sequence(frozenset({")"}), depth + 1)
            self.at += 1
            self.leftover()
        elif word and word not in _RESERVED and self.is_function():
            self.function(word, depth + 1)
        else:
            self.simple()

    def leftover(self) -> None:
        """Redirections of a whole group change nothing that is looked at."""
        while self.at < len(self.tokens) and self.tokens[self.at][0] == "redirect":
            self.at += 2

    def is_function(self) -> bool:
        return self.tokens[self.at + 1 : self.at + 3] == [("operator", "("), ("operator", ")")]

    def function(self, name: str, depth: int) -> None:
        self.at += 3
        self.blank()
        over = self.emit("jump", -1)
        self.code.functions[name] = len(self.code.steps)
        self.command(frozenset(), depth)
        self.emit("return")
        self.aim(over)

    def group(self, depth: int) -> None:
        self.sequence(frozenset({"}"}), depth)
        self.expect("}")

    def read_if(self, depth: int) -> None:
        ends = []
        self.sequence(frozenset({"then"}), depth)
        self.expect("then")
        other = self.emit("fail", -1)
        self.sequence(frozenset({"elif", "else", "fi"}), depth)
        while self.reserved() == "elif":
            self.at += 1
            ends.append(self.emit("jump", -1))
            self.aim(other)
            self.sequence(frozenset({"then"}), depth)
            self.expect("then")
            other = self.emit("fail", -1)
            self.sequence(frozenset({"elif", "else", "fi"}), depth)
        ends.append(self.emit("jump", -1))
        self.aim(other)
        if self.reserved() == "else":
            self.at += 1
            self.sequence(frozenset({"fi"}), depth)
        else:
            self.emit("set", 0)
        for end in ends:
            self.aim(end)
        self.expect("fi")

    def read_while(self, depth: int, turned: bool = False) -> None:
        start = len(self.code.steps)
        self.sequence(frozenset({"do"}), depth)
        out = self.emit("good" if turned else "fail", -1)
        self.body(start, depth)
        self.aim(out)
        self.finish()
        self.emit("set", 0)

    def read_until(self, depth: int) -> None:
        self.read_while(depth, True)

    def read_for(self, depth: int) -> None:
        name = self.reserved()
        self.at += 1
        words: list[Word] = []
        if self.reserved() == "in":
            self.at += 1
            while self.at < len(self.tokens) and self.tokens[self.at][0] == "word":
                words.append(self.tokens[self.at][1])  # type: ignore[arg-type]
                self.at += 1
        self.emit("each", name, tuple(words))
        start = len(self.code.steps)
        out = self.emit("next", -1)
        self.body(start, depth)
        self.aim(out)
        self.finish(each=True)

    def body(self, start: int, depth: int) -> None:
        self.expect("do")
        self.loops.append((start, []))
        self.sequence(frozenset({"done"}), depth)
        self.expect("done")
        self.emit("jump", start)

    def finish(self, *, each: bool = False) -> None:
        _, breaks = self.loops.pop()
        for number in breaks:
            self.aim(number)
        if each:
            self.emit("leave")

    def read_case(self, depth: int) -> None:
        subject = self.tokens[self.at][1] if self.at < len(self.tokens) else ()
        self.at += 1
        self.expect("in")
        ends = []
        while self.at < len(self.tokens):
            self.blank()
            if self.reserved() == "esac":
                break
            patterns = []
            while self.at < len(self.tokens) and self.operator() != ")":
                if self.tokens[self.at][0] == "word":
                    patterns.append(self.tokens[self.at][1])
                self.at += 1
            self.at += 1
            self.emit("match", subject, tuple(patterns))
            other = self.emit("fail", -1)
            self.sequence(frozenset({";;", "esac"}), depth)
            ends.append(self.emit("jump", -1))
            self.aim(other)
            if self.operator() == ";;":
                self.at += 1
        self.expect("esac")
        for end in ends:
            self.aim(end)

    def simple(self) -> None:
        assigns: list[tuple[str, Word]] = []
        words: list[Word] = []
        redirects: list[Redirect] = []
        while self.at < len(self.tokens):
            kind, value = self.tokens[self.at]
            if kind == "operator":
                break
            self.at += 1
            if kind == "redirect":
                target = self.tokens[self.at] if self.at < len(self.tokens) else ("", ())
                if target[0] == "word":
                    self.at += 1
                    redirects.append((*value, target[1]))  # type: ignore[misc]
                continue
            name, equals, rest = _assignment(value) if not words else ("", "", ())  # type: ignore[arg-type]
            if equals:
                assigns.append((name, rest))
            else:
                words.append(value)  # type: ignore[arg-type]
        first = plain(words[0]) if len(words) > 0 else ""
        if first in ("break", "continue") and self.loops:
            start, breaks = self.loops[-1]
            number = self.emit("jump", start)
            if first == "break":
                breaks.append(number)
            return
        if assigns or words:
            self.emit("run", Simple(tuple(assigns), tuple(words), tuple(redirects)), False)


def _assignment(word: Word) -> tuple[str, str, Word]:
    if not word or word[0][0] != "text" or word[0][2]:
        return "", "", ()
    name, equals, rest = word[0][1].partition("=")
    if not equals or not name.isidentifier():
        return "", "", ()
    return name, equals, ((("text", rest, False), *word[1:]) if rest else word[1:])
