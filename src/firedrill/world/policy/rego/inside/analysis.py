"""What the syntax tree of a policy shows: packages, rules, calls, references to input, circles of functions.

The tree is the one regorus gives as JSON. Everything here is a loop over a stack, not recursion: foreign
policies choose its depth.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

Node = dict[str, Any]


class Call(NamedTuple):
    """A call of ``name`` at ``row``:``col`` inside rule ``rule`` (full path, without ``data.``)."""

    name: str
    arguments: int
    row: int
    col: int
    rule: str
    module: str
    span: tuple[int, int]


class Found(NamedTuple):
    """All that is known of a set of modules."""

    packages: list[str]
    rules: list[str]
    functions: dict[str, int]
    calls: list[Call]
    mocked: set[str]
    reads: dict[str, set[str]]


def nodes(root: Any) -> Iterator[tuple[str, Any]]:
    """Every (kind, node) of a tree, in the order of the text where siblings are lists."""
    stack: list[tuple[str, Any]] = [("", root)]
    while stack:
        kind, node = stack.pop()
        if isinstance(node, dict):
            yield kind, node
            stack.extend((key, item) for key, item in reversed(list(node.items())) if key != "span")
        elif isinstance(node, list):
            stack.extend((kind, item) for item in reversed(node))


def path(expression: Any) -> list[str] | None:
    """``a.b["c"]`` as ``[a, b, c]``; up to the first variable index; None for what is no reference."""
    parts: list[str] = []
    node = expression
    while isinstance(node, dict):
        if "Var" in node:
            return [str(node["Var"]["value"]), *reversed(parts)]
        if "RefDot" in node:
            field = node["RefDot"]["field"]
            if field:
                parts.append(str(field[1]))
            node = node["RefDot"]["refr"]
        elif "RefBrack" in node:
            index = node["RefBrack"]["index"]
            literal = index.get("String") or index.get("RawString") if isinstance(index, dict) else None
            if literal is None:
                parts.clear()
            else:
                parts.append(str(literal["value"]))
            node = node["RefBrack"]["refr"]
        else:
            return None
    return None


def _head(rule: Node) -> tuple[list[str], int | None]:
    """The path of a rule's name, and its number of arguments when it is a function."""
    if "Default" in rule:
        default = rule["Default"]
        arguments = default.get("args") or []
        return path(default["refr"]) or [], len(arguments) or None
    head = rule["Spec"]["head"]
    kind, body = next(iter(head.items()))
    if kind == "Func":
        return path(body["refr"]) or [], len(body["args"])
    return path(body["refr"]) or [], None


def _imports(module: Node) -> dict[str, list[str]]:
    found = {}
    for item in module["imports"]:
        parts = path(item["refr"])
        if parts and parts[0] in ("data", "input") and len(parts) > 1:
            alias = item.get("as")
            found[str(alias[1]) if isinstance(alias, list) else parts[-1]] = parts
    return found


def _locals(rule: Node) -> set[str]:
    """Names that a rule declares itself: they hide rules and imports of the same name."""
    found: set[str] = set()

    def bind(target: Any) -> None:
        found.update(str(node["value"]) for kind, node in nodes(target) if kind == "Var")

    for kind, node in nodes(rule):
        if kind == "AssignExpr" and node.get("op") == "ColEq":
            bind({"target": node["lhs"]})
        elif kind == "SomeIn":
            bind({"key": node.get("key"), "value": node["value"]})
        elif kind == "SomeVars":
            found.update(str(item[1]) for item in node.get("vars", ()) if isinstance(item, list))
        elif kind == "Every":
            for name in ("key", "value"):
                if isinstance(node.get(name), list):
                    found.add(str(node[name][1]))
        elif kind == "Func":
            bind({"args": node["args"]})
    return found


def _calls(rule: Node) -> Iterator[tuple[list[str], Node]]:
    for kind, node in nodes(rule):
        if kind == "Call":
            name = path(node["fcn"])
            if name:
                yield name, node


def survey(trees: list[Node]) -> Found:
    """Read every module: ``trees`` is the list that regorus' ``get_ast_as_json`` gives."""
    found = Found([], [], {}, [], set(), {})
    for tree in trees:
        package = ".".join(path(tree["ast"]["package"]["refr"]) or [])
        if package not in found.packages:
            found.packages.append(package)
        for rule in tree["ast"]["rules"]:
            name, arguments = _head(rule)
            full = ".".join([package, *name])
            if full not in found.rules:
                found.rules.append(full)
            if arguments is not None:
                found.functions.setdefault(full, arguments)
    names = set(found.rules)
    for tree in trees:
        _read(tree, names, found)
    return found


def _read(tree: Node, names: set[str], found: Found) -> None:
    package = ".".join(path(tree["ast"]["package"]["refr"]) or [])
    imports = _imports(tree["ast"])
    for rule in tree["ast"]["rules"]:
        name, _ = _head(rule)
        full = ".".join([package, *name])
        own = _locals(rule)
        reads = found.reads.setdefault(full, set())

        def resolved(parts: list[str], own: set[str] = own) -> list[str]:
            if parts[0] in imports and parts[0] not in own:
                return [*imports[parts[0]], *parts[1:]]
            return parts

        for kind, node in nodes(rule):
            if kind == "with_mods":
                mocked = path(node["refr"])
                if mocked:
                    found.mocked.add(".".join(resolved(mocked)))
            if kind in ("Var", "RefDot", "RefBrack"):
                parts = path({kind: node})
                if parts:
                    reads.update(_targets(resolved(parts), package, names, own))
        for parts, node in _calls(rule):
            target = resolved(parts)
            text = ".".join(target[1:] if target[0] == "data" else target)
            local = f"{package}.{text}"
            span = node["span"]
            found.calls.append(
                Call(
                    local if local in names and target[0] != "data" else text,
                    len(node["params"]), span["line"], node_column(node), full,
                    tree["source"]["file"], (span["start"], span["end"]),
                )
            )  # fmt: skip


def node_column(call: Node) -> int:
    """Where a called name begins: the span of a call points at its bracket."""
    function = call["fcn"]
    while isinstance(function, dict):
        kind, body = next(iter(function.items()))
        if kind == "Var" or "refr" not in body:
            return int(body["span"]["col"])
        function = body["refr"]
    return int(call["span"]["col"])


def _targets(parts: list[str], package: str, names: set[str], own: set[str]) -> Iterator[str]:
    """What a reference reads: ``input``, or the rules that it may mean."""
    if parts[0] == "input":
        yield "input"
        return
    if parts[0] == "data":
        wanted = ".".join(parts[1:])
        for name in names:
            if name == wanted or name.startswith(wanted + ".") or wanted.startswith(name + "."):
                yield name
        return
    if parts[0] not in own:
        for size in range(len(parts), 0, -1):
            name = ".".join([package, *parts[:size]])
            if name in names:
                yield name
                return


def reach(found: Found, start: str) -> set[str]:
    """Everything that a rule reads, itself or through other rules; ``input`` among it if it depends on it."""
    seen: set[str] = set()
    waiting = [start, *(rule for rule in found.rules if rule.startswith(start + "."))]
    while waiting:
        name = waiting.pop()
        if name not in seen:
            seen.add(name)
            waiting.extend(sorted(found.reads.get(name, ())))
    return seen


def circle(found: Found) -> str | None:
    """A function that calls itself, directly or by way of others: Rego forbids it."""
    calls: dict[str, set[str]] = {}
    for call in found.calls:
        calls.setdefault(call.rule, set()).add(call.name)
    for name in found.functions:
        seen: set[str] = set()
        waiting = list(calls.get(name, ()))
        while waiting:
            other = waiting.pop()
            if other == name:
                return name
            if other not in seen:
                seen.add(other)
                waiting.extend(calls.get(other, ()))
    return None
