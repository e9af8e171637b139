"""Label matchers. Expressions of strangers may be hostile: they are matched in linear time."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Literal, NamedTuple

# the parser that `re` itself uses: its tree is documented by the module's tests only, but stable since 3.11
from re import _constants, _parser  # type: ignore[attr-defined]  # isort: skip

Op = Literal["=", "!=", "=~", "!~"]
_LONG = 4096
_SAFE_REPEATS = 3
_STATES = 20_000


class Matcher(NamedTuple):
    """What a label has to be. Expressions are anchored at both ends, as in Prometheus."""

    name: str
    op: Op
    value: str

    def test(self) -> Callable[[str], bool]:
        """A function that says whether a value fits.

        Raises:
            ValueError: the expression is none.
        """
        return _test(self.op, self.value)


@lru_cache(maxsize=4096)
def _test(op: Op, value: str) -> Callable[[str], bool]:
    if op == "=":
        return value.__eq__
    if op == "!=":
        return value.__ne__
    full = full_match(value)
    if op == "=~":
        return full
    return lambda text: not full(text)


def translate(pattern: str) -> str:
    """An expression of Go's syntax in Python's.

    Raises:
        ValueError: it has a form that Go does not take.
    """
    if len(pattern) > _LONG:
        raise ValueError("expression too large")
    if re.search(r"\(\?(?:[=!>#(]|<[=!])", pattern) or re.search(r"(?<!\\)(?:\\\\)*\\[1-9]", pattern):
        raise ValueError("invalid or unsupported Perl syntax")
    pattern = pattern.replace("(?<", "(?P<").replace("(?P<P<", "(?P<")
    pattern = re.sub(r"(?<!\\)((?:\\\\)*)\\z", r"\1\\Z", pattern)
    for name, inner in _CLASSES.items():
        pattern = pattern.replace(f"[:{name}:]", inner)
    return pattern


_CLASSES = {
    "alnum": "0-9A-Za-z",
    "alpha": "A-Za-z",
    "digit": "0-9",
    "lower": "a-z",
    "upper": "A-Z",
    "space": "\\t\\n\\v\\f\\r ",
    "word": "0-9A-Za-z_",
    "xdigit": "0-9A-Fa-f",
    "punct": "!-/:-@\\[-`{-~",
}


@lru_cache(maxsize=1024)
def compiled(pattern: str) -> tuple[re.Pattern[str], bool]:
    """The expression for `fullmatch`, and whether it takes linear time (or nearly so) on every text.

    Raises:
        ValueError: the expression is none.
    """
    text = translate(pattern)
    try:
        tree = _parser.parse(text, re.DOTALL | re.ASCII)
        return re.compile(text, re.DOTALL | re.ASCII), _harmless(tree)
    except (re.error, OverflowError, RecursionError) as error:
        raise ValueError(_go_problem(str(error), pattern)) from None


_PROBLEMS = (
    (re.compile(r"missing \), unterminated subpattern.*"), "missing closing ): `{0}`"),
    (re.compile(r"unbalanced parenthesis.*"), "unexpected ): `{0}`"),
    (re.compile(r"unterminated character set at position (\d+)"), "missing closing ]: `{1}`"),
    (re.compile(r"nothing to repeat at position (\d+)"), "missing argument to repetition operator: `{2}`"),
    (re.compile(r"multiple repeat at position (\d+)"), "invalid nested repetition operator: `{3}`"),
    (re.compile(r"bad character range (\S+) at position (\d+)"), "invalid character class range: `{4}`"),
    (re.compile(r"bad escape (\S+) at position (\d+)"), "invalid escape sequence: `{4}`"),
    (re.compile(r"bad escape \(end of pattern\).*"), "trailing backslash at end of expression: ``"),
)


def _go_problem(problem: str, pattern: str) -> str:
    """What Go says of an expression that Python refuses."""
    for expression, wording in _PROBLEMS:
        found = expression.fullmatch(problem)
        if found is not None:
            first = found[1] if found.groups() else ""
            at = int(first) if first.isdigit() else 0
            pieces = (pattern, pattern[at:], pattern[at : at + 1], pattern[max(at - 1, 0) : at + 1], first)
            return wording.format(*pieces)
    return problem


def full_match(pattern: str) -> Callable[[str], bool]:
    """A function that says whether all of a text fits the expression.

    Raises:
        ValueError: the expression is none.
    """
    expression, harmless = compiled(pattern)
    if harmless:
        fit = expression.fullmatch
        return lambda text: fit(text) is not None
    return _Automaton(_parser.parse(translate(pattern), re.DOTALL | re.ASCII)).full


def capturing(pattern: str) -> Callable[[str], re.Match[str] | None]:
    """A function that gives the groups of a text that fits the expression.

    Raises:
        ValueError: the expression is none, or repeats what repeats, which could take for ever.
    """
    expression, harmless = compiled(pattern)
    if harmless:
        return expression.fullmatch
    tree = _parser.parse(translate(pattern), re.DOTALL | re.ASCII)
    if _repeats(tree, inside=False)[1]:
        raise ValueError("repeated repetitions are not supported where groups are used")
    full = _Automaton(tree).full
    return lambda text: expression.fullmatch(text) if full(text) else None


def _harmless(tree: Any) -> bool:
    count, nested = _repeats(tree, inside=False)
    return count <= _SAFE_REPEATS and not nested


def _repeats(tree: Any, *, inside: bool) -> tuple[int, bool]:
    count, nested = 0, False
    for op, args in tree:
        parts: list[Any] = []
        here = inside
        if op in _REPEATING:
            count += args[1] > 1
            nested = nested or (inside and args[1] > 1)
            here = inside or args[1] > 1
            parts = [args[2]]
        elif op is _constants.SUBPATTERN:
            parts = [args[3]]
        elif op is _constants.BRANCH:
            # ways that overlap multiply with each turn
            nested = nested or inside
            parts = args[1]
        for part in parts:
            more, worse = _repeats(part, inside=here)
            count, nested = count + more, nested or worse
    return count, nested


_REPEATING = (_constants.MAX_REPEAT, _constants.MIN_REPEAT)


class _Automaton:
    """States and steps of an expression, all followed at once: linear in the text, whatever it is."""

    def __init__(self, tree: Any) -> None:
        # a step is (test or None, targets); a test of None costs no character
        self._steps: list[tuple[Callable[[str], bool] | None, list[int]]] = []
        self._end = self._add(None, [])
        self._start = self._sequence(tree, self._end)

    def _add(self, test: Callable[[str], bool] | None, targets: list[int]) -> int:
        if len(self._steps) >= _STATES:
            raise ValueError("expression too large")
        self._steps.append((test, targets))
        return len(self._steps) - 1

    def _sequence(self, tree: Any, after: int) -> int:
        for op, args in reversed(list(tree)):
            after = self._one(op, args, after)
        return after

    def _one(self, op: Any, args: Any, after: int) -> int:
        if op is _constants.SUBPATTERN:
            return self._sequence(args[3], after)
        if op is _constants.BRANCH:
            return self._add(None, [self._sequence(part, after) for part in args[1]])
        if op in _REPEATING:
            return self._repeat(args, after)
        if op is _constants.AT:
            raise ValueError("anchors are not supported inside of repeated parts")
        return self._add(_character(op, args), [after])

    def _repeat(self, args: Any, after: int) -> int:
        low, high, part = args
        if high is _constants.MAXREPEAT:
            loop = self._add(None, [after])
            self._steps[loop][1].append(self._sequence(part, loop))
            after = loop
        else:
            for _ in range(high - low):
                after = self._add(None, [after, self._sequence(part, after)])
        for _ in range(low):
            after = self._sequence(part, after)
        return after

    def _closure(self, states: set[int]) -> set[int]:
        stack, out = list(states), set(states)
        while stack:
            test, targets = self._steps[stack.pop()]
            if test is None:
                new = [target for target in targets if target not in out]
                out.update(new)
                stack.extend(new)
        return out

    def full(self, text: str) -> bool:
        """Whether all of the text fits."""
        states = self._closure({self._start})
        for char in text:
            moved: set[int] = set()
            for state in states:
                test, targets = self._steps[state]
                if test is not None and test(char):
                    moved.update(targets)
            if not moved:
                return False
            states = self._closure(moved)
        return self._end in states


def _character(op: Any, args: Any) -> Callable[[str], bool]:
    if op is _constants.LITERAL:
        return chr(args).__eq__
    if op is _constants.NOT_LITERAL:
        return chr(args).__ne__
    if op is _constants.ANY:
        return lambda _: True
    if op is _constants.IN:
        negate = bool(args) and args[0][0] is _constants.NEGATE
        tests = [_member(*item) for item in args if item[0] is not _constants.NEGATE]
        return lambda char: any(test(char) for test in tests) is not negate
    raise ValueError("invalid or unsupported Perl syntax")


def _member(op: Any, args: Any) -> Callable[[str], bool]:
    if op is _constants.LITERAL:
        return chr(args).__eq__
    if op is _constants.RANGE:
        low, high = args
        return lambda char: low <= ord(char) <= high
    if op is _constants.CATEGORY:
        letter = _CATEGORIES.get(args)
        if letter is not None:
            fit = re.compile(letter, re.ASCII).match
            return lambda char: fit(char) is not None
    raise ValueError("invalid or unsupported Perl syntax")


_CATEGORIES = {
    _constants.CATEGORY_DIGIT: r"\d",
    _constants.CATEGORY_NOT_DIGIT: r"\D",
    _constants.CATEGORY_SPACE: r"\s",
    _constants.CATEGORY_NOT_SPACE: r"\S",
    _constants.CATEGORY_WORD: r"\w",
    _constants.CATEGORY_NOT_WORD: r"\W",
}
