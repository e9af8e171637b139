"""From CEL as Kubernetes writes it to what the engine understands.

The engine knows the core language. Optionals become lists of no or one element, `cel.bind` a loop over
one element, two-variable loops a loop over pairs, and library functions calls of `k_…` (see `library`).
"""

from __future__ import annotations

from dataclasses import dataclass, field

from firedrill.world.kube.cel.syntax import (
    Binary,
    Call,
    CelSyntaxError,
    Ident,
    Index,
    ListOf,
    Literal,
    MapOf,
    Node,
    Select,
    Ternary,
    Unary,
)

NAMESPACES = frozenset(
    {"math", "sets", "strings", "lists", "base64", "ip", "cidr", "format", "optional", "cel"}
)
NATIVE = frozenset(
    (
        *("int", "uint", "double", "bytes", "timestamp", "duration", "type", "dyn"),
        *("contains", "startsWith", "endsWith", "matches", "getFullYear", "getMonth", "getDate"),
        *("getDayOfMonth", "getDayOfWeek", "getDayOfYear", "getHours", "getMinutes", "getSeconds"),
        "getMilliseconds",
    )
)
LOOPS = frozenset({"all", "exists", "exists_one", "existsOne", "map", "filter"})
PAIR_LOOPS = frozenset({"all", "exists", "exists_one", "existsOne", "transformList", "transformMap"})
_SPELLED_OUT = 12
_OPTIONAL_CALLS = frozenset({"or", "optMap", "optFlatMap"})
_OPTIONAL_RESULT = frozenset({"first", "last", "validate"})


@dataclass(slots=True)
class Desugared:
    """What comes out.

    Attributes:
        text: for the engine.
        functions: the library functions that it calls.
        names: the free names, by first place.
        optional: the whole expression is an optional, that is a list of no or one element.
    """

    text: str = ""
    functions: set[str] = field(default_factory=set)
    names: dict[str, int] = field(default_factory=dict)
    optional: bool = False


class Desugarer:
    """Writes one tree as text for the engine."""

    def __init__(
        self,
        source: str,
        known: frozenset[str],
        optional_variables: frozenset[str],
        extensions: frozenset[str] = frozenset(),
        *,
        patient: bool = False,
    ) -> None:
        self.source = source
        self.patient = patient
        self.extensions = extensions
        self.spaces = NAMESPACES | {name.partition(".")[0] for name in extensions}
        self.known = known
        self.optional_variables = optional_variables
        self.out = Desugared()
        self.count = 0
        self.bound: list[tuple[str, bool]] = []

    def run(self, node: Node) -> Desugared:
        """The whole expression."""
        self.out.optional = self.is_optional(node)
        self.out.text = self.emit(node)
        return self.out

    # --- helpers

    def fresh(self) -> str:
        """A name that no expression uses."""
        self.count += 1
        return f"__v{self.count}"

    def call(self, name: str, *args: str) -> str:
        """A call of a library function."""
        self.out.functions.add(name)
        return f"k_{name}({', '.join(args)})"

    def is_optional(self, node: Node) -> bool:
        """Whether the value is known to be an optional."""
        if isinstance(node, Ident):
            return next((flag for name, flag in reversed(self.bound) if name == node.name), False)
        if isinstance(node, Select):
            if (
                isinstance(node.operand, Ident)
                and f"{node.operand.name}.{node.name}" in self.optional_variables
            ):
                return True
            return node.optional or self.is_optional(node.operand)
        if isinstance(node, Index):
            return node.optional or self.is_optional(node.operand)
        if isinstance(node, Ternary):
            return self.is_optional(node.yes) or self.is_optional(node.no)
        if isinstance(node, Call):
            if node.name == "bind" and _is_name(node.target, "cel") and len(node.args) == 3:
                return self.inside(node.args[0], self.is_optional(node.args[1]), node.args[2])
            if _is_name(node.target, "optional"):
                return True
            return node.target is not None and (
                node.name in _OPTIONAL_CALLS or (node.name in _OPTIONAL_RESULT and node.name in self.known)
            )
        return False

    def inside(self, variable: Node, optional: bool, body: Node) -> bool:
        """Whether the body is an optional where the variable is (not) one."""
        self.bound.append((variable.name if isinstance(variable, Ident) else "", optional))
        found = self.is_optional(body)
        self.bound.pop()
        return found

    def name_of(self, node: Node) -> str:
        """The variable that a macro binds."""
        if not isinstance(node, Ident) or node.name.startswith("__"):
            raise CelSyntaxError(self.source, node.at, "argument must be a simple name")
        return node.name

    def within(self, node: Node, *names: str, optional: bool = False) -> str:
        """The text of a body in which the names are bound."""
        self.bound.extend((name, optional) for name in names)
        text = self.emit(node)
        del self.bound[len(self.bound) - len(names) :]
        return text

    def let(self, value: str, name: str, body: str) -> str:
        """The body with the name bound to a value that is evaluated once."""
        return f"[{value}].map({name}, {body})[0]"

    # --- the parts of an expression

    def emit(self, node: Node) -> str:
        """The text of any part."""
        if isinstance(node, Literal):
            return node.text
        if isinstance(node, Ident):
            return self.ident(node)
        if isinstance(node, Select):
            return self.select(node)
        if isinstance(node, Index):
            return self.index(node)
        if isinstance(node, Call):
            return self.called(node)
        if isinstance(node, ListOf):
            return self.list_of(node)
        if isinstance(node, MapOf):
            return self.map_of(node)
        if isinstance(node, Unary):
            return f"({node.op}{self.emit(node.operand)})"
        if isinstance(node, Binary):
            return f"({self.emit(node.left)} {node.op} {self.emit(node.right)})"
        if isinstance(node, Ternary):
            return f"({self.emit(node.test)} ? {self.emit(node.yes)} : {self.emit(node.no)})"
        raise AssertionError(node)

    def ident(self, node: Ident) -> str:
        """A variable, or the name of a type."""
        if node.name.startswith("__") or node.name.startswith("k_"):
            raise CelSyntaxError(
                self.source, node.at, f"undeclared reference to '{node.name}' (in container '')"
            )
        if not any(name == node.name for name, _ in self.bound):
            self.out.names.setdefault(node.name, node.at)
        return node.name

    def select(self, node: Select) -> str:
        """`a.b`, `a.?b`."""
        operand = self.emit(node.operand)
        name, var = node.name, self.fresh()
        if not (node.optional or self.is_optional(node.operand)):
            return f"{operand}.{name}" if name.replace("_", "a").isalnum() else f'{operand}["{name}"]'
        plain = name.replace("_", "a").isalnum()
        has = f"has({var}.{name})" if plain else f'"{name}" in {var}'
        get = f"{var}.{name}" if plain else f'{var}["{name}"]'
        if self.is_optional(node.operand):
            return f"{operand}.filter({var}, {has}).map({var}, {get})"
        return self.let(operand, var, f"{has} ? [{get}] : []")

    def index(self, node: Index) -> str:
        """`a[b]`, `a[?b]`."""
        operand, key = self.emit(node.operand), self.emit(node.key)
        if not (node.optional or self.is_optional(node.operand)):
            return f"{operand}[{key}]"
        var, k = self.fresh(), self.fresh()
        has = f"(type({var}) == list ? ({k} >= 0 && {k} < size({var})) : ({k} in {var}))"
        if self.is_optional(node.operand):
            return self.let(key, k, f"{operand}.filter({var}, {has}).map({var}, {var}[{k}])")
        return self.let(key, k, self.let(operand, var, f"{has} ? [{var}[{k}]] : []"))

    def list_of(self, node: ListOf) -> str:
        """A list literal; what is optional in it is a list already."""
        if not any(optional for optional, _ in node.items):
            return f"[{', '.join(self.emit(item) for _, item in node.items)}]"
        return "(" + " + ".join(self.emit(x) if opt else f"[{self.emit(x)}]" for opt, x in node.items) + ")"

    def map_of(self, node: MapOf) -> str:
        """A map literal."""
        if not any(optional for optional, _, _ in node.items):
            return "{" + ", ".join(f"{self.emit(k)}: {self.emit(v)}" for _, k, v in node.items) + "}"
        pairs = (
            f"[{self.emit(k)}, {self.emit(v) if optional else f'[{self.emit(v)}]'}]"
            for optional, k, v in node.items
        )
        return self.call("map_of", f"[{', '.join(pairs)}]")

    # --- calls

    def called(self, node: Call) -> str:
        """A function, method or macro."""
        if node.target is None:
            return self.function(node)
        space = node.target.name if isinstance(node.target, Ident) else ""
        if space in self.spaces and not any(name == space for name, _ in self.bound):
            return self.namespaced(node, space)
        if node.name in PAIR_LOOPS and len(node.args) >= 3 and node.name != "map":
            return self.pair_loop(node)
        if node.name in LOOPS and len(node.args) in (2, 3):
            return self.loop(node)
        if node.name in ("hasValue", "value", "orValue", "or", "optMap", "optFlatMap"):
            return self.optional_call(node)
        args = [self.emit(item) for item in node.args]
        if node.name in NATIVE:
            return f"{self.emit(node.target)}.{node.name}({', '.join(args)})"
        return self.library(node, node.name, [self.emit(node.target), *args])

    def function(self, node: Call) -> str:
        """A call without a target."""
        if node.name == "has":
            return self.has(node)
        return self.library(node, node.name, [self.emit(item) for item in node.args])

    def library(self, node: Call, name: str, args: list[str]) -> str:
        """A function of the engine or of the libraries."""
        if name == "size" and len(args) == 1:
            var = self.fresh()
            return self.let(args[0], var, f"type({var}) == string ? {self.call('length', var)} : size({var})")
        if name in NATIVE:
            return f"{name}({', '.join(args)})"
        if name not in self.known:
            raise CelSyntaxError(self.source, node.at, f"undeclared reference to '{name}' (in container '')")
        return self.call(name, *args)

    def namespaced(self, node: Call, space: str) -> str:
        """`math.greatest(…)` and the like."""
        args = [self.emit(item) for item in node.args] if space != "cel" else []
        if space == "optional":
            if node.name == "none" and not args:
                return "[]"
            if node.name == "of" and len(args) == 1:
                return f"[{args[0]}]"
            if node.name == "ofNonZeroValue" and len(args) == 1:
                return self.call("of_non_zero", args[0])
        elif space == "cel":
            if node.name == "bind" and len(node.args) == 3:
                variable, value, body = node.args
                name, optional = self.name_of(variable), self.is_optional(value)
                return self.let(self.emit(value), name, self.within(body, name, optional=optional))
        elif space == "format" and not args:
            return self.call("format_named", f'"{node.name}"')
        elif f"{space}.{node.name}" in self.extensions:
            return self.call(f"ext_{space}_{node.name}", *args)
        elif f"{space}_{node.name}" in self.known:
            return self.call(f"{space}_{node.name}", *args)
        raise CelSyntaxError(
            self.source, node.at, f"undeclared reference to '{space}.{node.name}' (in container '')"
        )

    def has(self, node: Call) -> str:
        """The macro `has(a.b)`."""
        if len(node.args) != 1 or not isinstance(node.args[0], Select):
            raise CelSyntaxError(self.source, node.at, "invalid argument to has() macro")
        select = node.args[0]
        if self.is_optional(select):
            return f"(size({self.emit(select)}) > 0)"
        if not select.name.replace("_", "a").isalnum():
            return f'("{select.name}" in {self.emit(select.operand)})'
        return f"has({self.emit(select.operand)}.{select.name})"

    def loop(self, node: Call) -> str:
        """The macros of the core language."""
        assert node.target is not None
        name = self.name_of(node.args[0])
        if self.patient and node.name in ("all", "exists") and len(node.args) == 2:
            return self.spelled_out(node, node.target, name)
        bodies = ", ".join(self.within(item, name) for item in node.args[1:])
        macro = "exists_one" if node.name == "existsOne" else node.name
        return f"{self.emit(node.target)}.{macro}({name}, {bodies})"

    def spelled_out(self, node: Call, target: Node, name: str) -> str:
        """`all` and `exists` as a chain of `&&` or `||`.

        The engine's own loops stop at the first element that fails; by the specification a later element
        that settles the matter wins over it, as it does in a chain. Only the outermost loop, and the
        first elements, are treated so.
        """
        self.patient = False
        over, item = self.fresh(), self.fresh()
        body = self.within(node.args[1], name)
        items = f"{self.emit(target)}.map({item}, {item})"
        self.patient = True
        every = node.name == "all"
        terms = [
            f"(size({over}) <= {at} || {self.let(f'{over}[{at}]', name, body)})"
            if every
            else f"(size({over}) > {at} && {self.let(f'{over}[{at}]', name, body)})"
            for at in range(_SPELLED_OUT)
        ]
        rest = f"{over}.{node.name}({name}, {body})"
        size = f"size({over}) {'<=' if every else '>'} {_SPELLED_OUT}"
        terms.append(f"({size} {'||' if every else '&&'} {rest})")
        return self.let(items, over, f"({(' && ' if every else ' || ').join(terms)})")

    def pair_loop(self, node: Call) -> str:
        """The macros with two variables, over (index, element) or (key, value)."""
        assert node.target is not None
        first, second = self.name_of(node.args[0]), self.name_of(node.args[1])
        pairs, pair = self.call("pairs", self.emit(node.target)), self.fresh()

        def body(item: Node) -> str:
            text = self.within(item, first, second)
            return self.let(f"{pair}[0]", first, self.let(f"{pair}[1]", second, text))

        rest = node.args[2:]
        if node.name in ("transformList", "transformMap"):
            if len(rest) == 2:
                pairs = f"{pairs}.filter({pair}, {body(rest[0])})"
            if node.name == "transformList":
                return f"{pairs}.map({pair}, {body(rest[-1])})"
            return self.call("from_pairs", f"{pairs}.map({pair}, [{pair}[0], {body(rest[-1])}])")
        macro = "exists_one" if node.name == "existsOne" else node.name
        return f"{pairs}.{macro}({pair}, {body(rest[0])})"

    def optional_call(self, node: Call) -> str:
        """The methods of optionals."""
        assert node.target is not None
        target, var, args = self.emit(node.target), self.fresh(), node.args
        if not self.is_optional(node.target):
            # cel-go hands a value that is no optional through `or` and `orValue`, and refuses the others.
            plain = node.name in ("or", "orValue") and len(args) == 1
            return target if plain else self.call("no_overload", target)
        if node.name == "hasValue" and not args:
            return f"(size({target}) > 0)"
        if node.name == "value" and not args:
            return self.call("value", target)
        if node.name == "orValue" and len(args) == 1:
            return self.let(target, var, f"size({var}) > 0 ? {var}[0] : {self.emit(args[0])}")
        if node.name == "or" and len(args) == 1:
            return self.let(target, var, f"size({var}) > 0 ? {var} : {self.emit(args[0])}")
        if node.name in ("optMap", "optFlatMap") and len(args) == 2:
            name = self.name_of(args[0])
            mapped = f"{target}.map({name}, {self.within(args[1], name)})"
            if node.name == "optMap":
                return mapped
            return self.let(mapped, var, f"size({var}) > 0 ? {var}[0] : []")
        raise CelSyntaxError(self.source, node.at, f"found no matching overload for '{node.name}'")


def _is_name(node: Node | None, name: str) -> bool:
    return isinstance(node, Ident) and node.name == name
