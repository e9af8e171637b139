"""The scoreboard for a terminal: the same story as the pages tell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from firedrill.grading.compare import compare
from firedrill.grading.scoreboard import AgentScore, Scoreboard
from firedrill.report import text

if TYPE_CHECKING:
    from rich.console import Console

    from firedrill.report.compliance import ComplianceRow
    from firedrill.report.living import LivingRow

_AGENT_WIDTH = 14
_SPARED_OF_COMPLIANCE = ("ITBench", "traps", "IEC", "IPA", "CE", "95 %", "n")
_SHOWN_TRAPS = 3
_SPARED = ("95 %", "diagnosis", "SLO-min saved", "n", "to repair")
"""Columns of living incidents that a narrow terminal does without, in this order."""


def standing(rows: Sequence[AgentScore], *, seed: int = 0) -> list[str]:
    """For each row, what can be said of it against the next one: better, or undecided."""
    words = []
    for row, following in zip(rows, [*rows, None][1:], strict=True):
        if following is None:
            words.append("")
            continue
        found = compare(row.scores, following.scores, seed=seed)
        if found.verdict == "a_better":
            words.append(f"better (p {text.p_value(found.p)})")
        elif found.needed is None:
            words.append("no difference seen")
        else:
            words.append(f"undecided, about {found.needed} more scenarios would tell")
    return words


def scoreboard(
    board: Scoreboard, console: Console, *, names: Mapping[str, str] | None = None, title: str = "Scoreboard"
) -> None:
    """Print the scoreboard and, below it, everything that limits what it says."""
    from rich.table import Table

    names = dict(names or {})
    table = Table(title=text.one_line(title), title_justify="left", title_style="bold", header_style="bold")
    repeats = max((max(row.pass_at, default=1) for row in board.agents), default=1)
    table.add_column("agent", overflow="fold", min_width=14)
    columns = ["score", "95 %", "n"]
    columns += [f"pass@{repeats}", f"pass^{repeats}"] if repeats > 1 else []
    columns += ["turns", "cost", "time"]
    for name in columns:
        table.add_column(name, justify="right", no_wrap=True)
    for row in board.agents:
        cells = [_who(row, names), text.percent(row.score.mean), text.interval(row.score), str(row.score.n)]
        if repeats > 1:
            at, hat = row.pass_at.get(repeats), row.pass_hat.get(repeats)
            cells += [text.percent(at.mean if at else None), text.percent(hat.mean if hat else None)]
        cells += [
            text.count(row.effort.turns),
            text.money(row.effort.cost),
            text.duration(row.effort.seconds),
        ]
        table.add_row(*cells)
    console.print(table, markup=False)
    _below(board, console, names)


def living_scoreboard(
    rows: Sequence[LivingRow],
    board: Scoreboard,
    console: Console,
    *,
    names: Mapping[str, str] | None = None,
    title: str = "Scoreboard",
) -> None:
    """Print what became of incidents on living worlds, by agent, and below it what limits what it says."""
    from rich.table import Table

    names = dict(names or {})
    table = Table(title=text.one_line(title), title_justify="left", title_style="bold", header_style="bold")
    repeats = max((max(row.score.pass_at, default=1) for row in rows), default=1)
    columns = ["resolved", "95 %", "n", *([f"pass@{repeats}", f"pass^{repeats}"] if repeats > 1 else [])]
    columns += ["diagnosis", "repair", "SLO-min saved", "to repair", "harm"]
    filled = [_cells(row, repeats) for row in rows]
    shown = _fitting(columns, filled, console.width - _AGENT_WIDTH, _SPARED)
    table.add_column("agent", overflow="fold", min_width=_AGENT_WIDTH)
    for index in shown:
        left = columns[index] == "harm"
        table.add_column(columns[index], justify="left" if left else "right", no_wrap=not left)
    for row, cells in zip(rows, filled, strict=True):
        table.add_row(_who(row.score, names), *(cells[index] for index in shown))
    console.print(table, markup=False)
    if left_out := [name for index, name in enumerate(columns) if index not in shown]:
        console.print(f"a wider terminal also shows {', '.join(left_out)}", style="dim", highlight=False)
    for row in rows:
        for item in row.catastrophes:
            line = f"catastrophe: {_who(row.score, names)} on {item.scenario}: {text.one_line(item.reason)}"
            console.print(line, style="bold red", highlight=False, markup=False)
    _below(board, console, names)


def compliance_scoreboard(
    rows: Sequence[ComplianceRow],
    board: Scoreboard,
    console: Console,
    *,
    names: Mapping[str, str] | None = None,
    title: str = "Scoreboard",
) -> None:
    """Print what assessments came to, whole and by class, and below it what limits what it says."""
    from rich.table import Table

    names = dict(names or {})
    table = Table(title=text.one_line(title), title_justify="left", title_style="bold", header_style="bold")
    repeats = max((max(row.score.pass_at, default=1) for row in rows), default=1)
    columns = ["passed", "95 %", "n", *([f"pass@{repeats}", f"pass^{repeats}"] if repeats > 1 else [])]
    columns += ["balanced", "IEC", "IPA", "CE", "ITBench", "traps"]
    filled = [_assessed(row, repeats) for row in rows]
    shown = _fitting(columns, filled, console.width - _AGENT_WIDTH, _SPARED_OF_COMPLIANCE)
    table.add_column("agent", overflow="fold", min_width=_AGENT_WIDTH)
    for index in shown:
        left = columns[index] == "traps"
        table.add_column(columns[index], justify="left" if left else "right", no_wrap=not left)
    for row, cells in zip(rows, filled, strict=True):
        table.add_row(_who(row.score, names), *(cells[index] for index in shown))
    console.print(table, markup=False)
    if left_out := [name for index, name in enumerate(columns) if index not in shown]:
        console.print(f"a wider terminal also shows {', '.join(left_out)}", style="dim", highlight=False)
    for row in rows:
        if len(row.classes) > 1:
            parts = (f"{part.name} {text.percent(part.score.mean)}" for part in row.classes)
            line = f"{_who(row.score, names)} by class: {', '.join(parts)}"
            console.print(line, highlight=False, markup=False)
        if row.harmed:
            line = f"{_who(row.score, names)} changed what it only had to judge in {row.harmed} episodes"
            console.print(line, style="bold red", highlight=False, markup=False)
    _below(board, console, names)


def _assessed(row: ComplianceRow, repeats: int) -> list[str]:
    score = row.score
    cells = [text.percent(score.score.mean), text.interval(score.score), str(score.score.n)]
    if repeats > 1:
        cells += [text.percent(found[repeats].mean) for found in (score.pass_at, score.pass_hat)]
    traps = [f"{text.one_line(item.trap, 18)} ×{item.times}" for item in row.traps[:_SHOWN_TRAPS]]
    return [
        *cells,
        text.number(row.balanced.mean, 2),
        *(text.percent(row.stages[name].mean) for name in ("iec", "ipa", "ce")),
        text.percent(row.original.mean),
        text.one_line(", ".join(traps), 60),
    ]


def _cells(row: LivingRow, repeats: int) -> list[str]:
    score = row.score
    cells = [text.percent(score.score.mean), text.interval(score.score), str(score.score.n)]
    if repeats > 1:
        cells += [text.percent(found[repeats].mean) for found in (score.pass_at, score.pass_hat)]
    harm = ", ".join(f"{count} {name}" for name, count in row.harm.items() if count)
    return [
        *cells,
        text.number(row.diagnosis.mean, 2),
        text.number(row.partial.mean, 2),
        text.signed(row.saved.mean),
        f"{text.span(row.to_repair.mean)} ({row.to_repair.successes})",
        harm,
    ]


def _fitting(
    columns: Sequence[str], rows: Sequence[Sequence[str]], room: int, spared: Sequence[str]
) -> list[int]:
    """The places of the columns that fit beside the agents; what can best be done without goes first."""
    shown = list(range(len(columns)))
    wide = [max(map(len, (name, *(row[place] for row in rows)))) + 3 for place, name in enumerate(columns)]
    for name in spared:
        if sum(wide[place] for place in shown) + 4 <= room:
            break
        shown = [place for place in shown if columns[place] != name]
    return shown


def _below(board: Scoreboard, console: Console, names: Mapping[str, str]) -> None:
    for row, following, words in zip(board.agents, board.agents[1:], standing(board.agents), strict=False):
        line = f"{_who(row, names)} against {_who(following, names)}: {words}"
        console.print(line, highlight=False, markup=False)
    for line in remarks(board, names):
        console.print(line, style="dim", highlight=False, markup=False)


def _who(row: AgentScore, names: Mapping[str, str]) -> str:
    return text.one_line(text.agent_name(row.agent, dict(names)), 60)


def remarks(board: Scoreboard, names: Mapping[str, str] | None = None) -> list[str]:
    """What a reader must know beside the table, in sentences."""
    names = dict(names or {})
    lines = ["n counts scenarios; intervals are over scenarios, so that repeats do not feign certainty."]
    for row in board.agents:
        who = _who(row, names)
        trouble = {key: n for key, n in row.outcomes.items() if n and key not in ("submitted",)}
        if trouble:
            lines.append(f"{who}: {text.outcome_words(row)}.")
        if row.infrastructure:
            lines.append(
                f"{who}: {row.infrastructure} of {row.episodes} episodes failed on our side and are out; "
                f"with them as 0 the score would be {text.percent(row.bound)}."
            )
        if row.unresolvable:
            lines.append(
                f"{who}: {row.unresolvable} scenarios have a label that no object of the incident matches; "
                f"without them the score is {text.percent(row.resolvable_only)}."
            )
    lines.append(text.notice(board.scorer))
    return lines
