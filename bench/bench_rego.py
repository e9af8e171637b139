"""How far Rego agrees with public cases, and what it costs: ``python bench/bench_rego.py [FOLDER]``.

FOLDER is the unpacked ``policy-dev``; without it, ``data/policy-dev.tar.xz`` of FIREDRILL_SHARED is unpacked.
``--misses`` lists every case that is not right.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import shared_cases
from firedrill.world.policy.rego import Limits, Module, Outcome, Rego, RegoError, Value
from table import Row, show

ASIDE = (
    "graphql", "jwt", "crypto", "providers-aws", "stringinterpolation", "keywordrefs", "time", "units",
    "netlookupipaddr", "regometadatachain", "regoparsemodule",
)  # fmt: skip
"""Beginnings of topics that no policy about a cluster or a host needs, or that are refused here."""


class Case(NamedTuple):
    """One case and its outcome: right, loud (an error instead of an answer) or silent (another answer)."""

    topic: str
    note: str
    outcome: str
    got: str

    @property
    def matters(self) -> bool:
        """Whether its topic counts for the target."""
        return not self.topic.startswith(ASIDE)


def unordered(items: Any) -> Any:
    """A list as a sorted one: rows have no order, nor has a value that the case calls a set."""
    if not isinstance(items, list):
        return items
    return sorted((json.dumps(item, sort_keys=True) for item in items), key=str)


def judge(case: dict[str, Any], outcome: Outcome) -> str:
    """Right, loud or silent."""
    if "want_result" not in case:
        wanted_error = isinstance(outcome, RegoError) or not (
            case.get("strict_error") or isinstance(outcome, Value)
        )
        return "right" if wanted_error else "silent"
    if isinstance(outcome, RegoError):
        return "loud"
    rows = list(outcome.rows) if isinstance(outcome, Value) else []
    wanted = case["want_result"]
    if case.get("sort_bindings"):
        rows, wanted = (
            [{key: unordered(item[key]) for key in item} for item in side] for side in (rows, wanted)
        )
    return "right" if unordered(rows) == unordered(wanted) else "silent"


def asked(case: dict[str, Any]) -> tuple[str, Any]:
    """The query and the input of a case; an input that is no JSON is a term in the query."""
    query, given = case["query"], case.get("input")
    if "input_term" in case:
        try:
            given = json.loads(case["input_term"])
        except ValueError:
            query += f" with input as {case['input_term']}"
    return query, given


def modules_of(case: dict[str, Any]) -> list[Module]:
    """The modules of a case."""
    return [Module(f"m{index}.rego", text) for index, text in enumerate(case["modules"] or [])]


def ask(case: dict[str, Any]) -> Outcome:
    """Evaluate one case in a process of its own."""
    query, given = asked(case)
    rego = Rego(limits=Limits(seconds=5), strict=bool(case.get("strict_error")))
    return rego.evaluate(modules_of(case), query, given, case.get("data") or None)


def cases(folder: Path) -> Iterator[Case]:
    """Every case of the folder, judged."""
    for path in sorted((folder / "rego").glob("*/*.json")):
        for case in json.loads(path.read_text())["cases"]:
            outcome = ask(case)
            got = outcome.text() if isinstance(outcome, RegoError) else str(outcome)
            yield Case(path.parent.name, case["note"], judge(case, outcome), got[:200])


POLICY = """package check

default result := false

result if count(violations) == 0

violations contains pod.name if {
    some pod in input.pods
    some container in pod.containers
    container.privileged == true
}
"""


def speed() -> list[Row]:
    """Cost of a process, of an engine within it, and of a large input."""
    rego = Rego()
    pods = [{"name": f"p{n}", "containers": [{"privileged": n % 9 == 0}] * 3} for n in range(2000)]
    small = {"pods": pods[:10]}
    modules = [Module("policy.rego", POLICY)]
    rego.evaluate(modules, "data.check.result", small)
    one = _children(lambda: rego.evaluate(modules, "data.check.result", small), 10)
    many = _children(lambda: rego.evaluate_many(modules, "data.check.result", [small] * 500), 1)
    large = _children(lambda: rego.evaluate(modules, "data.check.result", {"pods": pods}), 3)
    return [
        ("one evaluation in a process of its own, ms of CPU", "60", f"{one * 1e3:.0f}"),
        ("one more input in the same process, ms of CPU", "-", f"{(many - one) / 500 * 1e3:.2f}"),
        ("2,000 pods of 3 containers, with the process, ms of CPU", "-", f"{large * 1e3:.0f}"),
        ("fresh engine, policy and evaluation, ms of CPU", "5", f"{fresh() * 1e3:.2f}"),
    ]


def _children(call: Callable[[], object], times: int) -> float:
    """Seconds of CPU that the processes of a call use."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    for _ in range(times):
        call()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) / times


def fresh() -> float:
    """Seconds of CPU for a new engine, reading the policy with all checks, and one answer; no process."""
    from firedrill.world.policy.rego.inside import regorus_engine
    from firedrill.world.policy.rego.process import known_functions

    request = {
        "modules": [["policy.rego", POLICY]], "query": "data.check.result", "known": known_functions(),
        "refused": [], "strict": False, "data": "",
    }  # fmt: skip
    began = time.process_time()
    for _ in range(100):
        regorus_engine.prepare(request).answer('{"pods": []}')
    return (time.process_time() - began) / 100


def main() -> None:
    """Print the tables."""
    with shared_cases.folder([item for item in sys.argv[1:] if not item.startswith("-")]) as folder:
        outcomes = list(cases(folder))
    matter = [item for item in outcomes if item.matters]
    count = Counter(item.outcome for item in matter)
    every = Counter(item.outcome for item in outcomes)
    topics: dict[str, Counter[str]] = {}
    for item in outcomes:
        topics.setdefault(item.topic, Counter())[item.outcome] += 1
    rows: list[Row] = [
        (
            "topics that matter, right",
            "96 %",
            f"{count['right']} of {len(matter)} ({count['right'] / len(matter):.1%})",
        ),
        ("topics that matter, wrong in silence", "0", str(count["silent"])),
        ("all topics, right", "-", f"{every['right']} of {len(outcomes)}"),
        ("all topics, wrong in silence", "0", str(every["silent"])),
    ]
    show("Rego", [*rows, *speed()])
    for topic, found in sorted(topics.items()):
        if found["right"] != found.total():
            aside = " (aside)" if topic.startswith(ASIDE) else ""
            print(f"- {topic}{aside}: {found['right']} right, {found['loud']} loud, {found['silent']} silent")
    if "--misses" in sys.argv:
        for item in outcomes:
            if item.outcome != "right" and (item.matters or item.outcome == "silent"):
                print(f"- miss ({item.outcome}): {item.note}: {item.got}")


if __name__ == "__main__":
    main()
