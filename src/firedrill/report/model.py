"""Everything that the pages show, taken from a run's folder. No formatting here."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from firedrill.core.episode import EpisodeKey, EpisodeRecord
from firedrill.core.errors import FiredrillError, InputError
from firedrill.core.grade import Grade
from firedrill.core.scenario import Modality
from firedrill.core.submission import Submission, parse_submission
from firedrill.grading.scoreboard import Result, Scoreboard, scores_by_scenario
from firedrill.grading.statistics import Estimate, estimate
from firedrill.records import RunFolder
from firedrill.report import text
from firedrill.report.cells import Cells, cells, score_of
from firedrill.report.compliance import Assessment, ComplianceRow, assessment_of, compliance_rows
from firedrill.report.living import LivingRow, Story, Verdict, living_rows, spark, story_of, verdict_of
from firedrill.report.terminal import remarks, standing
from firedrill.report.trajectory import Turn, turns_of
from firedrill.runner import scoreboard

_MODALITIES: tuple[Modality, ...] = ("alerts", "events", "objects", "logs", "traces", "metrics", "topology")

_MOST_DRAWN = 1_000
"""Episodes; in larger runs the overview has figures alone."""
_EASE = ("low", "easy", "medium", "high", "hard")


@dataclass(frozen=True)
class ScenarioFacts:
    """What breakdowns and the matrix say of a scenario."""

    id: str
    fault_class: str = ""
    complexity: str = ""
    split: str = ""
    modalities: tuple[str, ...] = ()


@dataclass(frozen=True)
class MatrixLine:
    """One scenario's row: cells by agent, in the scoreboard's order."""

    scenario: str
    fault_class: str
    cells: tuple[Cells, ...]
    unresolvable: bool


@dataclass(frozen=True)
class BreakdownLine:
    """Scores over the scenarios that share something; ``n`` counts scenarios."""

    name: str
    n: int
    estimates: tuple[Estimate, ...]


@dataclass(frozen=True)
class Breakdown:
    """A table of scores by a property of the scenarios."""

    id: str
    title: str
    what: str
    lines: tuple[BreakdownLine, ...]


@dataclass(frozen=True)
class Root:
    """A root set of the truth and whether the answer has it."""

    text: str
    aliases: str
    found: bool


@dataclass(frozen=True)
class EpisodePage:
    """What an episode's page shows."""

    record: EpisodeRecord
    scenario: str
    agent: str
    grade: Grade | None
    answer: Submission
    raw: str | None
    roots: tuple[Root, ...]
    faults: tuple[str, ...]
    propagations: tuple[str, ...]
    turns: Sequence[Turn]
    left_out: int
    facts: tuple[tuple[str, Any], ...]
    story: Story | None = None
    """Of its world; None on recorded incidents."""
    verdict: Verdict | None = None
    assessment: Assessment | None = None
    """Of compliance; None on incidents."""

    @property
    def score(self) -> float | None:
        """The headline; None when the episode does not count."""
        return score_of(self.record, self.grade)


class RunView:
    """A run as the report sees it.

    Raises:
        InputError: when the folder holds no run, or no episode has ended yet.
    """

    def __init__(self, run: RunFolder) -> None:
        self.run = run
        self.manifest = run.manifest
        self.results: list[Result] = run.results()
        if not self.results:
            raise InputError(
                "no episode of this run has ended yet",
                source=str(run.path),
                mend="finish it with `firedrill resume`",
            )
        self.repeats = self.manifest.plan.repeats
        self.seed = self.manifest.plan.seed
        self.board: Scoreboard = scoreboard(run)
        self.names = {folder: entry.name for folder, entry in self.manifest.agents.items()}

    def name(self, agent: str) -> str:
        """The readable name of an agent; with its digest where two agents share a name."""
        name = self.names.get(agent, agent)
        return name if list(self.names.values()).count(name) < 2 else agent

    @property
    def suite_name(self) -> str:
        """The suite's name."""
        return self.manifest.suite.name

    @property
    def title(self) -> str:
        """The report's heading."""
        return f"{self.manifest.suite.name} {self.manifest.suite.version}".strip()

    @property
    def complete(self) -> bool:
        """Whether every planned episode ended and counts."""
        return self.manifest.sealed and self.manifest.complete

    @property
    def incomplete_reason(self) -> str:
        """What is missing, in a sentence."""
        planned = len(list(self.manifest.plan.episodes()))
        lost = sum(row.infrastructure for row in self.board.agents)
        parts = []
        if len(self.results) < planned:
            parts.append(f"{planned - len(self.results)} of {planned} episodes have not ended")
        if lost:
            parts.append(f"{lost} failed on our side and are left out of the means")
        return "; ".join(parts) or "its records were not sealed; `firedrill resume` does that"

    @property
    def notice(self) -> str:
        """With what the numbers can be compared."""
        return text.notice(self.board.scorer)

    @property
    def headline_text(self) -> str:
        """What the headline score is."""
        return "Score: average precision at full recall; any missed root cause is 0, else TP / (TP + FP)."

    @cached_property
    def living(self) -> list[LivingRow]:
        """What episodes on living worlds came to, by agent; empty where there are none."""
        return living_rows(self.board.agents, self.results)

    @cached_property
    def compliance(self) -> list[ComplianceRow]:
        """What compliance episodes came to, by agent; empty where there are none."""
        return compliance_rows(self.board.agents, self.results, seed=self.seed)

    @cached_property
    def standings(self) -> list[str]:
        """For each agent but the last, who is compared with whom, and what can be said."""
        names = [self.name(row.agent) for row in self.board.agents]
        return [
            f"{a} against {b}: {words}" for a, b, words in zip(names, names[1:], self.standing, strict=False)
        ]

    @cached_property
    def standing(self) -> list[str]:
        """For each agent, what can be said of it against the next."""
        return standing(self.board.agents, seed=self.seed)

    @cached_property
    def remarks(self) -> list[str]:
        """What limits the scoreboard, without the notice that the page shows apart."""
        return remarks(self.board, {agent: self.name(agent) for agent in self.names})[:-1]

    @property
    def total_cost(self) -> float | None:
        """US dollars of all episodes whose cost is known; None when none is."""
        known = [row.effort.cost_total for row in self.board.agents if row.effort.cost_total is not None]
        return sum(known) if known else None

    @cached_property
    def metric_names(self) -> list[str]:
        """Every metric that some agent has."""
        return sorted({name for row in self.board.agents for name in row.metrics})

    @property
    def metric_tables(self) -> list[tuple[str, list[str]]]:
        """The metrics to show at once, and those that only look at the first k answers."""
        first = [name for name in self.metric_names if "@" not in name]
        rest = [name for name in self.metric_names if "@" in name]
        return [("", first)] + ([("The same for the first k answers only", rest)] if rest else [])

    @cached_property
    def scenarios(self) -> dict[str, ScenarioFacts]:
        """By id, in the plan's order, those with an ended episode."""
        seen = {record.scenario for record, _ in self.results}
        return {name: self._facts(name) for name in self.manifest.plan.scenarios if name in seen}

    def _facts(self, name: str) -> ScenarioFacts:
        document = self.run.scenario(name).document
        scenario = document.get("scenario", {})
        metadata = scenario.get("metadata", {})
        return ScenarioFacts(
            id=name,
            fault_class=str(metadata.get("class") or ""),
            complexity=str(metadata.get("complexity") or ""),
            split=str(document.get("split") or ""),
            modalities=tuple(str(item) for item in scenario.get("environment", {}).get("modalities", ())),
        )

    @cached_property
    def matrix(self) -> list[MatrixLine]:
        """Every scenario with its episodes."""
        index: dict[tuple[str, str], list[Result]] = {}
        for record, grade in self.results:
            index.setdefault((record.scenario, record.agent), []).append((record, grade))
        lines = []
        for name, facts in self.scenarios.items():
            rows = [index.get((name, row.agent), []) for row in self.board.agents]
            grades = [grade for row in rows for _, grade in row if grade is not None]
            unresolvable = any(not grade.label.resolvable for grade in grades)
            lines.append(
                MatrixLine(
                    name, facts.fault_class, tuple(cells(row, self._drawn) for row in rows), unresolvable
                )
            )
        return lines

    def _drawn(self, key: EpisodeKey) -> Any:
        """What users got in an episode, in the size of a word."""
        from markupsafe import Markup

        if not self.living or len(self.results) > _MOST_DRAWN:
            return ""
        try:
            found = self.run.facts(key)
        except FiredrillError:
            return ""  # its own page says so
        return "" if found is None else Markup(spark(story_of(found)))  # noqa: S704 - it escapes what is foreign

    @cached_property
    def breakdowns(self) -> list[Breakdown]:
        """Scores by fault class, complexity, split and modality, where scenarios differ in it."""
        found = []
        sort = "class" if self.compliance else "fault class"
        for key, title in (("fault_class", sort), ("complexity", "complexity"), ("split", "split")):
            names = sorted({getattr(facts, key) for facts in self.scenarios.values()} - {""}, key=_by_ease)
            if len(names) > 1:
                groups = [(name, _having(key, name)) for name in names]
                found.append(self._breakdown(f"by-{key}", f"By {title}", title, groups))
        groups = []
        for modality in _MODALITIES:
            has = [modality in facts.modalities for facts in self.scenarios.values()]
            if any(has) and not all(has):
                groups += [
                    (f"with {modality}", _with_modality(modality, True)),
                    (f"without {modality}", _with_modality(modality, False)),
                ]
        if groups:
            title = "By what there is to see" if self.living else "By recorded modality"
            found.append(self._breakdown("by-modality", title, "modality", groups))
        return found

    def _breakdown(
        self, anchor: str, title: str, what: str, groups: list[tuple[str, Callable[[ScenarioFacts], bool]]]
    ) -> Breakdown:
        tables = {row.agent: scores_by_scenario(self.results, row.agent) for row in self.board.agents}
        lines = []
        for name, wanted in groups:
            ids = {key for key, facts in self.scenarios.items() if wanted(facts)}
            estimates = tuple(
                estimate(
                    {key: values for key, values in tables[row.agent].items() if key in ids}, seed=self.seed
                )
                for row in self.board.agents
            )
            lines.append(BreakdownLine(name, len(ids), estimates))
        return Breakdown(anchor, title, what, tuple(lines))

    @cached_property
    def facts(self) -> list[tuple[str, Any]]:
        """What was run, for the foot of the page."""
        manifest, plan = self.manifest, self.manifest.plan
        caps = [f"{value:g} {name}" for name, value in sorted(plan.limits.items()) if value is not None]
        rows: list[tuple[str, Any]] = [
            ("suite", f"{manifest.suite.name} {manifest.suite.version}".strip()),
            ("suite digest", manifest.suite.digest),
            ("run digest", manifest.digests.run or "not sealed"),
            ("scorer", self.board.scorer or text.DASH),
            ("seed", plan.seed),
            ("caps asked for", ", ".join(caps) or "none but the scenarios' own"),
            ("sandbox", plan.sandbox.get("kind", text.DASH)),
        ]
        if plan.without:
            rows.append(("withheld", ", ".join(plan.without)))
        rows += [(f"version of {name}", value) for name, value in sorted(manifest.versions.items())]
        rows += [(f"agent {self.name(key)}", entry.config_digest) for key, entry in manifest.agents.items()]
        return rows

    def pages(self) -> Iterator[EpisodePage]:
        """Every episode's page, in the order of the matrix, read one at a time."""
        place = {row.agent: number for number, row in enumerate(self.board.agents)}
        order = {name: number for number, name in enumerate(self.scenarios)}
        for record, grade in sorted(
            self.results, key=lambda item: (order[item[0].scenario], place[item[0].agent], item[0].repeat)
        ):
            yield self.page(record, grade)

    def page(self, record: EpisodeRecord, grade: Grade | None) -> EpisodePage:
        """One episode's page."""
        raw = self.run.submission_text(record.key)
        answer = parse_submission(raw) if raw is not None else Submission()
        try:
            turns, left_out = turns_of(self.run.receipt(record.key))
        except FiredrillError as error:
            # a damaged receipt must not hide the other episodes
            turns, left_out = [Turn("Unreadable", [])], 0
            answer_note = str(error)
        else:
            answer_note = ""
        story, verdict = self._living(record, grade)
        truth = self.run.scenario(record.scenario).truth
        missed = set(grade.missed) if grade else None
        facts: list[tuple[str, Any]] = [
            ("attempts", record.attempts),
            ("seed", record.seed),
            ("sandbox", _short(record.sandbox)),
            ("what the agent saw", record.view_digest or text.DASH),
        ]
        facts += [(f"agent says: {key}", _short(value)) for key, value in sorted(record.agent_notes.items())]
        if grade:
            facts += [("truth", f"{grade.truth_version} {grade.truth_digest}"), ("scorer", grade.scorer)]
        if answer_note:
            facts.append(("receipt", answer_note))
        return EpisodePage(
            record=record,
            scenario=record.scenario,
            agent=self.name(record.agent),
            grade=grade,
            answer=answer,
            raw=raw,
            roots=tuple(_roots(truth, missed)),
            faults=tuple(
                " ".join(part for part in (fault.mechanism.replace("_", " "), fault.condition) if part)
                for fault in truth.faults
            ),
            propagations=tuple(
                f"{step.source} → {step.target}" + (f": {step.effect}" if step.effect else "")
                for step in truth.propagations
            ),
            turns=turns,
            left_out=left_out,
            facts=tuple(facts),
            story=story,
            verdict=verdict,
            assessment=self._assessment(record, grade),
        )

    def _assessment(self, record: EpisodeRecord, grade: Grade | None) -> Assessment | None:
        """What artefacts said of each variant, where they were to say something and it can be read."""
        try:
            found = self.run.compliance(record.key)
        except FiredrillError:
            return None
        return None if found is None else assessment_of(found, grade)

    def _living(self, record: EpisodeRecord, grade: Grade | None) -> tuple[Story | None, Verdict | None]:
        """What became of the episode's world, if it had one and its records can be read."""
        try:
            found = self.run.facts(record.key)
            if found is None:
                return None, None
            return story_of(found, self.run.receipt(record.key)), verdict_of(found, grade)
        except FiredrillError:
            # a damaged file must not hide the other episodes; `firedrill verify` names it
            return None, None


def _roots(truth: Any, missed: set[str] | None) -> Iterator[Root]:
    from firedrill.grading import root_sets

    for root_set in root_sets(truth):
        members = [group for group in truth.groups if group.id in root_set.members]
        main = [group for group in members if group.root_cause]
        others = [group for group in members if not group.root_cause]
        yield Root(
            text=", ".join(map(_group_words, main)),
            aliases=", ".join(map(_group_words, others)),
            found=missed is not None and root_set.id not in missed,
        )


def _group_words(group: Any) -> str:
    name = group.name if group.name is not None else " | ".join(group.filters)
    return "/".join(part for part in (group.namespace, group.kind, name) if part)


def _by_ease(name: str) -> tuple[int, str]:
    return (_EASE.index(name) if name in _EASE else len(_EASE)), name


def _having(key: str, value: str) -> Callable[[ScenarioFacts], bool]:
    return lambda facts: getattr(facts, key) == value


def _with_modality(modality: str, present: bool) -> Callable[[ScenarioFacts], bool]:
    return lambda facts: (modality in facts.modalities) is present


def _short(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key}: {_short(item)}" for key, item in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(map(_short, value)) or "none"
    return str(value)
