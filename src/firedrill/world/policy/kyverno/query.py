"""JMESPath as Kyverno has it: its functions, an error for keys that are not there, bounded work."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import jmespath
from jmespath import exceptions
from jmespath.visitor import Options, TreeInterpreter

from firedrill.world.policy.kyverno.budget import Budget, Exhausted
from firedrill.world.policy.kyverno.functions import Functions
from firedrill.world.policy.kyverno.scalars import whole

_LONGEST = 20_000
_NODES = 4_000


class QueryError(Exception):
    """A query has no value; the text says why."""


class NotFound(QueryError):
    """A key of a path is not there."""

    def __init__(self, key: str) -> None:
        super().__init__(f'Unknown key "{key}" in path')


@lru_cache(maxsize=4096)
def parse(text: str) -> Mapping[str, Any]:
    """The expression's tree.

    Raises:
        QueryError: it is none.
    """
    if not text.strip():
        raise QueryError("invalid query (nil)")
    if len(text) > _LONGEST:
        raise QueryError(f"incorrect query {text[:60]}...: too long")
    try:
        tree: Mapping[str, Any] = jmespath.compile(text).parsed
    except (exceptions.JMESPathError, RecursionError, ValueError, AttributeError) as problem:
        shown = str(problem).splitlines()[0] if str(problem) else type(problem).__name__
        raise QueryError(f"incorrect query {text}: {shown}") from None
    if _tall(tree) > 250:
        raise QueryError(f"incorrect query {text[:60]}...: nested too deeply")
    return tree


def _tall(tree: Any) -> int:
    tallest, waiting, seen = 0, [(tree, 1)], 0
    while waiting:
        node, height = waiting.pop()
        seen += 1
        tallest = max(tallest, height)
        if seen > _NODES:
            return 10**6
        waiting.extend((child, height + 1) for child in node.get("children", ()) if isinstance(child, dict))
    return tallest


@lru_cache(maxsize=4096)
def names(text: str) -> frozenset[str]:
    """Every identifier in a query: what it could need of the context."""
    return frozenset(re.findall(r"[A-Za-z_][A-Za-z0-9_]*", text))


class Interpreter(TreeInterpreter):  # type: ignore[misc]  # the package has no types
    """Walks the tree of a query."""

    def __init__(self, functions: Functions, budget: Budget) -> None:
        super().__init__(Options(custom_functions=functions))
        self._budget = budget

    def visit(self, node: Any, *args: Any, **kwargs: Any) -> Any:
        """One node."""
        self._budget.step()
        return super().visit(node, *args, **kwargs)

    def _soft(self, node: Any, value: Any) -> Any:
        """The value of a node where a missing key counts as null."""
        try:
            return self.visit(node, value)
        except NotFound:
            return None

    def visit_field(self, node: Any, value: Any) -> Any:
        """A key of an object."""
        key = node["value"]
        if isinstance(value, Mapping) and key in value:
            return value[key]
        raise NotFound(str(key))

    def visit_comparator(self, node: Any, value: Any) -> Any:
        """Equality of any two values, order of numbers and of texts."""
        left, right = (self._soft(child, value) for child in node["children"])
        name = node["value"]
        if name in ("eq", "ne"):
            return self._same(left, right) == (name == "eq")
        texts = isinstance(left, str) and isinstance(right, str)
        numbers = all(isinstance(item, int | float) and not isinstance(item, bool) for item in (left, right))
        return bool(self.COMPARATOR_FUNC[name](left, right)) if texts or numbers else None

    def _same(self, left: Any, right: Any) -> bool:
        self._budget.step()
        if isinstance(left, bool) or isinstance(right, bool):
            return left is right
        if isinstance(left, list) and isinstance(right, list):
            return len(left) == len(right) and all(map(self._same, left, right))
        if isinstance(left, dict) and isinstance(right, dict):
            return left.keys() == right.keys() and all(self._same(left[key], right[key]) for key in left)
        return bool(left == right)

    def visit_or_expression(self, node: Any, value: Any) -> Any:
        """The first operand unless it is empty, null or missing."""
        found = self._soft(node["children"][0], value)
        return self.visit(node["children"][1], value) if self._is_false(found) else found

    def visit_and_expression(self, node: Any, value: Any) -> Any:
        """The first operand where it is empty, else the second."""
        found = self._soft(node["children"][0], value)
        return found if self._is_false(found) else self.visit(node["children"][1], value)

    def visit_not_expression(self, node: Any, value: Any) -> Any:
        """Whether the operand is empty, but for the number 0."""
        found = self._soft(node["children"][0], value)
        return not (isinstance(found, int) and not isinstance(found, bool)) and self._is_false(found)

    def visit_function_expression(self, node: Any, value: Any) -> Any:
        """A call; only `not_null` accepts what is missing."""
        read = self._soft if node["value"] == "not_null" else self.visit
        return self._functions.call_function(
            node["value"], [read(child, value) for child in node["children"]]
        )

    def visit_projection(self, node: Any, value: Any) -> Any:
        """The rest of the path for each element; null, and no error, where there is no list."""
        base = self._soft(node["children"][0], value)
        return self._collect(base, node["children"][1]) if isinstance(base, list) else None

    def visit_value_projection(self, node: Any, value: Any) -> Any:
        """The rest of the path for each value of an object."""
        base = self._soft(node["children"][0], value)
        return self._collect(list(base.values()), node["children"][1]) if isinstance(base, dict) else None

    def visit_filter_projection(self, node: Any, value: Any) -> Any:
        """The rest of the path for each element that the condition holds for."""
        base = self._soft(node["children"][0], value)
        if not isinstance(base, list):
            return None
        kept = [item for item in base if not self._is_false(self._soft(node["children"][2], item))]
        return self._collect(kept, node["children"][1])

    def _collect(self, items: list[Any], rest: Any) -> list[Any]:
        found = (self._soft(rest, item) for item in items)
        return [item for item in found if item is not None]

    def visit_flatten(self, node: Any, value: Any) -> Any:
        """Lists in a list become one."""
        base = self._soft(node["children"][0], value)
        if not isinstance(base, list):
            return None
        out: list[Any] = []
        for item in base:
            self._budget.step(len(item) if isinstance(item, list) else 1)
            if isinstance(item, list):
                out.extend(item)
            else:
                out.append(item)
        return out

    def visit_multi_select_list(self, node: Any, value: Any) -> Any:
        """Several values as a list."""
        return None if value is None else [self._soft(child, value) for child in node["children"]]

    def visit_multi_select_dict(self, node: Any, value: Any) -> Any:
        """Several values as an object."""
        if value is None:
            return None
        return {child["value"]: self._soft(child["children"][0], value) for child in node["children"]}


def search(text: str, data: Any, *, budget: Budget, now_ms: int = 0) -> Any:
    """The value of a query over data.

    Raises:
        NotFound: a key is missing.
        QueryError: it is no query, or a function refuses its arguments.
        Exhausted: it takes too many steps.
    """
    tree = parse(text.strip())
    try:
        found = Interpreter(Functions(budget, now_ms), budget).visit(tree, data)
    except QueryError:
        raise
    except exceptions.JMESPathError as problem:
        raise QueryError(str(problem).splitlines()[0]) from None
    except RecursionError:
        raise Exhausted("the query goes too deep") from None
    except (ArithmeticError, TypeError, ValueError, LookupError, AttributeError, OSError) as problem:
        # Functions get whatever a policy hands them; what they cannot use is the query's error.
        raise QueryError(str(problem) or type(problem).__name__) from None
    return whole(found) if isinstance(found, float) else found
