"""A command line of kubectl, read and looked at before it is run. It never goes through a shell."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import resources as files
from typing import Any

import yaml

from firedrill.tools.errors import Mistake
from firedrill.tools.resolve import near, or_else

LONGEST = 20_000
"""Characters of a command line."""
_VALUES_AFTER_EQUALS = frozenset({"server", "client", "none", "background", "foreground", "orphan", "strict"})


@dataclass(frozen=True)
class Command:
    """What a command line says.

    Attributes:
        argv: the words behind `kubectl`, as they are run.
        path: the verb, and what of it: `("rollout", "status")`.
        options: values by long name; "" for a switch that is on.
        words: what is neither, in order.
        rest: the words behind `--`.
    """

    argv: tuple[str, ...]
    path: tuple[str, ...]
    options: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    words: tuple[str, ...] = ()
    rest: tuple[str, ...] = ()

    @property
    def verb(self) -> str:
        """The first word."""
        return self.path[0]

    def has(self, *names: str) -> bool:
        """Whether one of these options is given, and not as false."""
        return any(self.options[name][-1] != "false" for name in names if name in self.options)

    def option(self, name: str) -> str:
        """The last value of an option; empty where it is not given."""
        return self.options.get(name, ("",))[-1]

    @property
    def writes(self) -> bool:
        """Whether it may change something."""
        if self.path == ("auth", "reconcile"):
            return True
        dry = self.option("dry-run") in ("client", "server")
        return not dry and any(" ".join(self.path[:depth]) in rules()["writes"] for depth in (1, 2))


@cache
def rules() -> Mapping[str, Any]:
    """What a command line may say here."""
    found: Mapping[str, Any] = _read("kubectl.yaml")
    return found


@cache
def _options() -> Mapping[str, Any]:
    found: Mapping[str, Any] = _read("kubectl-options.yaml")
    return found


def _read(name: str) -> Any:
    return yaml.safe_load(files.files("firedrill.tools.live").joinpath("data", name).read_text("utf-8"))


def parse(line: str) -> Command:
    """Read a command line; the word `kubectl` may be left out.

    Raises:
        Mistake: it is none that can be run here; says what is meant, and how to mend it.
    """
    words = split(line)
    if words and (words[0] in ("kubectl", "k") or words[0].endswith("/kubectl")):
        words = words[1:]
    if not words:
        raise Mistake("the command is empty; write, for example, `kubectl get pods`")
    if "kubectl" in words[:1] or words[0] in ("sudo", "bash", "sh", "env", "timeout", "watch", "time"):
        raise Mistake(f"only kubectl is run here, and {words[0]!r} is another program; begin with `kubectl`")
    return _Reader(words).read()


def split(line: str) -> list[str]:
    """The words of a command line, as a shell parts them.

    Raises:
        Mistake: a quote is left open, or a shell would do something that is not done here.
    """
    if len(line) > LONGEST:
        mend = "give objects in the parameter `manifest`"
        raise Mistake(f"a command line has at most {LONGEST} characters, this one {len(line)}; {mend}")
    if "\0" in line:
        raise Mistake("a command line holds no NUL character")
    text = line.strip().replace("\\\n", " ")
    if "<<" in text and any(mark == "<" for mark, _ in _bare(text)):
        raise Mistake("there is no shell: give the text in the parameter `manifest`, and write -f -")
    for mark, place in _bare(text):
        if mark == "\n":
            raise Mistake("one command at a time: make several calls, one for each line")
        raise Mistake(f"there is no shell, and {mark} at character {place + 1} stands for nothing: "
                      f"{rules()['shell'][mark]}")  # fmt: skip
    try:
        return shlex.split(text)
    except ValueError as error:
        mend = "close it, or put a backslash before a quote that is meant"
        raise Mistake(f"the command cannot be read ({str(error).lower()}); {mend}") from None


def _bare(text: str) -> Iterator[tuple[str, int]]:
    """What a shell would act on, with its place: operators that are not quoted, and substitutions."""
    quote = ""
    skip = False
    for place, letter in enumerate(text):
        if skip:
            skip = False
        elif letter == "\\" and quote != "'":
            skip = True
        elif quote:
            if letter == quote:
                quote = ""
        elif letter in "'\"":
            quote = letter
        elif letter in "|<>;&`\n":
            yield letter, place
        elif letter == "$" and text[place + 1 : place + 2] == "(":
            yield "$(", place


class _Reader:
    """Reads the words of one command line."""

    def __init__(self, words: Sequence[str]) -> None:
        self._argv = tuple(words)
        self._todo = list(words)
        self._node: Mapping[str, Any] = {}
        self._path: list[str] = []
        self._found: dict[str, list[str]] = {}
        self._words: list[str] = []
        self._rest: tuple[str, ...] = ()

    def read(self) -> Command:
        while self._todo:
            word = self._todo.pop(0)
            if word == "--":
                self._rest = tuple(self._todo)
                break
            if word.startswith("--"):
                self._long(word)
            elif word.startswith("-") and len(word) > 1 and not word[1].isdigit():
                self._short(word)
            else:
                self._word(word)
        if not self._path:
            raise Mistake("the command has no verb; write, for example, `kubectl get pods`")
        actions = self._node.get("actions")
        if actions and not self._words and "filename" not in self._names("values"):
            raise Mistake(f"`kubectl {' '.join(self._path)}` needs one of: {', '.join(actions)}")
        options = {name: tuple(values) for name, values in self._found.items()}
        return Command(self._argv, tuple(self._path), options, tuple(self._words), self._rest)

    # -- words

    def _word(self, word: str) -> None:
        if not self._path:
            self._verb(word)
            return
        actions = self._node.get("actions", {})
        if actions and not self._words:
            self._action(word, actions)
            return
        self._words.append(word)

    def _verb(self, word: str) -> None:
        verbs = _options()["verbs"]
        refused = rules()["refused"].get(word)
        if refused:
            raise Mistake(f"`kubectl {word}` does not work here: {refused}")
        if word not in verbs:
            meant = rules()["meant"].get(word.lower())
            close = [meant] if meant else [name for name in near(word, verbs, 3) if name]
            told = f"; did you mean {' or '.join(f'`kubectl {name}`' for name in close)}?" if close else ""
            known = ", ".join(name for name in verbs if name not in rules()["refused"])
            raise Mistake(f"kubectl has no command {word[:60]!r}{told} Commands: {known}")
        self._path.append(word)
        self._node = verbs[word]

    def _action(self, word: str, actions: Mapping[str, Any]) -> None:
        for name, node in actions.items():
            if word == name or word in node.get("aliases", "").split():
                self._path.append(name)
                self._node = node
                return
        if {"filename", "kustomize"} & set(self._found):
            self._words.append(word)
            return
        said = " ".join(self._path)
        known = ", ".join(actions)
        raise Mistake(f"`kubectl {said}` knows no {word[:60]!r}{_meant(near(word, actions, 3))} "
                      f"It takes one of: {known}")  # fmt: skip

    # -- options

    def _names(self, kind: str) -> set[str]:
        return set(self._node.get(kind, "").split()) | set(_options()["options"].get(kind, "").split())

    def _long(self, word: str) -> None:
        name, equals, value = word[2:].partition("=")
        self._take(name, f"--{name}", value if equals else None)

    def _short(self, word: str) -> None:
        letters = dict(
            pair.split("=", 1)
            for kind in (_options()["options"], self._node)
            for pair in kind.get("short", "").split()
        )
        letter, more = word[1], word[2:]
        name = letters.get(letter)
        if name is None:
            self._strange(f"-{letter}", [f"-{key} (--{long})" for key, long in sorted(letters.items())])
        assert name is not None
        if name in self._names("switches"):
            self._take(name, f"-{letter}", None)
            if more:
                self._short(f"-{more}")
            return
        self._take(name, f"-{letter}", more.removeprefix("=") if more else None)

    def _take(self, name: str, spelled: str, value: str | None) -> None:
        if name == "help":
            raise Mistake(self._help())
        if name in self._names("switches"):
            value = "" if value is None else value
            if value not in ("", "true", "false"):
                raise Mistake(f"{spelled} is true or false, not {value[:60]!r}")
        elif name in self._names("optional"):
            following = self._todo[0] if self._todo else ""
            if value is None and (name == "dry-run" or following in _VALUES_AFTER_EQUALS):
                example = following if following in _VALUES_AFTER_EQUALS else "server"
                raise Mistake(f"{spelled} takes its value after `=` only: write {spelled}={example}")
            value = value or ""
        elif name in self._names("values"):
            if value is None:
                if not self._todo:
                    raise Mistake(f"{spelled} needs a value")
                value = self._todo.pop(0)
                if value == "--" or (value.startswith("--") and len(value) > 2):
                    raise Mistake(f"{spelled} needs a value, and {value[:60]!r} is another option")
        else:
            known = self._names("switches") | self._names("values") | self._names("optional")
            self._strange(spelled, [f"--{item}" for item in sorted(known)], name)
        refused = rules()["refused_options"].get(name)
        if refused and value != "false" and self._applies(name, value):
            raise Mistake(f"{spelled} does not work here: {refused}")
        if name in rules()["no_terminal"].get(self._path[0] if self._path else "", ()) and value != "false":
            raise Mistake(f"{spelled} does not work here: there is no terminal; leave it out")
        self._found.setdefault(name, []).append(value or "")

    def _applies(self, name: str, _value: str | None) -> bool:
        # of `rollout status` the option is about waiting until it ends
        return not (name == "watch" and self._path[:1] == ["rollout"])

    def _strange(self, spelled: str, known: Sequence[str], name: str = "") -> None:
        if not self._path:
            raise Mistake(f"options of a command stand behind it: write the verb before {spelled[:60]}")
        close = [f"--{item}" for item in near(name, [item[2:] for item in known], 3)] if name else []
        said = " ".join(self._path)
        raise Mistake(
            f"`kubectl {said}` has no option {spelled[:60]}{_meant(close)} It has: {', '.join(known)}"
        )

    def _help(self) -> str:
        if not self._path:
            return f"kubectl's commands are: {', '.join(_options()['verbs'])}"
        own = [f"--{name}" for kind in ("switches", "values", "optional")
               for name in self._node.get(kind, "").split()]  # fmt: skip
        actions = list(self._node.get("actions", ()))
        told = f"; it takes one of: {', '.join(actions)}" if actions else ""
        return f"options of `kubectl {' '.join(self._path)}`: {', '.join(own) or 'none'}{told}"


def _meant(close: list[str]) -> str:
    return or_else(close) or "."
