"""Checking a suite: its scenarios in parallel, and none twice where results are kept."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from firedrill import __version__, suites
from firedrill.core.digest import digest_of
from firedrill.core.episode import slug
from firedrill.core.errors import FiredrillError, InfrastructureError, InputError
from firedrill.runner.checking.living import check_living
from firedrill.runner.checking.model import Checked
from firedrill.runner.checking.recorded import check_recorded
from firedrill.runner.staging import assesses

if TYPE_CHECKING:
    from firedrill.suites.model import Suite, SuiteScenario

PROCESSES = 2
_TRIES = 2
Progress = Callable[[int, int, str], None]
"""Called with the scenarios that are done, those that are wanted, and what was done last."""


@dataclass(frozen=True)
class Wanted:
    """What is to be checked.

    Attributes:
        suite: of which.
        scenarios: only these ids; all where none is named.
        limit: how many of them, drawn by `seed`.
        seed: of that draw.
        processes: scenarios at once.
        out: where results are kept, so that none is made twice.
        exploits: only these, by their names; all where none is named.
    """

    suite: Suite
    scenarios: Sequence[str] = ()
    limit: int | None = None
    seed: int = 0
    processes: int = PROCESSES
    out: Path | None = None
    exploits: Sequence[str] = ()


@dataclass(frozen=True)
class Outcome:
    """How the check of a suite came out.

    Attributes:
        checked: the scenarios, in the suite's order.
        broken: scenarios whose check could not be carried out, and why.
    """

    checked: tuple[Checked, ...]
    broken: Mapping[str, str] = field(default_factory=dict)

    @property
    def passed(self) -> bool:
        """Whether every scenario did."""
        return not self.broken and all(item.passed for item in self.checked)


def drawn(wanted: Wanted) -> list[SuiteScenario]:
    """The scenarios that are to be checked, in the suite's order.

    Raises:
        InputError: one is named that there is not.
    """
    suite = wanted.suite
    chosen = list(suites.select(suite, wanted.scenarios) if wanted.scenarios else suite.scenarios)
    if wanted.limit is not None and wanted.limit < len(chosen):
        lot = sorted(chosen, key=lambda item: digest_of([wanted.seed, item.id]))[: wanted.limit]
        kept = {item.id for item in lot}
        chosen = [item for item in chosen if item.id in kept]
    if not chosen:
        raise InputError("no scenario to check", source=suite.name)
    return chosen


async def check(wanted: Wanted, progress: Progress = lambda *_: None) -> Outcome:
    """Check the scenarios of a suite.

    Args:
        wanted: which, and how.
        progress: is told of every step.

    Raises:
        InputError: there is nothing to check, or results cannot be kept where they shall be.
    """
    from firedrill.agents import exploits

    chosen = drawn(wanted)
    for name in wanted.exploits:
        exploits.create(name)
    return await _Check(wanted, chosen, progress).carry_out()


class _Check:
    """One check under way."""

    def __init__(self, wanted: Wanted, chosen: Sequence[SuiteScenario], progress: Progress) -> None:
        from firedrill.runner.staging import snapshot_stage

        self._wanted = wanted
        self._chosen = chosen
        self._progress = progress
        self._done: dict[str, Checked] = {}
        self._broken: dict[str, str] = {}
        self._prepare = snapshot_stage(wanted.suite, frozenset())
        if wanted.out is not None:
            wanted.out.mkdir(parents=True, exist_ok=True)

    async def carry_out(self) -> Outcome:
        todo = []
        for source in self._chosen:
            kept = self._kept(source)
            if kept is not None:
                self._done[source.id] = kept
            else:
                todo.append(source)
        self._say(f"{len(self._done)} were checked before" if self._done else "begins")
        todo.reverse()
        count = max(1, min(self._wanted.processes, len(todo)))
        async with asyncio.TaskGroup() as group:
            for _ in range(count):
                group.create_task(self._work(todo))
        order = [source.id for source in self._chosen]
        return Outcome(tuple(self._done[name] for name in order if name in self._done), dict(self._broken))

    async def _work(self, todo: list[SuiteScenario]) -> None:
        while todo:
            source = todo.pop()
            try:
                found = await self._patiently(source)
            except FiredrillError as error:
                self._broken[source.id] = str(error)
                self._say(f"{source.id}: {error}")
                continue
            self._done[source.id] = found
            self._keep(source, found)
            bad = [point.name for point in found.points if point.state == "fails"]
            self._say(f"{source.id}: {', '.join(bad) or 'fit'}")

    async def _patiently(self, source: SuiteScenario) -> Checked:
        for left in reversed(range(_TRIES)):
            try:
                return await self._check(source)
            except InfrastructureError as error:
                if not left:
                    raise
                self._say(f"{source.id}: {error}; tried again")
        raise AssertionError  # the last try returns or raises

    async def _check(self, source: SuiteScenario) -> Checked:
        if assesses(source):
            from firedrill.runner.checking.assessing import check_assessment

            found = await check_assessment(source, self._wanted.exploits)
        elif source.scenario.environment.backend == "world":
            found = await check_living(
                source, self._wanted.exploits, said=lambda text: self._say(f"{source.id}: {text}")
            )
        else:
            found = await check_recorded(source, self._prepare, await asyncio.to_thread(self._lint, source))
        return replace(found, key=self._key(source))

    def _lint(self, source: SuiteScenario) -> list[Any]:
        from firedrill.suites.lint import lint_suite

        return lint_suite(replace(self._wanted.suite, scenarios=(source,), findings=()))

    def _say(self, text: str) -> None:
        self._progress(len(self._done), len(self._chosen), text)

    # -- results that are kept

    def _key(self, source: SuiteScenario) -> str:
        own = sorted(self._wanted.exploits)
        return digest_of([source.digest, source.truth_digest, __version__, code_digest(), own])

    def _place(self, source: SuiteScenario) -> Path | None:
        out = self._wanted.out
        return None if out is None else out / f"{slug(source.id)}.json"

    def _kept(self, source: SuiteScenario) -> Checked | None:
        place = self._place(source)
        if place is None or not place.is_file():
            return None
        with contextlib.suppress(ValueError, KeyError, TypeError):
            found = Checked.from_json(json.loads(place.read_bytes()))
            if found.key == self._key(source):
                return found
        return None

    def _keep(self, source: SuiteScenario, found: Checked) -> None:
        from firedrill.suites._files import write_atomic

        place = self._place(source)
        if place is not None:
            write_atomic(place, json.dumps(found.to_json(), indent=1).encode())


@cache
def code_digest() -> str:
    """Of everything in this package that results depend on: code and data."""
    found: dict[str, str] = {}
    _walk(resources.files("firedrill"), "", found)
    return digest_of(found)


def _walk(place: Traversable, path: str, found: dict[str, str]) -> None:
    from hashlib import blake2b

    for item in sorted(place.iterdir(), key=lambda one: one.name):
        if item.is_dir() and item.name != "__pycache__":
            _walk(item, f"{path}/{item.name}", found)
        elif item.name.endswith((".py", ".yaml", ".json")):
            found[f"{path}/{item.name}"] = blake2b(item.read_bytes(), digest_size=16).hexdigest()


__all__ = ["PROCESSES", "Outcome", "Progress", "Wanted", "check", "code_digest", "drawn"]
