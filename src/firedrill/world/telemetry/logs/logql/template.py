"""Templates of `line_format` and `label_format`: Go's text/template as far as lines need it.

`define`, `template`, `block`, `break` and `continue` are refused. Texts that grow too long and loops that run
too long end with an error, as does everything that a template finds wrong with its data.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from firedrill.world.telemetry.logs.logql.functions import FUNCTIONS, Context, TemplateError, show, truth
from firedrill.world.telemetry.logs.logql.lexer import unquote

__all__ = ["Context", "TemplateError", "compile_template"]
_ACTION = re.compile(r"\{\{(?:-(?=\s))?(.*?)(?:(?<=\s)-)?\}\}", re.DOTALL)
_WORD = re.compile(
    r"""\s*(?:(?P<string>"(?:\\.|[^"\\\n])*")|(?P<raw>`[^`]*`)|(?P<number>[+-]?(?:0[xX][0-9a-fA-F]+|\d+\.?\d*(?:[eE][+-]?\d+)?|\.\d+))
    |(?P<char>'(?:\\.|[^'\\])')|(?P<variable>\$\w*(?:\.\w+)*)|(?P<field>(?:\.\w+)+)|(?P<dot>\.)|(?P<name>[^\W\d]\w*)|(?P<mark>:=|[|(),=]))""",
    re.VERBOSE,
)
_LONGEST = 16_384
_MOST_TEXT = 1 << 20
_FAILURES = (TypeError, ValueError, LookupError, ArithmeticError, RecursionError, AttributeError, OSError)
_MOST_STEPS = 20_000
_DEEPEST = 30


class _Word(NamedTuple):
    kind: str
    text: str


class Run:
    """One execution: what it writes, its variables, how many steps are left."""

    __slots__ = ("context", "dot", "out", "size", "steps", "variables")

    def __init__(self, context: Context) -> None:
        self.context = context
        self.dot: Any = context.labels
        self.out: list[str] = []
        self.size = 0
        self.steps = _MOST_STEPS
        self.variables: dict[str, Any] = {"$": context.labels}

    def write(self, text: str) -> None:
        """Put out some text."""
        self.size += len(text)
        if self.size > _MOST_TEXT:
            raise TemplateError("the result is too long")
        self.out.append(text)

    def step(self) -> None:
        """One step more."""
        self.steps -= 1
        if self.steps < 0:
            raise TemplateError("the template takes too long")


Node = Callable[[Run], None]
Value = Callable[[Run], Any]


class Template:
    """A compiled template."""

    __slots__ = ("_body",)

    def __init__(self, body: Sequence[Node]) -> None:
        self._body = body

    def execute(self, context: Context) -> str:
        """The text for a line.

        Raises:
            TemplateError: it cannot be made.
        """
        run = Run(context)
        try:
            for node in self._body:
                node(run)
        except _FAILURES as error:
            # functions are given whatever the line holds; each complaint is the line's, not the program's
            raise TemplateError(str(error)) from None
        return "".join(run.out)


@lru_cache(maxsize=256)
def compile_template(text: str) -> Template:
    """Compile.

    Raises:
        TemplateError: the text is no template.
    """
    if len(text) > _LONGEST:
        raise TemplateError("template: line:1: template is too long")
    builder = _Builder(_pieces(text))
    body = builder.block()
    if builder.closing:
        raise TemplateError(f"template: line:1: unexpected {{{{{builder.closing}}}}}")
    return Template(body)


def _pieces(text: str) -> list[tuple[bool, str]]:
    """(is an action, text), with blanks trimmed where marks say so."""
    out: list[tuple[bool, str]] = []
    at, trim = 0, False
    for found in _ACTION.finditer(text):
        plain = text[at : found.start()]
        if trim:
            plain = plain.lstrip()
        if text.startswith("{{-", found.start()) and text[found.start() + 3 : found.start() + 4].isspace():
            plain = plain.rstrip()
        out.append((False, plain))
        inner = found[1].strip()
        if not (inner.startswith("/*") and inner.endswith("*/")):
            out.append((True, inner))
        trim = found[0].endswith("-}}") and found[0][-4:-3].isspace()
        at = found.end()
    rest = text[at:]
    if "{{" in rest:
        raise TemplateError("template: line:1: unclosed action")
    out.append((False, rest.lstrip() if trim else rest))
    return out


class _Builder:
    def __init__(self, pieces: list[tuple[bool, str]]) -> None:
        self._pieces = pieces
        self._at = 0
        self._depth = 0
        self.closing = ""

    def block(self) -> list[Node]:
        """Nodes up to an `end` or `else`, which is left in `closing`."""
        out: list[Node] = []
        self._depth += 1
        if self._depth > _DEEPEST:
            raise TemplateError("template: line:1: nested too deeply")
        self.closing = ""
        while self._at < len(self._pieces):
            action, text = self._pieces[self._at]
            self._at += 1
            if not action:
                if text:
                    out.append(_plain(text))
                continue
            word = text.partition(" ")[0]
            if word in {"end", "else"}:
                self.closing = text
                break
            out.append(self._action(word, text))
        self._depth -= 1
        return out

    def _action(self, word: str, text: str) -> Node:
        if word in {"define", "template", "block", "break", "continue"}:
            raise TemplateError(f"template: line:1: {{{{{word}}}}} is not supported")
        if word not in {"if", "with", "range"}:
            return _printing(_Expression(text))
        test = _Expression(text[len(word) :])
        body = self.block()
        other: list[Node] = []
        if self.closing.startswith("else"):
            rest = self.closing[4:].strip()
            if rest.startswith(("if ", "with ")):
                other = [self._action(rest.partition(" ")[0], rest)]
                return _branch(word, test, body, other)
            other = self.block()
        if self.closing != "end":
            raise TemplateError("template: line:1: unexpected EOF")
        self.closing = ""
        return _branch(word, test, body, other)


def _plain(text: str) -> Node:
    return lambda run: run.write(text)


def _printing(expression: _Expression) -> Node:
    value, target = expression.value, expression.variable

    def node(run: Run) -> None:
        run.step()
        found = value(run)
        if target:
            run.variables[target] = found
        else:
            run.write(show(found))

    return node


def _branch(word: str, test: _Expression, body: list[Node], other: list[Node]) -> Node:
    value, target = test.value, test.variable

    def all_of(nodes: list[Node], run: Run) -> None:
        for node in nodes:
            node(run)

    def choose(run: Run) -> None:
        run.step()
        found = value(run)
        if target:
            run.variables[target] = found
        before = run.dot
        if word == "with" and truth(found):
            run.dot = found
        all_of(body if truth(found) else other, run)
        run.dot = before

    def loop(run: Run) -> None:
        found = value(run)
        items = list(found.values()) if isinstance(found, dict) else found
        if not isinstance(items, list):
            raise TemplateError(f"range can't iterate over {show(found)}")
        before = run.dot
        for item in items:
            run.step()
            run.dot = item
            if target:
                run.variables[target] = item
            all_of(body, run)
        if not items:
            all_of(other, run)
        run.dot = before

    return loop if word == "range" else choose


class _Expression:
    """A pipeline, perhaps with a variable that takes its value."""

    def __init__(self, text: str) -> None:
        self._words = _words(text)
        self._at = 0
        self._depth = 0
        self.variable = ""
        if len(self._words) > 1 and self._words[0].kind == "variable" and self._words[1].text in {":=", "="}:
            self.variable = self._words[0].text
            self._at = 2
        if self._at >= len(self._words):
            raise TemplateError("template: line:1: missing value for command")
        self.value = self._pipeline()
        if self._at < len(self._words):
            raise TemplateError(f'template: line:1: unexpected "{self._words[self._at].text}" in operand')

    def _peek(self) -> _Word | None:
        return self._words[self._at] if self._at < len(self._words) else None

    def _pipeline(self) -> Value:
        value = self._command(None)
        while (found := self._peek()) is not None and found.text == "|":
            self._at += 1
            value = self._command(value)
        return value

    def _command(self, piped: Value | None) -> Value:
        first = self._peek()
        if first is None or first.text in {"|", ")"}:
            raise TemplateError("template: line:1: missing value for command")
        if first.kind != "name" or first.text in _CONSTANTS:
            value = self._operand()
            if piped is not None or ((more := self._peek()) is not None and more.text not in {"|", ")"}):
                raise TemplateError(f"template: line:1: can't give argument to non-function {first.text}")
            return value
        self._at += 1
        function = FUNCTIONS.get(first.text)
        if function is None:
            raise TemplateError(f'template: line:1: function "{first.text}" not defined')
        arguments: list[Value] = []
        while (found := self._peek()) is not None and found.text not in {"|", ")"}:
            arguments.append(self._operand())
        if piped is not None:
            arguments.append(piped)
        return lambda run: function(run.context, *[argument(run) for argument in arguments])

    def _operand(self) -> Value:
        found = self._words[self._at]
        self._at += 1
        kind, text = found
        if text == "(" and kind == "mark":
            self._depth += 1
            if self._depth > _DEEPEST:
                raise TemplateError("template: line:1: nested too deeply")
            value = self._pipeline()
            closing = self._peek()
            if closing is None or closing.text != ")":
                raise TemplateError("template: line:1: unclosed left paren")
            self._at += 1
            self._depth -= 1
            return value
        if kind in _LITERALS:
            constant = _LITERALS[kind](text)
            return lambda _: constant
        if kind == "dot":
            return lambda run: run.dot
        if kind == "field":
            names = text.split(".")[1:]
            return lambda run: _field(run.dot, names)
        if kind == "variable":
            name, *rest = text.split(".")
            return lambda run: _field(_variable(run, name), rest)
        if kind == "name":
            return self._named(text)
        raise TemplateError(f'template: line:1: unexpected "{text}" in operand')

    def _named(self, text: str) -> Value:
        if text in _CONSTANTS:
            constant = _CONSTANTS[text]
            return lambda _: constant
        function = FUNCTIONS.get(text)
        if function is None:
            raise TemplateError(f'template: line:1: function "{text}" not defined')
        return lambda run: function(run.context)


_CONSTANTS = {"true": True, "false": False, "nil": None}
_LITERALS: dict[str, Callable[[str], Any]] = {
    "string": lambda text: unquote(text[1:-1]),
    "raw": lambda text: text[1:-1],
    "char": lambda text: ord(unquote(text[1:-1])),
    "number": lambda text: (
        float(text) if set(text) & set(".eE") and "x" not in text.lower() else int(text, 0)
    ),
}


def _words(text: str) -> list[_Word]:
    out, at = [], 0
    while text[at:].strip():
        found = _WORD.match(text, at)
        if found is None or found.lastgroup is None:
            rest = text[at:].strip()
            raise TemplateError(f'template: line:1: unexpected "{rest[:1]}" in operand')
        out.append(_Word(found.lastgroup, found[found.lastgroup]))
        at = found.end()
    return out


def _variable(run: Run, name: str) -> Any:
    if name not in run.variables:
        raise TemplateError(f'undefined variable "{name}"')
    return run.variables[name]


def _field(value: Any, names: Sequence[str]) -> Any:
    for name in names:
        if isinstance(value, dict):
            value = value.get(name, "")
        else:
            raise TemplateError(f"can't evaluate field {name} in type string")
    return value
