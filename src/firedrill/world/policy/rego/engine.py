"""Evaluating foreign Rego: which engine, in what process, and what its answers mean."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from firedrill.core.errors import InfrastructureError, InputError
from firedrill.world.policy.rego import binary, process
from firedrill.world.policy.rego.model import Checked, Limits, Module, Outcome, RegoError, Undefined, Value

Answer = dict[str, Any]
_TOO_DEEP = RegoError("stack", "the input is nested too deeply")
BackEnd = Literal["opa", "regorus", "regopy"]
REFUSED = (
    "http.send", "opa.runtime", "net.lookup_ip_addr", "rand.intn", "uuid.rfc4122",
)  # fmt: skip
"""Functions that reach outside or differ from run to run. ``time.now_ns`` tells one fixed moment instead."""


def back_ends() -> list[BackEnd]:
    """What can evaluate here, best first; regopy is never chosen, only asked for by name."""
    found: list[BackEnd] = []
    if shutil.which("opa"):
        found.append("opa")
    if process.installed("regorus"):
        found.append("regorus")
    if process.installed("regopy"):
        found.append("regopy")
    return found


def choose(name: str | None = None) -> BackEnd:
    """The back-end to use: the one asked for, or the best that is never wrong in silence."""
    there = back_ends()
    if name is not None:
        if name not in there:
            raise InputError(f"no Rego engine {name!r} here", mend=f"available: {', '.join(there) or 'none'}")
        return there[there.index(name)]
    for found in there:
        if found != "regopy":
            return found
    raise InfrastructureError("no Rego engine: install the package regorus or put opa on the PATH")


@dataclass(frozen=True)
class Rego:
    """A back-end with limits. Every call is a process of its own: nothing of a policy outlives it.

    ``strict``: a built-in function that cannot work on its arguments is an error; else, as Rego has it, the
    expression is undefined.
    """

    back_end: BackEnd = field(default_factory=choose)
    limits: Limits = field(default_factory=Limits)
    strict: bool = False

    def evaluate(self, modules: Sequence[Module], query: str, input: Any = None, data: Any = None) -> Outcome:
        """The value of a query. ``input`` None means that there is none (``input`` is undefined)."""
        return self.evaluate_many(modules, query, [input], data)[0]

    def evaluate_many(
        self, modules: Sequence[Module], query: str, inputs: Iterable[Any], data: Any = None
    ) -> list[Outcome]:
        """One outcome per input, modules read once. What one input breaks, the others do not feel."""
        texts = [_text(item) for item in inputs]
        if self.back_end == "opa":
            return [
                _TOO_DEEP
                if text is None
                else binary.evaluate(modules, query, text, data, self.limits, REFUSED)
                for text in texts
            ]
        shallow = [text for text in texts if text is not None]
        found: list[Outcome] = []
        while len(found) < len(shallow):
            found += self._batch(modules, query, shallow[len(found) :], data)
        answers = iter(found)
        return [_TOO_DEEP if text is None else next(answers) for text in texts]

    def check(self, modules: Sequence[Module]) -> Checked:
        """What the modules hold and what is wrong with them before anything is evaluated."""
        request = self._request(modules, "true", [], None) | {"job": "read"}
        answers, end = process.run(request, self._wall(1))
        if not answers:
            return Checked(errors=(_error(end or {}, self.back_end),))
        about = answers[0]
        return Checked(
            version=about["version"],
            errors=tuple(_error(item, self.back_end, about["version"]) for item in about["errors"]),
            packages=tuple(about.get("packages", ())),
            rules=tuple(about.get("rules", ())),
            reads_input=frozenset(about.get("reads_input", ())),
        )

    def _batch(self, modules: Sequence[Module], query: str, texts: list[str], data: Any) -> list[Outcome]:
        """Outcomes of the first inputs, at least one."""
        answers, end = process.run(self._request(modules, query, texts, data), self._wall(len(texts)))
        if not answers:
            return [_error(end or {}, self.back_end)] * len(texts)
        about = answers.pop(0)
        if about["errors"]:
            return [_error(about["errors"][0], self.back_end, about["version"])] * len(texts)
        outcomes = [outcome_of(answer, self.back_end) for answer in answers[: len(texts)]]
        if end is not None or not outcomes:
            lost = _error(end or {}, self.back_end, about["version"])
            outcomes = [*outcomes[: len(texts) - 1], lost]
        return outcomes

    def _request(self, modules: Sequence[Module], query: str, texts: list[str], data: Any) -> Answer:
        return {
            "job": "evaluate", "back_end": self.back_end,
            "modules": [[item.name, item.text] for item in modules], "query": query,
            "inputs": texts, "data": "" if data is None else json.dumps(data),
            "seconds": self.limits.seconds, "memory": self.limits.memory, "output": self.limits.output,
            "refused": list(REFUSED), "known": process.known_functions(),
            "strict": self.strict,
        }  # fmt: skip

    def _wall(self, count: int) -> float:
        """Seconds by the clock of the wall, for a process that sleeps or starves: well above its CPU time."""
        return 10 + 3 * self.limits.seconds * min(count, 4)


def evaluate(
    modules: Sequence[Module],
    query: str,
    input: Any = None,
    data: Any = None,
    limits: Limits | None = None,
    back_end: str | None = None,
) -> Outcome:
    """Evaluate once with the best engine that is here."""
    return Rego(choose(back_end), limits or Limits()).evaluate(modules, query, input, data)


def check(modules: Sequence[Module]) -> Checked:
    """Read modules: errors with their places, packages, rules, which rules depend on the input."""
    name = "regorus" if process.installed("regorus") else choose()
    return Rego(name).check(modules)


def _text(value: Any) -> str | None:
    """An input as JSON, empty where there is none; None for what is nested too deeply."""
    try:
        return "" if value is None else json.dumps(value)
    except RecursionError:
        return None


def _error(answer: Answer, back_end: str, version: int = 1) -> RegoError:
    return RegoError(
        code=answer.get("code", "engine"),
        message=answer.get("message", "the engine gave no answer"),
        row=answer.get("row", 0),
        col=answer.get("col", 0),
        module=answer.get("module", ""),
        version=version,
        back_end=back_end,
    )


def outcome_of(answer: Answer, back_end: str = "regorus") -> Outcome:
    """What an answer of the worker means."""
    version = answer.get("version", 1)
    if "error" in answer:
        return _error(answer["error"], back_end, version)
    prints = tuple(answer.get("prints", ()))
    if answer.get("undefined"):
        return Undefined(version, back_end, prints)
    return Value(answer["value"], tuple(answer["rows"]), version, back_end, prints)
