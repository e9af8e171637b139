"""Reading CEL: text to tokens to a tree.

Source: the grammar of the CEL specification, with the optional syntax (`a.?b`, `a[?b]`, `[?x]`, `{?k: x}`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

MAX_LENGTH = 32_768
MAX_DEPTH = 60
MAX_TOKENS = 4096


class CelSyntaxError(Exception):
    """The text is no CEL expression.

    Attributes:
        line, column: where, both from 1.
        problem: what is wrong, without the place.
    """

    def __init__(self, text: str, at: int, problem: str) -> None:
        self.line = text.count("\n", 0, at) + 1
        self.column = at - (text.rfind("\n", 0, at) + 1) + 1
        self.problem = problem
        shown = text.splitlines()[self.line - 1] if text.splitlines()[self.line - 1 : self.line] else ""
        place = f"ERROR: <input>:{self.line}:{self.column}: {problem}"
        super().__init__(f"{place}\n | {shown}\n | {'.' * (self.column - 1)}^")


class Token(NamedTuple):
    """One word: its sort (`string`, `number`, `name`, `op`, `end`), text and place."""

    sort: str
    text: str
    at: int


_STRING = (
    r'(?:[rR][bB]?|[bB][rR]?)?(?:"""(?:\\.|[^\\])*?"""|\'\'\'(?:\\.|[^\\])*?\'\'\''
    r'|"(?:\\.|[^"\\\n\r])*"|\'(?:\\.|[^\'\\\n\r])*\')'
)
_RAW = r'[bB]?[rR][bB]?(?:"""[\s\S]*?"""|\'\'\'[\s\S]*?\'\'\'|"[^"\n\r]*"|\'[^\'\n\r]*\')'
_WORDS = re.compile(
    rf"(?P<space>[ \t\r\n\f]+|//[^\n]*)|(?P<string>{_RAW}|{_STRING})"
    r"|(?P<number>0[xX][0-9a-fA-F]+[uU]?|\d+\.\d+(?:[eE][+-]?\d+)?|\d+[eE][+-]?\d+|\.\d+(?:[eE][+-]?\d+)?|\d+[uU]?)"
    r"|(?P<name>[A-Za-z_][A-Za-z0-9_]*|`[A-Za-z0-9_.\-/ ]+`)"
    r"|(?P<op>==|!=|<=|>=|&&|\|\||\.\?|\[\?|[-+*/%!<>()\[\]{},.:?])",
    re.DOTALL,
)
_RESERVED = frozenset(
    (
        *("as", "break", "const", "continue", "else", "for", "function", "if", "import", "let"),
        *("loop", "package", "namespace", "return", "var", "void", "while"),
    )
)


def tokens(text: str) -> list[Token]:
    """The words of an expression, with an `end` behind the last.

    Raises:
        CelSyntaxError: a character starts no word, or there are too many.
    """
    if len(text) > MAX_LENGTH:
        raise CelSyntaxError("", 0, f"expression is longer than {MAX_LENGTH} characters")
    out, at = [], 0
    while at < len(text):
        match = _WORDS.match(text, at)
        if match is None:
            raise CelSyntaxError(text, at, f"Syntax error: token recognition error at: '{text[at]}'")
        if match.lastgroup != "space":
            out.append(Token(str(match.lastgroup), match.group(), at))
        at = match.end()
        if len(out) > MAX_TOKENS:
            raise CelSyntaxError(text, at, f"expression has more than {MAX_TOKENS} words")
    out.append(Token("end", "<EOF>", len(text)))
    return out


@dataclass(frozen=True, slots=True)
class Node:
    """A part of an expression; `at` is where it starts."""

    at: int


@dataclass(frozen=True, slots=True)
class Literal(Node):
    """A number, string, bytes, true, false or null, as it is written."""

    text: str


@dataclass(frozen=True, slots=True)
class Ident(Node):
    """A name that stands by itself."""

    name: str


@dataclass(frozen=True, slots=True)
class Select(Node):
    """`operand.name` or `operand.?name`."""

    operand: Node
    name: str
    optional: bool


@dataclass(frozen=True, slots=True)
class Index(Node):
    """`operand[key]` or `operand[?key]`."""

    operand: Node
    key: Node
    optional: bool


@dataclass(frozen=True, slots=True)
class Call(Node):
    """`name(args)` or `target.name(args)`."""

    target: Node | None
    name: str
    args: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class ListOf(Node):
    """A list literal: (optional, element)."""

    items: tuple[tuple[bool, Node], ...]


@dataclass(frozen=True, slots=True)
class MapOf(Node):
    """A map literal: (optional, key, value)."""

    items: tuple[tuple[bool, Node, Node], ...]


@dataclass(frozen=True, slots=True)
class Unary(Node):
    """`!x` or `-x`."""

    op: str
    operand: Node


@dataclass(frozen=True, slots=True)
class Binary(Node):
    """Two operands."""

    op: str
    left: Node
    right: Node


@dataclass(frozen=True, slots=True)
class Ternary(Node):
    """`test ? yes : no`."""

    test: Node
    yes: Node
    no: Node


def children(node: Node) -> Iterator[Node]:
    """The parts right below a node."""
    if isinstance(node, Select):
        yield node.operand
    elif isinstance(node, Index):
        yield from (node.operand, node.key)
    elif isinstance(node, Call):
        if node.target is not None:
            yield node.target
        yield from node.args
    elif isinstance(node, ListOf):
        yield from (item for _, item in node.items)
    elif isinstance(node, MapOf):
        for _, key, value in node.items:
            yield from (key, value)
    elif isinstance(node, Unary):
        yield node.operand
    elif isinstance(node, Binary):
        yield from (node.left, node.right)
    elif isinstance(node, Ternary):
        yield from (node.test, node.yes, node.no)


_LEVELS = (
    ("||",),
    ("&&",),
    ("==", "!=", "<", "<=", ">", ">=", "in"),
    ("+", "-"),
    ("*", "/", "%"),
)


class _Parser:
    def __init__(self, text: str) -> None:
        self.text = text
        self.words = tokens(text)
        self.next = 0
        self.depth = 0

    def peek(self) -> Token:
        return self.words[self.next]

    def take(self, *texts: str) -> Token | None:
        word = self.words[self.next]
        if word.sort in ("op", "name") and word.text in texts:
            self.next += 1
            return word
        return None

    def need(self, text: str) -> Token:
        return self.take(text) or self.fail(f"'{text}'")

    def fail(self, expected: str) -> Token:
        word = self.peek()
        raise CelSyntaxError(
            self.text, word.at, f"Syntax error: mismatched input '{word.text}' expecting {expected}"
        )

    def expression(self) -> Node:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise CelSyntaxError(self.text, self.peek().at, "expression recursion limit exceeded")
        test = self.binary(0)
        if self.take("?"):
            yes = self.binary(0)
            self.need(":")
            test = Ternary(test.at, test, yes, self.expression())
        self.depth -= 1
        return test

    def binary(self, level: int) -> Node:
        if level == len(_LEVELS):
            return self.unary()
        left = self.binary(level + 1)
        count = 0
        while word := self.take(*_LEVELS[level]):
            count += 1
            if count > MAX_DEPTH * 4:
                raise CelSyntaxError(self.text, word.at, "expression recursion limit exceeded")
            left = Binary(left.at, word.text, left, self.binary(level + 1))
        return left

    def unary(self) -> Node:
        signs = []
        while word := self.take("!", "-"):
            signs.append(word)
            if len(signs) > MAX_DEPTH:
                raise CelSyntaxError(self.text, word.at, "expression recursion limit exceeded")
        out = self.member()
        for word in reversed(signs):
            out = Unary(word.at, word.text, out)
        return out

    def member(self) -> Node:
        out = self.primary()
        steps = 0
        while word := self.take(".", ".?", "[", "[?"):
            steps += 1
            if steps > MAX_DEPTH:
                raise CelSyntaxError(self.text, word.at, "expression recursion limit exceeded")
            if word.text in ("[", "[?"):
                out = Index(out.at, out, self.expression(), word.text == "[?")
                self.need("]")
                continue
            name = self.peek()
            if name.sort != "name":
                self.fail("IDENTIFIER")
            self.next += 1
            if word.text == "." and self.take("("):
                out = Call(name.at, out, name.text, self.arguments())
            else:
                out = Select(out.at, out, name.text.strip("`"), word.text == ".?")
        return out

    def arguments(self) -> tuple[Node, ...]:
        out: list[Node] = []
        while not self.take(")"):
            if out:
                self.need(",")
            out.append(self.expression())
        return tuple(out)

    def primary(self) -> Node:
        word = self.peek()
        if word.sort in ("string", "number") or (
            word.sort == "name" and word.text in ("true", "false", "null")
        ):
            self.next += 1
            return Literal(word.at, word.text)
        if word.sort == "name":
            if word.text in _RESERVED or word.text.startswith("`") or word.text == "in":
                raise CelSyntaxError(self.text, word.at, f"reserved identifier: {word.text}")
            self.next += 1
            if self.take("("):
                return Call(word.at, None, word.text, self.arguments())
            return Ident(word.at, word.text)
        if self.take("("):
            out = self.expression()
            self.need(")")
            return out
        if self.take("[", "[?"):
            return self.list_of(word)
        if self.take("{"):
            return self.map_of(word)
        self.fail("{'[', '{', '(', '.', '-', '!', 'true', 'false', 'null', NUM, STRING, BYTES, IDENTIFIER}")
        raise AssertionError

    def list_of(self, word: Token) -> Node:
        items: list[tuple[bool, Node]] = []
        optional = word.text == "[?"
        while optional or not self.take("]"):
            if items:
                self.need(",")
                if self.take("]"):
                    break
            items.append((optional or self.take("?") is not None, self.expression()))
            optional = False
        return ListOf(word.at, tuple(items))

    def map_of(self, word: Token) -> Node:
        items: list[tuple[bool, Node, Node]] = []
        while not self.take("}"):
            if items:
                self.need(",")
                if self.take("}"):
                    break
            optional = self.take("?") is not None
            key = self.expression()
            self.need(":")
            items.append((optional, key, self.expression()))
        return MapOf(word.at, tuple(items))


def parse(text: str) -> Node:
    """The tree of an expression.

    Raises:
        CelSyntaxError: it is not one, or is nested too deeply.
    """
    parser = _Parser(text)
    out = parser.expression()
    if parser.peek().sort != "end":
        parser.fail("<EOF>")
    return out
