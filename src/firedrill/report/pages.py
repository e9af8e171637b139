"""Writing a run as a folder of pages that opens offline: one page, and a page per episode."""

from __future__ import annotations

import base64
import hashlib
import re
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from firedrill import __version__
from firedrill.core.errors import InputError
from firedrill.grading.scoreboard import AgentScore
from firedrill.records import RunFolder
from firedrill.report import charts, text
from firedrill.report.compliance.overview import STAGES
from firedrill.report.living.drawing import NARROW, WIDE, clock, draw
from firedrill.report.model import EpisodePage, RunView
from firedrill.report.trajectory import ANCHOR

if TYPE_CHECKING:
    from jinja2 import Environment

_POINTER = re.compile(rf"\[({ANCHOR.pattern})\]")
_MARK = ".firedrill-report"
"""A file in every report folder, so that only our own reports are ever replaced."""


@dataclass(frozen=True, slots=True)
class Chart:
    """An SVG element that is safe to put into a page, and its caption."""

    svg: Any
    caption: str


def write_report(run: Path, out: Path, *, progress: Callable[[int, int], None] | None = None) -> Path:
    """Write the report of the run in ``run`` to the folder ``out``; returns its ``index.html``.

    The folder appears whole or not at all; an earlier report in its place is replaced.

    Raises:
        InputError: when ``run`` holds no ended episode, or ``out`` is a folder of something else.
    """
    view = RunView(RunFolder(run))
    if out.exists() and not (out / _MARK).is_file() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(
            "not empty, and not a report", source=str(out), mend="name another folder with --out"
        )
    out.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
    try:
        _render(view, staging, progress)
        (staging / _MARK).write_text(f"{__version__}\n", encoding="utf-8")
        staging.chmod(0o755)
        if out.exists():
            shutil.rmtree(out)
        staging.replace(out)
    except BaseException:
        shutil.rmtree(staging, ignore_errors=True)
        raise
    return out / "index.html"


def _render(view: RunView, folder: Path, progress: Callable[[int, int], None] | None) -> None:
    environment = _environment()
    index = environment.get_template("index.html")
    page = environment.get_template("episode.html")
    found, notes = _charts(view)
    (folder / "index.html").write_text(
        index.render(
            view=view,
            living=view.living,
            compliance=view.compliance,
            stages=STAGES,
            charts=found,
            chart_notes=notes,
        ),
        encoding="utf-8",
    )
    (folder / "episodes").mkdir()
    total = len(view.results)
    order = [cell.href for line in view.matrix for cells in line.cells for cell in cells.items]
    for number, (item, href) in enumerate(zip(view.pages(), order, strict=True)):
        rendered = page.render(page=_page(item, order, number), **_told(item))
        (folder / "episodes" / href).write_text(rendered, encoding="utf-8")
        if progress is not None:
            progress(number + 1, total)


def _page(item: EpisodePage, order: list[str], number: int) -> dict[str, Any]:
    grade = item.grade
    metrics = sorted({**grade.metrics, "strict_alias": grade.strict_alias}.items()) if grade else []
    return {
        "record": item.record,
        "scenario": item.scenario,
        "agent": item.agent,
        "score": item.score,
        "reason": grade.reason if grade else "",
        "grade": grade,
        "answer": item.answer.entities,
        "repairs": item.answer.repairs,
        "raw": item.raw,
        "roots": item.roots,
        "faults": item.faults,
        "propagations": item.propagations,
        "metrics": metrics,
        "turns": item.turns,
        "left_out": item.left_out,
        "facts": item.facts,
        "story": item.story,
        "assessment": item.assessment,
        "previous": order[number - 1] if number else None,
        "next": order[number + 1] if number + 1 < len(order) else None,
    }


def _told(item: EpisodePage) -> dict[str, Any]:
    """The story of a living episode with its drawings."""
    from markupsafe import Markup

    if item.story is None:
        return {}
    # the drawing escapes all that is foreign in it
    wide, narrow = (Markup(draw(item.story, width)) for width in (WIDE, NARROW))  # noqa: S704
    return {"story": item.story, "verdict": item.verdict, "drawing": wide, "drawing_narrow": narrow}


def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("firedrill.report", "templates"),
        autoescape=True,
        finalize=_shown,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    from markupsafe import Markup

    static = resources.files("firedrill.report") / "static"
    style = "".join((static / name).read_text(encoding="utf-8") for name in ("report.css", "living.css"))
    script = (static / "report.js").read_text(encoding="utf-8")
    environment.globals.update(
        version=__version__,
        # our own files, not foreign text; their digests are the only ones that the page's policy admits
        style=Markup(style),  # noqa: S704
        script=Markup(script),  # noqa: S704
        style_hash=Markup(_source_hash(style)),  # noqa: S704
        script_hash=Markup(_source_hash(script)),  # noqa: S704
    )
    environment.filters.update(
        number=text.number,
        percent=text.percent,
        interval=text.interval,
        money=text.money,
        duration=text.duration,
        count=text.count,
        bucket=text.bucket,
        linked=_linked,
        signed=text.signed,
        span=text.span,
        clock=clock,
    )
    return environment


def _shown(value: Any) -> Any:
    """Every text that a template puts out, unless it is markup of ours."""
    return text.visible(value) if isinstance(value, str) and not hasattr(value, "__html__") else value


def _linked(words: str) -> Any:
    """Text in which ``[e1]`` leads to the evidence of that name on the same page."""
    from markupsafe import Markup, escape

    safe = str(escape(text.visible(words)))
    # only digits can stand in the group, so nothing foreign gets past the escaping
    return Markup(_POINTER.sub(r'<a href="#\1">[\1]</a>', safe))  # noqa: S704


def _source_hash(content: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}'"


def _charts(view: RunView) -> tuple[list[Chart], list[str]]:
    from markupsafe import Markup

    if not charts.available():
        return [], [charts.INSTALL]
    found: list[Chart] = []
    notes: list[str] = []
    for what, title, value in (
        ("cost", "cost per episode, US dollars", _cost),
        ("turns", "turns per episode", _turns),
    ):
        points = [
            charts.Point(view.name(row.agent), x, row.score.mean, row.score.low, row.score.high)
            for row in view.board.agents
            if (x := value(row)) is not None
            and row.score.mean is not None
            and row.score.low is not None
            and row.score.high is not None
        ]
        if not any(point.x > 0 for point in points):
            notes.append(
                f"No chart of score against {what}: as far as is known, no agent of this run spent any."
            )
            continue
        missing = len(view.board.agents) - len(points)
        svg = charts.scatter(
            points, x_title=title, description=f"Score against {what} for {len(points)} agents"
        )
        caption = f"Score against {title}, with 95 % intervals."
        caption += f" {missing} agents without a known {what} are not shown." if missing else ""
        found.append(Chart(Markup(svg), caption))  # noqa: S704 - the renderer escapes the names in it
    return found, notes


def _cost(row: AgentScore) -> float | None:
    return row.effort.cost


def _turns(row: AgentScore) -> float | None:
    return row.effort.turns
