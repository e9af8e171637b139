"""Compiled CEL expressions."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

from firedrill.world.kube.cel.cost import LIMIT, SIZE_LIMIT, bound, measure
from firedrill.world.kube.cel.desugar import Desugared, Desugarer
from firedrill.world.kube.cel.library import AUTHORIZER, FUNCTIONS
from firedrill.world.kube.cel.strings import begin
from firedrill.world.kube.cel.syntax import CelSyntaxError, Ident, Node, Select, children, parse
from firedrill.world.kube.cel.values import Access, CelError, Optional, tagged, untagged

_KNOWN = frozenset({*FUNCTIONS, *AUTHORIZER, "check"})
_CALLED = re.compile(r"Python function call failed: \w+: (.*)\. Check function arguments", re.DOTALL)
_FUNCTION = re.compile(r"Function '\w+' error: (.*?)(?:\. (?:Check|The value) .*)?$", re.DOTALL)


_FAILURES = (LookupError, ArithmeticError, TypeError, RuntimeError, ValueError)


class Program:
    """One expression, ready to be evaluated any number of times.

    Attributes:
        text: the expression.
        names: the variables that it needs, with the place of their first use.
    """

    __slots__ = ("_bounds", "_engine", "_functions", "_node", "_optional", "_patient", "names", "text")

    def __init__(
        self,
        text: str,
        optional_variables: frozenset[str] = frozenset(),
        extensions: frozenset[str] = frozenset(),
    ) -> None:
        import logging

        import cel

        # The engine logs each failing function; such failures are values here.
        logging.getLogger("cel").setLevel(logging.CRITICAL)
        self.text = text
        self._node = parse(text)
        self._bounds: dict[tuple[int, int], bool] = {}
        self._patient: Any = None
        if ".all(" in text or ".exists(" in text:
            self._patient = Desugarer(text, _KNOWN, optional_variables, extensions, patient=True).run(
                self._node
            )
        done = Desugarer(text, _KNOWN, optional_variables, extensions).run(self._node)
        self.names: Mapping[str, int] = done.names
        self._functions = tuple(sorted(done.functions))
        self._optional = done.optional
        try:
            self._engine = cel.compile(done.text)
        except ValueError as problem:
            raise CelSyntaxError(text, 0, str(problem).splitlines()[0]) from None

    @property
    def optional(self) -> bool:
        """Whether the value is an optional."""
        return self._optional

    def fields_of(self, variable: str) -> list[str]:
        """The names that are selected from a variable, as in `variables.NAME`, in order."""
        out: dict[str, None] = {}
        waiting: list[Node] = [self._node]
        while waiting:
            node = waiting.pop()
            if isinstance(node, Select) and isinstance(node.operand, Ident) and node.operand.name == variable:
                out[node.name] = None
            waiting.extend(children(node))
        return sorted(out)

    def evaluate(
        self, variables: Mapping[str, Any], functions: Mapping[str, Callable[..., Any]] | None = None
    ) -> Any:
        """The value of the expression.

        Args:
            variables: JSON values, `Optional`s and one `Access` (the authoriser) by name.
            functions: what the extensions do, as in `{"resource.Get": …}`; they raise CelError.

        Returns:
            A JSON value, bytes, datetime, timedelta, an `Optional`, or a tagged library value.

        Raises:
            CelError: it has no value: a key is missing, types do not fit, it would cost too much.
        """
        needed = {name: variables[name] for name in self.names if name in variables}
        self._limit(needed)
        called = {f"k_{name}": FUNCTIONS.get(name) or AUTHORIZER.get(name) for name in self._functions}
        called |= {
            f"k_ext_{name.replace('.', '_')}": function for name, function in (functions or {}).items()
        }
        for name, value in needed.items():
            if isinstance(value, Access):
                needed[name], called["k_check"] = _authorizer(value)
            else:
                needed[name] = _plain(value)
        called.setdefault("k_check", _no_check)
        known = {key: function for key, function in called.items() if function is not None}
        context = _LAST.context(needed, known)
        begin()
        try:
            value = self._engine.execute(context)
        except _FAILURES as problem:
            value = self._again(context, problem)
        return Optional(tuple(value)) if self._optional and isinstance(value, list) else value

    def _again(self, context: Any, first: Exception) -> Any:
        """The value where one element of a loop failed and another settles the matter.

        Raises:
            CelError: there is none.
        """
        import cel

        if self._patient is None:
            raise CelError(_message(first)) from None
        if isinstance(self._patient, Desugared):
            try:
                self._patient = cel.compile(self._patient.text)
            except ValueError:  # too deep for the engine once it is spelled out
                self._patient = None
                raise CelError(_message(first)) from None
        try:
            return self._patient.execute(context)
        except _FAILURES:
            raise CelError(_message(first)) from None

    def _limit(self, needed: Mapping[str, Any]) -> None:
        wide, long = _LAST.measured([value for value in needed.values() if not isinstance(value, Access)])
        # Rounded up to a power of two, so that few pairs are ever looked at.
        size = (
            (1 << (wide - 1).bit_length(), 1 << (long - 1).bit_length()) if wide > 64 else (64, max(long, 1))
        )
        fine = self._bounds.get(size)
        if fine is None:
            most = bound(self._node, *size)
            fine = most.steps <= LIMIT and most.wide <= SIZE_LIMIT and most.long <= SIZE_LIMIT * 32
            if len(self._bounds) < 64:
                self._bounds[size] = fine
        if not fine:
            raise CelError("operation cancelled: actual cost limit exceeded")


class _Last:
    """What was made for the values of the evaluation before: policies ask much of the same object.

    Values are compared by identity and held, so that nothing else can have taken their place; no caller
    changes a value that it has handed in.
    """

    __slots__ = ("_context", "_known", "_measured", "_values")

    def __init__(self) -> None:
        self._context: Any = None
        self._known: dict[str, Any] = {}
        self._values: dict[str, Any] = {}
        self._measured: dict[int, tuple[Any, tuple[int, int]]] = {}

    def context(self, values: dict[str, Any], functions: dict[str, Any]) -> Any:
        """The engine's form of variables and functions."""
        if not (_same(values, self._values) and _same(functions, self._known)):
            import cel

            self._context = cel.Context(variables=values, functions=functions)
            self._values, self._known = values, functions
        return self._context

    def measured(self, values: list[Any]) -> tuple[int, int]:
        """The width and length of the widest and longest of these values."""
        wide, long = max(len(values), 1), 1
        for value in values:
            known = self._measured.get(id(value))
            if known is None or known[0] is not value:
                known = (value, measure(value, 1))
                if isinstance(value, Mapping):
                    if len(self._measured) >= 8:
                        self._measured.clear()
                    self._measured[id(value)] = known
            wide, long = max(wide, known[1][0]), max(long, known[1][1])
        return wide, long


def _same(left: Mapping[str, Any], right: Mapping[str, Any]) -> bool:
    return len(left) == len(right) and all(key in right and right[key] is left[key] for key in left)


_LAST = _Last()


def _plain(value: Any) -> Any:
    if isinstance(value, Optional):
        return [_plain(item) for item in value.values]
    if isinstance(value, dict) and any(isinstance(item, Optional) for item in value.values()):
        return {key: _plain(item) for key, item in value.items()}
    return value


def _authorizer(access: Access) -> tuple[dict[str, Any], Callable[..., Any]]:
    def check(value: Any, verb: Any) -> dict[str, Any]:
        allowed, reason = access.ask(verb=verb, **untagged("authorizer", value))
        return tagged("decision", {"allowed": allowed, "reason": reason, "error": ""})

    start = tagged("authorizer", {"path": ""})
    return {**start, "requestResource": tagged("authorizer", dict(access.request))}, check


def _no_check(*_: Any) -> Any:
    raise CelError("no such overload")


def _message(problem: Exception) -> str:
    """What went wrong, in the words of cel-go."""
    text = str(problem.args[0]) if problem.args else str(problem)
    if isinstance(problem, KeyError):
        return f"no such key: {text}"
    if isinstance(problem, IndexError):
        return text if text.startswith("index") else f"index out of bounds: {text}"
    if isinstance(problem, ZeroDivisionError):
        return "modulus by zero" if text.startswith("modulo") else "division by zero"
    if isinstance(problem, TypeError):
        return "no such overload"
    if isinstance(problem, OverflowError) and "Function" not in text:
        return "return error for overflow"
    called = _CALLED.search(text)
    if called:
        return called[1]
    if text.startswith("Undefined variable or function"):
        name = text.split("'")[1] if "'" in text else ""
        return f"no such attribute(s): {name}" if name and name not in _NATIVE_NAMES else "no such overload"
    function = _FUNCTION.match(text)
    return function[1] if function else text


_NATIVE_NAMES = frozenset(
    {"int", "uint", "double", "bytes", "size", "timestamp", "duration", "matches", "contains"}
)


@lru_cache(maxsize=2048)
def compile(  # noqa: A001 - as in `re`
    text: str, optional_variables: frozenset[str] = frozenset(), extensions: frozenset[str] = frozenset()
) -> Program:
    """The expression, ready to be evaluated; the same object for the same text.

    Args:
        text: the expression.
        optional_variables: variables and members that hold optionals, as in `variables.name`. Elsewhere
            (elements of lists, say) optionals cannot be told from lists and are not supported.
        extensions: functions that another room brings, as in `resource.Get`.

    Raises:
        CelSyntaxError: it is not one; says line and column.
    """
    return Program(text, optional_variables, extensions)
