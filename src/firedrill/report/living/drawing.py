"""An episode on a living world as one SVG element: no script, no network, colours from the page's style.

Lengths are in the units of the drawing's own box.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from firedrill.core.living import BranchMinute
from firedrill.report import text
from firedrill.report.living import svg
from firedrill.report.living.story import Act, AlertRow, Said, Sort, Story

WIDE, NARROW = 1080, 430
_LEFT, _RIGHT = 40, 14
_MINUTE = 60_000
_LETTER = 6.3
"""About how wide a letter of a label is."""
_MOST_ALERTS = 8
_FLOORS = (0.9, 0.8, 0.5, 0.0)
_STEPS = (1, 2, 5, 10, 20, 30, 60, 120, 240, 480)
_BETWEEN = 54
"""Between two ticks of the axis, at least."""
_SPARK = (108, 26)
_STATES: dict[Sort, str] = {"read": "", "write": "", "asked": ", approved", "denied": ", denied", "error": ""}

Level = Callable[[float], float]


@dataclass(frozen=True, slots=True)
class _Frame:
    """Where moments lie."""

    start: int
    end: int
    width: int
    left: int = _LEFT
    right: int = _RIGHT

    def x(self, at: int) -> float:
        """Of a moment; one outside is brought to the edge."""
        inside = min(max(at, self.start), self.end)
        share = (inside - self.start) / max(1, self.end - self.start)
        return round(self.left + share * (self.width - self.left - self.right), 2)

    def minute(self, at: int) -> tuple[float, float]:
        """Where a minute begins, and how wide it is."""
        return self.x(at), self.x(at + _MINUTE) - self.x(at)


def draw(story: Story, width: int = WIDE) -> str:
    """The drawing: service, alerts, requests and messages over virtual time.

    Args:
        story: of the episode.
        width: of the box; `WIDE` and `NARROW` are meant for screens and phones.
    """
    frame = _Frame(story.start, story.end, width)
    top, head = _moment_labels(story, frame)
    high = 150.0 if width > NARROW else 120.0
    body: list[str] = []
    y = top + 28.0
    body += [svg.label("lane", 2, y - 14, "users served well"), *_service(story, frame, y, high)]
    y += high + 30
    if story.alerts:
        body.append(svg.label("lane", 2, y - 8, "alerts"))
        drawn, y = _alert_rows(story, frame, y)
        body += drawn
        y += 24
    body += [
        svg.label("lane", 2, y - 8, "requests"),
        *_acts([act for act in story.acts if not act.plumbing], frame, y),
    ]
    y += 46
    if story.said:
        body += [svg.label("lane", 2, y - 2, "messages"), *_said(story.said, frame, y + 12)]
        y += 30
    back = [*_phases(story, frame, top, y), *_ticks(story, frame, top, y)]
    lines = [svg.upright(f"moment {item.id}", frame.x(item.at), top, y) for item in story.moments]
    return "".join(
        [
            f'<svg class="story" viewBox="0 0 {width} {round(y + 22)}" role="img" '
            f'aria-label="{svg.safe(_summary(story))}" xmlns="http://www.w3.org/2000/svg">',
            *back,
            *lines,
            *body,
            *head,
            "</svg>",
        ]
    )


def spark(story: Story) -> str:
    """The same in the size of a word: what users got, and what of it is the agent's doing."""
    width, height = _SPARK
    frame = _Frame(story.start, story.end, width, 0, 0)
    floor = _floor(story)
    scale = _scale(floor, 2, height - 4)
    times = story.facts.times
    acting = svg.rect(
        "phase acting", frame.x(times.ts), 0, frame.x(times.te) - frame.x(times.ts), float(height)
    )
    return "".join(
        [
            f'<svg class="spark" viewBox="0 0 {width} {height}" preserveAspectRatio="none" '
            'aria-hidden="true" focusable="false" xmlns="http://www.w3.org/2000/svg">',
            acting,
            *_areas(story, frame, scale, scale(floor)),
            _steps(story.facts.branches.nobody, frame, scale, "nobody"),
            _steps(story.whole, frame, scale, "agent"),
            svg.upright("moment fault", frame.x(times.tf), 0, height),
            "</svg>",
        ]
    )


def clock(ms: int) -> str:
    """A span of virtual time as `+m:ss`, with hours where there are some."""
    sign, seconds = ("-" if ms < 0 else "+"), abs(ms) // 1000
    hours, minutes = divmod(seconds // 60, 60)
    rest = f"{minutes:02}:{seconds % 60:02}" if hours else f"{minutes}:{seconds % 60:02}"
    return f"{sign}{hours}:{rest}" if hours else f"{sign}{rest}"


def _summary(story: Story) -> str:
    counts = story.counts()
    minutes = (story.end - story.begin) // _MINUTE
    return (
        f"{minutes} minutes from the fault on: the share of traffic served well, {len(story.alerts)} alerts, "
        f"{counts['read']} reads, {counts['write'] + counts['asked']} writes, {counts['denied']} denied. "
        "The tables below have the same."
    )


# --- moments and the axis


def _moment_labels(story: Story, frame: _Frame) -> tuple[float, list[str]]:
    """How much room the labels take, and the labels, in as many rows as keep them apart."""
    ends: list[float] = []
    placed: list[tuple[float, int, str, svg.Anchor, str]] = []
    for item in story.moments:
        x, wide = frame.x(item.at), len(item.words) * _LETTER + 8
        anchor: svg.Anchor = "end" if x + wide > frame.width else "start"
        left = x - wide if anchor == "end" else x
        row = next((n for n, end in enumerate(ends) if left >= end), len(ends))
        if row == len(ends):
            ends.append(0.0)
        ends[row] = left + wide
        placed.append((x, row, item.words, anchor, item.id))
    bottom = len(ends) * 15 + 6.0
    drawn = []
    for x, row, words, anchor, name in placed:
        y = 12 + row * 15
        drawn.append(svg.upright(f"moment {name}", x, y - 9, bottom))
        drawn.append(svg.label(f"moment {name}", x + (-4 if anchor == "end" else 4), y, words, anchor))
    return bottom, drawn


def _phases(story: Story, frame: _Frame, top: float, bottom: float) -> Iterator[str]:
    times = story.facts.times
    for name, begin, end in (("acting", times.ts, times.te), ("verifying", times.te, times.tv)):
        x = frame.x(begin)
        yield svg.rect(f"phase {name}", x, top, frame.x(end) - x, bottom - top)


def _ticks(story: Story, frame: _Frame, top: float, bottom: float) -> Iterator[str]:
    span = max(1, frame.end - frame.start)
    room = frame.width - _LEFT - _RIGHT
    step = next((n for n in _STEPS if n * _MINUTE / span * room >= _BETWEEN), _STEPS[-1]) * _MINUTE
    for at in range(story.begin, story.end + 1, step):
        minutes = (at - story.begin) // _MINUTE
        yield svg.upright("grid", frame.x(at), top, bottom)
        yield svg.label("tick", frame.x(at), bottom + 15, f"{minutes} min" if minutes else "0", "middle")


# --- what users got


def _floor(story: Story) -> float:
    """Where the scale of what users got begins: as high as the worst minute allows."""
    branches = story.facts.branches
    worst = min((1 - item.bad for item in (*story.whole, *branches.nobody, *branches.reference)), default=0.0)
    return next((low for low in _FLOORS if worst >= low + 0.02), 0.0)


def _scale(floor: float, y: float, high: float) -> Level:
    return lambda share: round(y + (1 - (share - floor) / (1 - floor)) * high, 2)


def _service(story: Story, frame: _Frame, y: float, high: float) -> Iterator[str]:
    branches, floor = story.facts.branches, _floor(story)
    scale = _scale(floor, y, high)
    for share in (1.0, (1 + floor) / 2, floor):
        yield svg.level("grid", _LEFT, frame.width - _RIGHT, scale(share))
        yield svg.label("tick", _LEFT - 5, scale(share) + 4, f"{share * 100:.0f}%", "end")
    yield from _areas(story, frame, scale, scale(floor))
    yield _steps(branches.nobody, frame, scale, "nobody")
    yield _steps(branches.reference, frame, scale, "reference")
    yield _steps(story.whole, frame, scale, "agent")
    others = {item.at: item for item in branches.nobody}
    for item in story.whole:
        x, wide = frame.minute(item.at)
        yield svg.rect("hit", x, y, wide, high, title=_minute_words(story, item, others.get(item.at)))


def _minute_words(story: Story, item: BranchMinute, nobody: BranchMinute | None) -> str:
    words = (
        f"{clock(item.at - story.begin)}: {(1 - item.bad) * 100:.1f} % of the traffic well served, "
        f"{item.failed} of {item.offered} requests failed"
    )
    if nobody is None:
        return words
    return f"{words}; with nobody {(1 - nobody.bad) * 100:.1f} %, {nobody.failed} failed"


def _areas(story: Story, frame: _Frame, scale: Level, bottom: float) -> Iterator[str]:
    """What users got, what of it is thanks to the agent, and what it took from them."""
    theirs = {item.at: item.bad for item in story.facts.branches.nobody}
    for item in story.whole:
        x, wide = frame.minute(item.at)
        mine, other = scale(1 - item.bad), scale(1 - theirs.get(item.at, item.bad))
        base, over = max(mine, other), min(mine, other)
        yield svg.rect("served", x, base, wide, bottom - base)
        if base - over > 0.01:
            yield svg.rect("saved" if mine < other else "cost", x, over, wide, base - over)


def _steps(minutes: Sequence[BranchMinute], frame: _Frame, scale: Level, name: str) -> str:
    points: list[tuple[float, float]] = []
    for item in minutes:
        (x, wide), y = frame.minute(item.at), scale(1 - item.bad)
        points += [(x, y), (x + wide, y)]
    return svg.curve(f"branch {name}", points)


# --- alerts


def _alert_rows(story: Story, frame: _Frame, y: float) -> tuple[list[str], float]:
    out: list[str] = []
    for row in story.alerts[:_MOST_ALERTS]:
        out += _alert(row, story, frame, y)
        y += 25
    more = len(story.alerts) - _MOST_ALERTS
    if more > 0:
        out.append(svg.label("tick", _LEFT, y + 9, f"and {more} more, in the table of alerts"))
        y += 16
    return out, y


def _alert(row: AlertRow, story: Story, frame: _Frame, y: float) -> Iterator[str]:
    words = text.one_line(f"{row.name} {row.about}".strip(), 46)
    x, wide = frame.x(row.spans[0][0]), len(words) * _LETTER
    if x + wide > frame.width:
        yield svg.label("name", min(frame.width - 2, x + wide), y + 9, words, "end")
    else:
        yield svg.label("name", x + 5, y + 9, words)
    for fired, ended in row.spans:
        left, right = frame.x(fired), frame.x(story.end if ended is None else ended)
        sort = f"alert{' still' if ended is None else ''}{' called' if row.triggering else ''}"
        until = "still fires at the end" if ended is None else f"ended {clock(ended - story.begin)}"
        told = f"{row.name} {row.about}: fired {clock(fired - story.begin)}, {until}"
        yield svg.rect(sort, left, y + 13, max(right - left, 2), 6, title=told, round_=2)


# --- requests and messages


def _acts(acts: Sequence[Act], frame: _Frame, y: float) -> Iterator[str]:
    for item in acts:
        if item.sort == "read":
            mark = svg.rect("act read", frame.x(item.at) - 1, y + 2, 2, 10)
            yield svg.link(f"r{item.number}", mark, _told(item))
    for item in acts:
        if item.sort != "read":
            yield svg.link(f"r{item.number}", _mark(item, frame, y + 26), _told(item))


def _mark(item: Act, frame: _Frame, y: float) -> str:
    came, done = frame.x(item.at), frame.x(item.at + item.line.waited_ms)
    wait = svg.level("wait", came, done, y) if done - came > 1 else ""
    shapes: dict[Sort, str] = {
        "denied": f"M{svg.num(done - 5)} {svg.num(y - 5)}l10 10m0 -10l-10 10",
        "error": f"M{svg.num(done)} {svg.num(y - 6)}l6 11h-12z",
    }
    diamond = f"M{svg.num(done)} {svg.num(y - 6.5)}l6.5 6.5l-6.5 6.5l-6.5 -6.5z"
    return wait + svg.path(f"act {item.sort}", shapes.get(item.sort, diamond))


def _told(item: Act) -> str:
    state = f", {item.line.code}" if item.sort == "error" else _STATES[item.sort]
    return text.one_line(f"{item.line.verb} {item.target}", 160) + state


def _said(said: Sequence[Said], frame: _Frame, y: float) -> Iterator[str]:
    for item in said:
        mark = svg.circle("said", frame.x(item.at), y, 4)
        yield svg.link(f"m{item.number}", mark, text.one_line(item.text, 200))


__all__ = ["NARROW", "WIDE", "clock", "draw", "spark"]
