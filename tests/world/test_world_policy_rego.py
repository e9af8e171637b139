"""Foreign Rego: verdicts, errors with their places, refusals, and what hostile policies can not do."""

import sys
from pathlib import Path
from typing import Any

import pytest

from firedrill.core.errors import InputError
from firedrill.world.policy.rego import (
    Limits,
    Module,
    Outcome,
    Rego,
    RegoError,
    Undefined,
    Value,
    back_ends,
    check,
    evaluate,
    lint,
    verdict,
)

QUERY = "data.check.result"
GOOD = """package check

default result := false

result if count(violations) == 0

violations contains pod.name if {
    some pod in input.pods
    pod.bad
    print("bad", pod.name)
}
"""


def ask(text: str, given: Any = None, query: str = QUERY, **limits: Any) -> Outcome:
    return evaluate([Module("policy.rego", text)], query, given, limits=Limits(**limits))


def error(text: str, given: Any = None, **limits: Any) -> RegoError:
    outcome = ask(text, given, **limits)
    assert isinstance(outcome, RegoError), outcome
    assert verdict(outcome) is None
    return outcome


def test_many_inputs_in_one_process_each_with_its_own_verdict_and_prints() -> None:
    inputs = [{"pods": [{"name": "a", "bad": bad}]} for bad in (True, False, True)]
    outcomes = Rego().evaluate_many([Module("policy.rego", GOOD)], QUERY, inputs)
    assert [verdict(item) for item in outcomes] == [False, True, False]
    assert isinstance(outcomes[0], Value)
    assert "bad a" in outcomes[0].prints[0]


def test_sets_of_objects_come_back_as_arrays() -> None:
    outcome = ask('package check\nresult contains {"name": x} if some x in input', ["b", "a"])
    assert isinstance(outcome, Value)
    assert outcome.value == [{"name": "a"}, {"name": "b"}]


def test_what_version_one_cannot_parse_is_read_as_version_zero_and_says_so() -> None:
    outcome = ask("package check\ndefault result = false\nresult { input.fine }", {"fine": True})
    assert isinstance(outcome, Value)
    assert (outcome.value, outcome.version) == (True, 0)


@pytest.mark.parametrize(
    "text", ["package check\nresult if input.missing", 'package check\nresult := "true"', "package other"]
)
def test_undefined_and_what_is_no_boolean_is_never_a_yes(text: str) -> None:
    outcome = ask(text, {})
    assert isinstance(outcome, Undefined | Value)
    assert verdict(outcome) is None


@pytest.mark.parametrize(
    ("body", "code", "row", "col"),
    [
        ("result if {\n  input.x ==\n}", "rego_parse_error", 4, 1),
        ("result if {\n  input.never\n  helper(1)\n}", "rego_type_error", 4, 3),
        ("result if http.send({}).ok", "refused_function", 2, 11),
        ("result if opa.runtime().env", "refused_function", 2, 11),
        ('result if net.lookup_ip_addr("localhost")', "refused_function", 2, 11),
        ('result if rand.intn("a", 2) == 1', "refused_function", 2, 11),
        ('result if io.jwt.decode("a")', "unsupported_function", 2, 11),
        ("result if y", "rego_unsafe_var_error", 2, 11),
        ("f(x) := g(x)\ng(x) := f(x)\nresult if f(1)", "rego_recursion_error", 0, 0),
        ("result if not result", "rego_recursion_error", 2, 1),
    ],
)
def test_broken_policies_are_errors_with_their_place(body: str, code: str, row: int, col: int) -> None:
    found = error(f"package check\n{body}", {"x": 1})
    assert (found.code, found.row, found.col) == (code, row, col), found


def test_the_clock_stands_still_for_policies() -> None:
    text = "package check\nresult := time.now_ns()"
    one, other = ask(text), ask(text)
    assert isinstance(one, Value)
    assert one == other


def test_functions_that_the_engine_lacks() -> None:
    text = """package check
result := [array.flatten([[1], 2, [[3]]]), net.cidr_merge(["10.0.0.0/25", "10.0.0.128/25"]), crypto.sha256("a")]"""
    outcome = ask(text)
    assert isinstance(outcome, Value)
    assert outcome.value[:2] == [[1, 2, [3]], ["10.0.0.0/24"]]
    assert outcome.value[2].startswith("ca978112")


@pytest.mark.parametrize(
    ("body", "given", "value"),
    [
        ('result if { to_number(input.age) < 3; startswith(input.name, "a") }', {"age": "old"}, False),
        (
            'result if { to_number(input.age) < 3; startswith(input.name, "a") }',
            {"age": "2", "name": "ab"},
            True,
        ),
        ('result if not startswith(lower(input.name), "a")', {"name": 3}, True),
        ("result if { to_number(input.age, years); years == 3 }", {"age": "3"}, True),
        ("result if { some x in input.pods; x }", {"pods": None}, False),
        ("result if { every x in input.pods { x } }", {"pods": None}, False),
        (
            "result if count([1 | some x in input.a; some y in x.b]) == 1",
            {"a": [{"b": [3]}, {"b": None}]},
            True,
        ),
        (
            'result if { net.cidr_intersects("10.0.0.0/8", input.net, yes); yes }',
            {"net": "10.1.0.0/16"},
            True,
        ),
    ],
)
def test_arguments_that_a_function_cannot_use_leave_the_expression_undefined(
    body: str, given: Any, value: bool
) -> None:
    text = f"package check\ndefault result := false\n{body}"
    outcome = ask(text, given)
    assert isinstance(outcome, Value), outcome
    assert outcome.value is value


def test_strict_evaluation_tells_such_arguments_as_errors() -> None:
    text = "package check\nresult if {\n  to_number(input.age) < 3\n}"
    outcome = Rego(strict=True).evaluate([Module("p.rego", text)], QUERY, {"age": "old"})
    assert isinstance(outcome, RegoError)
    assert (outcome.code, outcome.row) == ("eval_error", 3)


HOSTILE = {
    "time": "count([1 | some i in numbers.range(1, 100000); some j in numbers.range(1, 100000)])",
    "memory": "count(numbers.range(1, 100000000))",
    "output": "[numbers.range(1, 300) | some i in numbers.range(1, 300)]",
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_policies_end_in_an_error_of_their_kind(kind: str) -> None:
    found = error(
        f"package check\nresult := {HOSTILE[kind]}", {}, seconds=0.5, memory=256 << 20, output=100_000
    )
    assert found.code == kind


def test_a_policy_of_brackets_alone_ends_too() -> None:
    assert error("package check\nresult := " + "[" * 400 + "]" * 400, seconds=0.5).code in ("stack", "time")


@pytest.mark.parametrize("depth", [500, 5_000])
def test_inputs_without_bottom_are_errors(depth: int) -> None:
    deep: list[Any] = []
    for _ in range(depth):
        deep = [deep]
    outcomes = Rego().evaluate_many([Module("p.rego", GOOD)], QUERY, [deep, {"pods": []}])
    assert isinstance(outcomes[0], RegoError)
    assert verdict(outcomes[1]) is True


FAKE = """#!{python}
import json, os, sys
if sys.argv[1] == "capabilities":
    print(json.dumps({{"builtins": [{{"name": "count"}}, {{"name": "http.send"}}], "allow_net": None}}))
    raise SystemExit
files = [sys.argv[at + 1] for at, word in enumerate(sys.argv) if word == "--data"]
can = json.load(open(sys.argv[sys.argv.index("--capabilities") + 1]))
text = open(files[0]).read()
if "--v1-compatible" in sys.argv and "if" not in text:
    place = {{"file": files[0], "row": 2, "col": 1}}
    print(json.dumps({{"errors": [{{"message": "no if", "code": "rego_parse_error", "location": place}}]}}))
    raise SystemExit(2)
value = [can, sorted(os.environ), json.load(sys.stdin), sys.argv[-1]]
print(json.dumps({{"result": [{{"expressions": [{{"value": value}}]}}]}}))
"""


def test_an_official_program_on_the_path_is_asked_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "opa"
    program.write_text(FAKE.format(python=sys.executable))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("SECRET_KEY", "hunter2")
    assert back_ends()[0] == "opa"
    outcome = ask("package check\nresult if time.now_ns() > 0", {"a": 1})
    assert isinstance(outcome, Value)
    assert (outcome.back_end, outcome.version) == ("opa", 1)
    capabilities, environment, given, query = outcome.value
    assert capabilities == {"builtins": [{"name": "count"}], "allow_net": []}
    assert "SECRET_KEY" not in environment
    assert given == {"a": 1}
    assert query.startswith(f"{QUERY} with time.now_ns as ")
    old = ask("package check\nresult { true }", {"a": 1})
    assert isinstance(old, Value)
    assert old.version == 0


def test_one_input_that_kills_the_engine_leaves_the_others_their_verdicts() -> None:
    text = "package check\nresult if count([1 | some i in numbers.range(1, input.n); some j in numbers.range(1, input.n)]) > 0"
    rego = Rego(limits=Limits(seconds=0.5))
    outcomes = rego.evaluate_many([Module("policy.rego", text)], QUERY, [{"n": 1}, {"n": 90_000}, {"n": 2}])
    assert [verdict(item) for item in outcomes] == [True, None, True]
    assert isinstance(outcomes[1], RegoError)
    assert outcomes[1].code == "time"


def test_a_policy_sees_no_environment_and_no_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_KEY", "hunter2")
    outcome = evaluate(
        [Module("p.rego", "package check\nresult := opa.runtime()")], QUERY, {}, back_end="regopy"
    )
    assert isinstance(outcome, RegoError)
    assert outcome.code == "refused_function"


def test_an_engine_that_is_not_here_is_named() -> None:
    with pytest.raises(InputError, match=r"available: .*regorus"):
        evaluate([Module("p.rego", GOOD)], QUERY, {}, back_end="nosuch")


def test_check_names_packages_rules_and_what_reads_the_input() -> None:
    checked = check([Module("policy.rego", GOOD)])
    assert checked.packages == ("check",)
    assert set(checked.rules) == {"check.result", "check.violations"}
    assert checked.reads_input == {"check.result", "check.violations"}


@pytest.mark.parametrize(
    ("text", "codes"),
    [
        (GOOD, []),
        ("package chek\nresult if input.x", ["no-package"]),
        ("package check\nresults if input.x", ["no-rule"]),
        ("package check\ndefault result := false", ["constant-rule"]),
        ("package check\nresult if { x := input.a; x == x; true }", []),
        ("package check\nresult if helper\nhelper if data.t.a\n", ["constant-rule"]),
        ("package check\nresult { input.x }", ["old-syntax"]),
        ("package check\nresult if nosuch(input.x)", ["rego-type-error"]),
        ("package check\nresult if {", ["rego-parse-error"]),
        ("", ["rego-parse-error"]),
    ],
)
def test_lint(text: str, codes: list[str]) -> None:
    assert [item.code for item in lint(text)] == codes
