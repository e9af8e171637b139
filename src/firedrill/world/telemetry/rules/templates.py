"""Templates in labels and annotations: the part of Go's templates that rules use.

Actions with pipelines, variables, `if`, `with`, `range`, comments and trimmed blanks. None runs for long.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from firedrill.world.telemetry.rules.humane import FUNCTIONS, TemplateError, shown

_ACTION = re.compile(r"\{\{(- )?\s*(.*?)\s*( -)?\}\}", re.DOTALL)
_TOKEN = re.compile(
    r"""\s*(?:(?P<string>"(?:[^"\\]|\\.)*"|`[^`]*`)|(?P<number>-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)"""
    r"""|(?P<variable>\$\w*)|(?P<field>\.\w+)|(?P<word>\w+)|(?P<symbol>:=|[().|=,]))"""
)
_LONGEST_TEXT = 100_000
_MOST_STEPS = 20_000
Query = Callable[[str], list[dict[str, Any]]]


@dataclass(slots=True)
class _Node:
    """Text, an action, or a block with what follows it."""

    kind: str
    text: str = ""
    tokens: list[tuple[str, str]] = field(default_factory=list)
    body: list[_Node] = field(default_factory=list)
    otherwise: list[_Node] = field(default_factory=list)


def check(template: str) -> str:
    """What is wrong with the form of a template, or nothing."""
    try:
        _parsed(template)
    except TemplateError as error:
        return str(error)
    return ""


@lru_cache(maxsize=4096)
def _parsed(template: str) -> list[_Node]:
    if len(template) > _LONGEST_TEXT:
        raise TemplateError("the template is too long")
    stack: list[tuple[_Node, list[_Node]]] = []
    root: list[_Node] = []
    here = root
    at, trim = 0, False
    for action in _ACTION.finditer(template):
        before = template[at : action.start()]
        before = before.lstrip() if trim else before
        before = before.rstrip() if action[1] else before
        if before:
            here.append(_Node("text", before))
        at, trim = action.end(), bool(action[3])
        here = _open(action[2], here, stack)
    rest = template[at:]
    if "{{" in rest:
        raise TemplateError("unclosed action")
    if stack:
        raise TemplateError("unexpected EOF")
    rest = rest.lstrip() if trim else rest
    if rest:
        here.append(_Node("text", rest))
    return root


def _open(text: str, here: list[_Node], stack: list[tuple[_Node, list[_Node]]]) -> list[_Node]:
    """Take in an action; gives the list to which what follows belongs."""
    if text.startswith("/*"):
        return here
    word, _, rest = text.partition(" ")
    if word in {"if", "with", "range"}:
        if len(stack) >= 20:
            raise TemplateError("blocks are nested too deeply")
        node = _Node(word, tokens=_tokens(rest))
        here.append(node)
        stack.append((node, here))
        return node.body
    if word in {"else", "end"}:
        if not stack:
            raise TemplateError(f"unexpected {{{{{word}}}}}")
        node, outer = stack[-1]
        if word == "end":
            stack.pop()
            while node.kind.startswith("else "):
                node, outer = stack.pop()
            return outer
        if not rest.strip():
            return node.otherwise
        kind, _, condition = rest.strip().partition(" ")
        if kind not in {"if", "with"}:
            raise TemplateError(f"unexpected {kind} in else")
        chained = _Node(f"else {kind}", tokens=_tokens(condition))
        node.otherwise.append(chained)
        stack.append((chained, outer))
        return chained.body
    here.append(_Node("action", tokens=_tokens(text)))
    return here


def _tokens(text: str) -> list[tuple[str, str]]:
    out, at = [], 0
    text = text.strip()
    while at < len(text):
        found = _TOKEN.match(text, at)
        if found is None or found.end() == at:
            raise TemplateError(f"unexpected {text[at : at + 10]!r} in command")
        kind = found.lastgroup or ""
        # a field right behind what it belongs to, and a dot of its own, are different things
        glued = "" if found.group().startswith((" ", "\n", "\t")) or at == 0 else "+"
        out.append((kind + (glued if kind == "field" else ""), found[kind]))
        at = found.end()
    if not out:
        raise TemplateError("missing value for command")
    return out


@dataclass(slots=True)
class _Run:
    """One filling in: variables, what queries go to, and how many steps are left."""

    variables: dict[str, Any]
    query: Query
    left: int = _MOST_STEPS

    def render(self, nodes: list[_Node], dot: Any) -> str:
        out = []
        for node in nodes:
            self.left -= 1
            if self.left < 0:
                raise TemplateError("the template takes too long")
            if node.kind == "text":
                out.append(node.text)
            elif node.kind == "action":
                value, printed = self.pipeline(node.tokens, dot)
                out.append(shown(value) if printed else "")
            else:
                out.append(self.block(node, dot))
        return "".join(out)

    def block(self, node: _Node, dot: Any) -> str:
        kind = node.kind.removeprefix("else ")
        if kind == "range":
            return self.repeat(node, dot)
        value, _ = self.pipeline(node.tokens, dot)
        if value:
            return self.render(node.body, value if kind == "with" else dot)
        return self.render(node.otherwise, dot)

    def repeat(self, node: _Node, dot: Any) -> str:
        tokens, names = node.tokens, []
        assign = next((i for i, token in enumerate(tokens) if token == ("symbol", ":=")), -1)
        if assign >= 0:
            names = [text for kind, text in tokens[:assign] if kind == "variable"]
            tokens = tokens[assign + 1 :]
        found, _ = self.pipeline(tokens, dot)
        if isinstance(found, Mapping):
            items = sorted(found.items())
        else:
            items = list(enumerate(found if isinstance(found, list | tuple) else []))
        if not items:
            return self.render(node.otherwise, dot)
        out = []
        for key, value in items:
            if len(names) == 2:
                self.variables[names[0]], self.variables[names[1]] = key, value
            elif names:
                self.variables[names[0]] = value
            out.append(self.render(node.body, value))
        return "".join(out)

    def pipeline(self, tokens: list[tuple[str, str]], dot: Any) -> tuple[Any, bool]:
        """The value of a pipeline, and whether it is printed (what is assigned is not)."""
        if (
            len(tokens) > 2
            and tokens[0][0] == "variable"
            and tokens[1] in {("symbol", ":="), ("symbol", "=")}
        ):
            self.variables[tokens[0][1]] = self.pipeline(tokens[2:], dot)[0]
            return None, False
        value, at = self.commands(tokens, 0, dot)
        if at < len(tokens):
            raise TemplateError(f"unexpected {tokens[at][1]!r} in operand")
        return value, True

    def commands(self, tokens: list[tuple[str, str]], at: int, dot: Any) -> tuple[Any, int]:
        value: Any = None
        first = True
        while True:
            words, at = self.command(tokens, at, dot)
            value = self.call(words, value, first)
            first = False
            if at < len(tokens) and tokens[at] == ("symbol", "|"):
                at += 1
                continue
            return value, at

    def command(self, tokens: list[tuple[str, str]], at: int, dot: Any) -> tuple[list[Any], int]:
        words: list[Any] = []
        while at < len(tokens) and tokens[at] not in {("symbol", "|"), ("symbol", ")")}:
            word, at = self.operand(tokens, at, dot)
            words.append(word)
        if not words:
            raise TemplateError("missing value for command")
        return words, at

    def operand(self, tokens: list[tuple[str, str]], at: int, dot: Any) -> tuple[Any, int]:
        kind, text = tokens[at]
        at += 1
        value: Any
        if kind == "string":
            value = text[1:-1] if text[0] == "`" else _unquoted(text)
        elif kind == "number":
            value = float(text) if set(text) & set(".eE") else int(text)
        elif kind == "variable":
            if text != "$" and text not in self.variables:
                raise TemplateError(f'undefined variable "{text}"')
            value = self.variables.get(text)
        elif kind.startswith("field"):
            value = _field(dot, text[1:])
        elif (kind, text) == ("symbol", "."):
            value = dot
        elif (kind, text) == ("symbol", "("):
            value, at = self.commands(tokens, at, dot)
            if at >= len(tokens) or tokens[at] != ("symbol", ")"):
                raise TemplateError("unclosed left paren")
            at += 1
        elif kind == "word":
            value = {"true": True, "false": False, "nil": None}.get(text, _Function(text))
        else:
            raise TemplateError(f"unexpected {text!r} in operand")
        while at < len(tokens) and tokens[at][0] == "field+":
            value = _field(value, tokens[at][1][1:])
            at += 1
        return value, at

    def call(self, words: list[Any], piped: Any, first: bool) -> Any:
        head, args = words[0], words[1:] if first else [*words[1:], piped]
        args = [self.call([arg], None, True) if isinstance(arg, _Function) else arg for arg in args]
        if not isinstance(head, _Function):
            if args:
                raise TemplateError("can't give argument to non-function")
            return head
        function = _LOGIC.get(head.name) or FUNCTIONS.get(head.name)
        if head.name == "query":
            function = self.query
        if function is None:
            raise TemplateError(f'function "{head.name}" not defined')
        try:
            return function(*args)
        except (TypeError, IndexError, KeyError, AttributeError, ValueError) as error:
            raise TemplateError(f"error calling {head.name}: {error}") from None


@dataclass(frozen=True, slots=True)
class _Function:
    name: str


def _unquoted(text: str) -> str:
    simple = {"n": "\n", "t": "\t", "r": "\r", '"': '"', "\\": "\\", "'": "'"}
    return re.sub(r"\\(.)", lambda m: simple.get(m[1], m[0]), text[1:-1])


def _field(value: Any, name: str) -> Any:
    if isinstance(value, Mapping):
        # labels that are not there print as nothing
        return value.get(name, "")
    raise TemplateError(f"can't evaluate field {name}")


def _compare(test: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    def run(a: Any, b: Any) -> bool:
        if isinstance(a, str) is not isinstance(b, str):
            raise TemplateError("incompatible types for comparison")
        return test(a, b)

    return run


def _first(items: list[Any]) -> Any:
    if not items:
        raise TemplateError("first() called on vector with no elements")
    return items[0]


def _index(value: Any, *keys: Any) -> Any:
    for key in keys:
        value = value.get(key, "") if isinstance(value, Mapping) else value[key]
    return value


_LOGIC: dict[str, Callable[..., Any]] = {
    "and": lambda *args: next((arg for arg in args if not arg), args[-1]),
    "or": lambda *args: next((arg for arg in args if arg), args[-1]),
    "not": lambda value: not value,
    "eq": lambda a, *rest: any(_compare(lambda x, y: bool(x == y))(a, b) for b in rest),
    "ne": _compare(lambda a, b: bool(a != b)),
    "lt": _compare(lambda a, b: bool(a < b)),
    "le": _compare(lambda a, b: bool(a <= b)),
    "gt": _compare(lambda a, b: bool(a > b)),
    "ge": _compare(lambda a, b: bool(a >= b)),
    "index": _index,
    "first": _first,
    "value": lambda sample: sample["Value"],
    "label": lambda name, sample: sample["Labels"].get(name, ""),
    "strvalue": lambda sample: sample["Labels"].get("__value__", ""),
    "sortByLabel": lambda name, items: sorted(items, key=lambda sample: sample["Labels"].get(name, "")),
    "args": lambda *args: {f"arg{index}": arg for index, arg in enumerate(args)},
}


def fill(template: str, labels: Mapping[str, str], value: float, query: Query) -> str:
    """The text of a template for one alert.

    Args:
        template: as a rule has it.
        labels, value: of the element.
        query: what an expression gives, as a list of `{"Labels": …, "Value": …}`.
    """
    if "{{" not in template:
        return template
    dot = {"Labels": dict(labels), "Value": value, "ExternalLabels": {}, "ExternalURL": ""}
    variables = {
        "$labels": dot["Labels"],
        "$value": value,
        "$externalLabels": {},
        "$externalURL": "",
        "$": dot,
    }
    try:
        return _Run(variables, query).render(_parsed(template), dot)
    except TemplateError as error:
        return f"<error expanding template: {error}>"
