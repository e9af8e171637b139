"""A run's results as JSON, CSV or Markdown; of compliance also in an auditor's formats."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from typing import Any

from firedrill.report import text
from firedrill.report.compliance.oscal import as_oscal
from firedrill.report.compliance.policyreports import as_policy_reports
from firedrill.report.model import RunView
from firedrill.runner import summary as run_summary


def summary(view: RunView) -> dict[str, Any]:
    """The object that ``run``, ``score`` and ``report`` end with under ``--json``."""
    return run_summary(view.run, view.board)


def as_json(view: RunView) -> str:
    """The summary and a row per episode."""
    document = {**summary(view), "episodes": list(_rows(view))}
    return json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def as_csv(view: RunView) -> str:
    """A row per episode. Cells that a spreadsheet would take for a formula get a leading quote."""
    out = io.StringIO()
    rows = [{key: _cell(value) for key, value in row.items()} for row in _rows(view)]
    names = list(dict.fromkeys(name for row in rows for name in row))
    writer = csv.DictWriter(out, names, lineterminator="\n", restval="")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def as_markdown(view: RunView) -> str:
    """The scoreboard as a table, with its remarks."""
    repeats = view.repeats
    heads = ["agent", "score", "95 %", "n", "episodes"]
    heads += [f"pass@{repeats}", f"pass^{repeats}"] if repeats > 1 else []
    heads += ["turns", "cost", "time", "against the next"]
    lines = [f"# {_md(view.title)}", "", _line(heads), _line(["---"] * len(heads))]
    for row, against in zip(view.board.agents, view.standing, strict=True):
        cells = [
            _md(view.name(row.agent)),
            text.percent(row.score.mean),
            text.interval(row.score),
            str(row.score.n),
            str(row.episodes),
        ]
        if repeats > 1:
            cells += [text.percent(row.pass_at[repeats].mean), text.percent(row.pass_hat[repeats].mean)]
        cells += [
            text.count(row.effort.turns),
            text.money(row.effort.cost),
            text.duration(row.effort.seconds),
            against,
        ]
        lines.append(_line(cells))
    remarks = [f"- {_md(line)}" for line in [*view.remarks, view.notice]]
    return "\n".join([*lines, "", *remarks, ""])


FORMATS: dict[str, Callable[[RunView], str]] = {
    "json": as_json,
    "csv": as_csv,
    "markdown": as_markdown,
    "oscal": as_oscal,
    "polr": as_policy_reports,
}


def _rows(view: RunView) -> Any:
    for record, grade in view.results:
        facts = view.scenarios[record.scenario]
        usage = record.usage
        row: dict[str, Any] = {
            "scenario": record.scenario,
            "fault_class": facts.fault_class,
            "agent": view.name(record.agent),
            "repeat": record.repeat,
            "outcome": record.outcome.value,
            "score": grade.score if grade else (0.0 if record.outcome.counts else None),
            "turns": usage.turns,
            "tool_calls": usage.tool_calls,
            "tokens_input": usage.tokens.input,
            "tokens_output": usage.tokens.output,
            "cost": usage.cost,
            "seconds": record.timing.get("total"),
        }
        if grade:
            row["strict_alias"] = grade.strict_alias
            row["label_resolvable"] = grade.label.resolvable
            row.update(sorted(grade.metrics.items()))
        yield row


def _cell(value: Any) -> Any:
    if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r"):
        return "'" + value
    return "" if value is None else value


def _line(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _md(words: str) -> str:
    flat = text.one_line(words, 300)
    for sign in "\\|`*_[]<>":
        flat = flat.replace(sign, "\\" + sign)
    return flat
