"""The regorus back-end, as the worker uses it."""

from __future__ import annotations

import json
import re
from typing import Any

from firedrill.world.policy.rego.inside import analysis, functions, rewriting

Answer = dict[str, Any]
MOST_SOFTENED = 12
"""How many functions are guarded for one policy before its error is told after all."""
NEVER_SOFT = frozenset({
    "walk", "print", "trace", "json.is_valid", "yaml.is_valid", "json.verify_schema", "json.match_schema",
})  # fmt: skip
"""Functions that have an answer for every argument: an error of the engine there is the engine's."""
LONGEST_LINE, LARGEST_FILE, MOST_LINES = 65_536, 1_048_576, 50_000
NOW = 1_700_000_000_000_000_000
"""What ``time.now_ns`` tells a policy: one moment for every run, so that no verdict depends on the clock."""

_PLACE = re.compile(r"-->\s*(?P<file>[^\n]*?):(?P<row>\d+):(?P<col>\d+)\n")
_MESSAGE = re.compile(r"^error: (?P<text>.*)", re.MULTILINE | re.DOTALL)


def load() -> None:
    """Import the engine."""
    import regorus  # type: ignore[import-untyped]  # noqa: F401


def failure(error: BaseException, code: str) -> Answer:
    """An error of the engine as code, words and place."""
    text = str(error)
    place = _PLACE.search(text)
    words = _MESSAGE.search(text)
    message = (words["text"] if words else text).strip()
    if "recursion detected" in message:
        code, message = "rego_recursion_error", "a rule depends on itself"
    elif "PyObject pointer is null" in message:
        code, message = "memory", "out of memory"
    elif "unsafe" in message:
        code = "rego_unsafe_var_error"
        message = re.sub(r" \(path .*", "", message)
    elif "multiple outputs" in message or "different values" in message or "conflict" in message:
        code = "eval_conflict_error"
    return {
        "code": code,
        "message": message[:2000] or type(error).__name__,
        "row": int(place["row"]) if place else 0,
        "col": int(place["col"]) if place else 0,
        "module": place["file"] if place else "",
    }


def _engine(modules: list[list[str]], version: int) -> Any:
    import regorus

    engine = regorus.Engine()
    engine.set_policy_length_config(max_col=LONGEST_LINE, max_file_bytes=LARGEST_FILE, max_lines=MOST_LINES)
    engine.set_gather_prints(True)
    engine.set_rego_v0(version == 0)
    for name, text in modules:
        engine.add_policy(name, text)
    return engine


def _read(modules: list[list[str]]) -> tuple[Any, int, Answer | None]:
    """The engine and the version of the language that reads the modules; the error of version 1 otherwise."""
    try:
        return _engine(modules, 1), 1, None
    except RuntimeError as error:
        first = failure(error, "rego_parse_error")
    try:
        return _engine(modules, 0), 0, None
    except RuntimeError:
        return None, 1, first


def _problems(
    found: analysis.Found, known: dict[str, int], refused: list[str], have: set[str]
) -> list[Answer]:
    """Calls that Rego's compiler would not accept, that are not allowed here, or that this engine lacks."""
    problems = []
    for call in found.calls:
        name = call.name
        if name in found.functions or name in found.rules or name in found.mocked:
            continue
        if name not in known:
            code, words = "rego_type_error", f"undefined function {name}"
        elif name in refused:
            code, words = (
                "refused_function",
                f"{name} is not allowed here: a verdict rests on its evidence alone",
            )
        elif name not in have:
            code, words = "unsupported_function", f"this engine has no function {name}"
        elif known[name] >= 0 and call.arguments not in (known[name], known[name] + 1):
            code, words = "rego_type_error", f"{name} takes {known[name]} arguments, not {call.arguments}"
        else:
            continue
        problems.append(
            {"code": code, "message": words, "row": call.row, "col": call.col, "module": call.module}
        )
    looped = analysis.circle(found)
    if looped:
        problems.append({"code": "rego_recursion_error", "message": f"{looped} calls itself"})
    return problems


def _have() -> set[str]:
    import regorus

    engine = regorus.Engine()
    engine.add_policy("own", "package own\nnames := opa.runtime().builtins")
    names = json.loads(engine.eval_query_as_json("data.own.names"))["result"][0]["expressions"][0]["value"]
    return {*names, *functions.EXTRA, "print"}


def _alone(name: str, arguments: int) -> Any:
    """One built-in function as a Python function: the engine itself, asked for nothing else."""
    import regorus

    if name in functions.EXTRA:
        return functions.EXTRA[name][1]
    engine = regorus.Engine()
    given = ", ".join(f"input[{index}]" for index in range(arguments))
    engine.add_policy("alone", f"package alone\nvalue := [{name}({given})]")

    def call(*values: Any) -> Any:
        engine.set_input(list(values))
        return engine.eval_rule("data.alone.value")[0]

    return call


class Prepared:
    """Modules that are read once and asked many times."""

    def __init__(self, request: Answer) -> None:
        self.query = request["query"]
        self.known: dict[str, int] = request["known"]
        self.strict = bool(request["strict"])
        self.data = request["data"]
        self.softened: set[str] = set()
        self.looped = False
        engine, self.version, error = _read(request["modules"])
        self.about: Answer = {"version": self.version, "errors": [error] if error else []}
        if engine is None:
            return
        self.trees = json.loads(engine.get_ast_as_json())
        self.found = analysis.survey(self.trees)
        self.about |= {
            "packages": self.found.packages,
            "rules": self.found.rules,
            "reads_input": [rule for rule in self.found.rules if "input" in analysis.reach(self.found, rule)],
            "errors": _problems(self.found, self.known, request["refused"], _have()),
        }
        if self.about["errors"]:
            return
        if (
            any(call.name == "time.now_ns" for call in self.found.calls)
            and "time.now_ns" not in self.found.mocked
        ):
            self.query += f" with time.now_ns as {NOW}"
        called = {call.name for call in self.found.calls}
        extra = {name: item[0] for name, item in functions.EXTRA.items() if name in called}
        if extra:
            self._set(_engine(rewriting.bind_results(self.trees, extra), self.version))
        else:
            self._set(engine)

    def _set(self, engine: Any) -> None:
        for name, (arguments, function) in functions.EXTRA.items():
            if name not in self.found.functions:
                engine.add_extension(name, arguments, function)
        for name in self.softened:
            soft = rewriting.guarded(_alone(name, self.known[name]))
            engine.add_extension(rewriting.SOFT + name.replace(".", "__"), self.known[name], soft)
        if self.data:
            engine.add_data_json(self.data)
        self.engine = engine
        self.trees = json.loads(engine.get_ast_as_json())

    def answer(self, text: str) -> Answer:
        """Evaluate for one input: ``{rows, value}``, ``{undefined}`` or ``{error}``, with its prints."""
        first = answer = self._ask(text)
        for _ in range(MOST_SOFTENED):
            if (
                self.strict
                or answer.get("error", {}).get("code") != "eval_error"
                or not self._soften(answer["error"])
            ):
                break
            answer = self._ask(text)
        return first if "error" in answer else answer

    def _soften(self, error: Answer) -> bool:
        """Guard what made an error: a loop over nothing, or a built-in function; False if it was neither."""
        if not self.looped and "expects array/set/object" in error["message"]:
            self.looped = True
            return self._rewrite(rewriting.soften_loops(self.trees, self.version))
        for tree in self.trees:
            if tree["source"]["file"] == error["module"]:
                name = rewriting.called_at(tree, error["row"], error["col"], self._soft)
                if name:
                    self.softened.add(name)
                    return self._rewrite(rewriting.soften(self.trees, name, self.known[name]))
        return False

    def _rewrite(self, modules: list[list[str]]) -> bool:
        try:
            engine = _engine(modules, self.version)
        except RuntimeError:
            return False
        self._set(engine)
        return True

    def _soft(self, name: str) -> bool:
        return self.known.get(name, 0) > 0 and name not in self.softened and name not in NEVER_SOFT

    def _ask(self, text: str) -> Answer:
        engine = self.engine.clone()
        try:
            if text:
                engine.set_input_json(text)
            result = json.loads(engine.eval_query_as_json(self.query)).get("result", [])
        except MemoryError:
            raise
        except BaseException as error:  # noqa: BLE001 - a panic of the engine is no Exception
            return {"error": failure(error, "eval_error"), "version": self.version}
        prints = engine.take_prints()[:200]
        if not result or not result[0].get("expressions"):
            return {"undefined": True, "version": self.version, "prints": prints}
        return {
            "value": result[0]["expressions"][-1]["value"],
            "rows": [row.get("bindings", {}) for row in result],
            "version": self.version,
            "prints": [line[:500] for line in prints],
        }


def prepare(request: Answer) -> Prepared:
    """Read the modules of a request."""
    return Prepared(request)
