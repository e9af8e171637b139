"""The stages of a query as one function from a line to a line with labels, or to nothing."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

from firedrill.world.telemetry.logs.entries import Entry
from firedrill.world.telemetry.logs.levels import level_of
from firedrill.world.telemetry.logs.logql import nodes
from firedrill.world.telemetry.logs.logql.filters import label_test, line_test, matcher_test
from firedrill.world.telemetry.logs.logql.labels import DETAILS, ERROR, LineLabels
from firedrill.world.telemetry.logs.logql.parsers import parser
from firedrill.world.telemetry.logs.logql.template import Context, Template, TemplateError, compile_template

_COLOURS = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_FAILED = "TemplateFormatErr"


class Line(NamedTuple):
    """A line that got through."""

    at: int
    text: str
    labels: LineLabels


Stage = Callable[[str, LineLabels, int], str | None]


class Pipeline:
    """The compiled stages of a selector.

    Args:
        stages: of the query.
        now: of the query, in ns, for templates that ask.
    """

    __slots__ = ("_first", "_now", "_rest")

    def __init__(self, stages: Sequence[nodes.Stage], now: int = 0) -> None:
        self._now = now
        count = next(
            (n for n, stage in enumerate(stages) if not isinstance(stage, nodes.LineFilter)), len(stages)
        )
        self._first = tuple(
            line_test(stage) for stage in stages[:count] if isinstance(stage, nodes.LineFilter)
        )
        self._rest = tuple(self._stage(stage) for stage in stages[count:])

    def run(self, entry: Entry, stream: Mapping[str, str]) -> Line | None:
        """What becomes of a line; None where it is filtered out."""
        text = entry.text
        for test in self._first:
            if not test(text):
                return None
        labels = LineLabels(stream, level_of(text))
        for stage in self._rest:
            found = stage(text, labels, entry.at)
            if found is None:
                return None
            text = found
        return Line(entry.at, text, labels)

    def _stage(self, stage: nodes.Stage) -> Stage:
        if isinstance(stage, nodes.LineFilter):
            test = line_test(stage)
            return lambda line, _, __: line if test(line) else None
        if isinstance(stage, (nodes.Compare, nodes.Both)):
            lets = label_test(stage)
            return lambda line, labels, _: line if lets(labels) else None
        if isinstance(stage, nodes.Parser):
            apply = parser(stage)
            return lambda line, labels, _: apply(line, labels)
        if isinstance(stage, nodes.LineFormat):
            return self._line_format(compile_template(stage.template))
        if isinstance(stage, nodes.LabelFormat):
            return self._label_format(stage)
        if isinstance(stage, nodes.DropKeep):
            return _keep(stage) if stage.keep else _drop(stage)
        return lambda line, _, __: _COLOURS.sub("", line)

    def _line_format(self, template: Template) -> Stage:
        def apply(line: str, labels: LineLabels, at: int) -> str:
            try:
                return template.execute(Context(line, at, labels.all, self._now))
            except TemplateError as error:
                labels.fail(_FAILED, str(error))
                return line

        return apply

    def _label_format(self, stage: nodes.LabelFormat) -> Stage:
        made = [
            (name, compile_template(value) if is_template else value)
            for name, value, is_template in stage.formats
        ]

        def apply(line: str, labels: LineLabels, at: int) -> str:
            for name, value in made:
                if isinstance(value, str):
                    if value in labels.all:
                        labels.set(name, labels.all[value])
                        if name != value:
                            labels.drop(value)
                    continue
                try:
                    labels.set(name, value.execute(Context(line, at, labels.all, self._now)))
                except TemplateError as error:
                    labels.fail(_FAILED, str(error))
            return line

        return apply


def _drop(stage: nodes.DropKeep) -> Stage:
    tests = [(matcher.name, matcher_test(matcher)) for matcher in stage.matchers]

    def apply(line: str, labels: LineLabels, _: int) -> str:
        for name in stage.names:
            labels.drop(name)
            if name == ERROR:
                labels.drop(DETAILS)
        for name, test in tests:
            if name in labels.all and test(labels.all[name]):
                labels.drop(name)
        return line

    return apply


def _keep(stage: nodes.DropKeep) -> Stage:
    tests = {matcher.name: matcher_test(matcher) for matcher in stage.matchers}
    names = frozenset(stage.names) | {ERROR, DETAILS}

    def apply(line: str, labels: LineLabels, _: int) -> str:
        for name in list(labels.all):
            if name not in names and not (name in tests and tests[name](labels.all[name])):
                labels.drop(name)
        return line

    return apply


@lru_cache(maxsize=1024)
def selected(matchers: tuple[nodes.Matcher, ...], labels: tuple[tuple[str, str], ...]) -> bool:
    """Whether a stream with these labels is meant."""
    found = dict(labels)
    return all(matcher_test(matcher)(found.get(matcher.name, "")) for matcher in matchers)
