"""Rego as the engine needs it: calls that bind their result, and calls whose failure means "undefined".

Rego's own engine leaves an expression undefined when a built-in function cannot work on its arguments
(``to_number("x")``, ``startswith(1, "a")``); regorus stops with an error. ``soften`` rewrites the calls of
one function to a guarded one that gives an array of one value or of none: indexing it is undefined where the
real call would be. ``soften_loops`` does the same for loops over null. Places come from the syntax tree;
nothing is searched in text.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from firedrill.world.policy.rego.inside import analysis

Node = dict[str, Any]
SOFT = "soft__"
"""Begins the names of guarded functions."""

_ITEMS = f"{SOFT}items"
_Edit = tuple[int, int, str]


def _span(node: Any) -> tuple[int, int]:
    body = next(iter(node.values()))
    return body["span"]["start"], body["span"]["end"]


def _calls(tree: Node, name: str) -> list[Node]:
    found = []
    for kind, node in analysis.nodes(tree["ast"]):
        if kind == "Call":
            parts = analysis.path(node["fcn"])
            if parts and ".".join(parts) == name:
                found.append(node)
    return found


def _bind(node: Node, text: bytes) -> list[_Edit]:
    """``f(a, x)`` becomes ``x = f(a)``."""
    start, end = node["span"]["start"], node["span"]["end"]
    last = node["params"][-1]
    first, final = _span(last)
    if {"String", "RawString"} & set(last):
        first, final = first - 1, final + 1
    return [(start, start, f"{text[first:final].decode()} = "), (text.rfind(b",", 0, first), end - 1, "")]


def _soft(node: Node, name: str) -> list[_Edit]:
    start, end = _span(node["fcn"])
    close = node["span"]["end"]
    return [(start, end, SOFT + name.replace(".", "__")), (close, close, "[0]")]


def _apply(text: bytes, edits: list[_Edit]) -> bytes:
    for start, end, new in sorted(edits, key=lambda item: (item[0], item[1]), reverse=True):
        text = text[:start] + new.encode() + text[end:]
    return text


def bind_results(trees: list[Node], functions: dict[str, int]) -> list[list[str]]:
    """Modules in which calls of ``functions`` with one argument too many bind their result instead."""
    modules = []
    for tree in trees:
        text = tree["source"]["contents"].encode()
        edits = [
            edit
            for name, arguments in functions.items()
            for node in _calls(tree, name)
            if arguments > 0 and len(node["params"]) == arguments + 1
            for edit in _bind(node, text)
        ]
        modules.append([tree["source"]["file"], _apply(text, edits).decode()])
    return modules


def soften(trees: list[Node], name: str, arguments: int) -> list[list[str]]:
    """Modules in which every call of the built-in function ``name`` is a guarded one."""
    modules = []
    for tree in trees:
        text = tree["source"]["contents"].encode()
        edits: list[_Edit] = []
        for node in _calls(tree, name):
            if len(node["params"]) == arguments + 1:
                edits += _bind(node, text)
            edits += _soft(node, name)
        modules.append([tree["source"]["file"], _apply(text, edits).decode()])
    return modules


def soften_loops(trees: list[Node], version: int) -> list[list[str]]:
    """Modules in which `some … in` and `every … in` over null, a number or a text find nothing."""
    modules = []
    for tree in trees:
        text = tree["source"]["contents"].encode()
        edits: list[_Edit] = []
        for kind, node in analysis.nodes(tree["ast"]):
            over = node.get("collection") or node.get("domain") if kind in ("SomeIn", "Every") else None
            if isinstance(over, dict) and not {"Array", "Set", "Object", "String"} & set(over):
                start, end = _span(over)
                edits += [(start, start, f"{_ITEMS}("), (end, end, ")")]
        modules.append([tree["source"]["file"], _apply(text, edits).decode() + _helpers(version)])
    return modules


def _helpers(version: int) -> str:
    kinds = ("array", "object", "set")
    if version == 1:
        return "".join(f"\n{_ITEMS}(v) := v if is_{kind}(v)\n" for kind in kinds)
    return "".join(f"\n{_ITEMS}(v) = v {{ is_{kind}(v) }}\n" for kind in kinds)


def guarded(call: Callable[..., Any]) -> Callable[..., list[Any]]:
    """A function that gives ``[value]``, or ``[]`` where ``call`` fails."""

    def soft(*given: Any) -> list[Any]:
        try:
            return [call(*given)]
        except (RuntimeError, ValueError):
            return []

    return soft


def called_at(tree: Node, row: int, col: int, wanted: Callable[[str], bool]) -> str | None:
    """The innermost call of a wanted function that spans a place (counted from 1) of a module."""
    lines = tree["source"]["contents"].split("\n")
    if not 0 < row <= len(lines):
        return None
    before = sum(len(line.encode()) + 1 for line in lines[: row - 1])
    place = before + len(lines[row - 1][: col - 1].encode())
    best: tuple[int, str] | None = None
    for kind, node in analysis.nodes(tree["ast"]):
        if kind == "Call":
            parts = analysis.path(node["fcn"])
            start, end = node["span"]["start"], node["span"]["end"]
            if parts and start <= place < end and wanted(".".join(parts)):
                size = end - start
                if best is None or size < best[0]:
                    best = (size, ".".join(parts))
    return best[1] if best else None
