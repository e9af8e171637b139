"""Pieces of SVG whose texts are escaped. Looks come from the page's style, by class."""

from __future__ import annotations

from html import escape
from typing import Literal

from firedrill.report import text

Anchor = Literal["start", "middle", "end"]


def safe(words: object) -> str:
    """Foreign text as SVG can hold it: escaped, with what would hide something made visible."""
    return escape(text.visible(words), quote=True)


def num(value: float) -> str:
    """A length, with at most two decimals."""
    return f"{value:.2f}".rstrip("0").rstrip(".") if value % 1 else f"{value:.0f}"


def rect(cls: str, x: float, y: float, wide: float, high: float, *, title: str = "", round_: int = 0) -> str:
    """A rectangle, which tells `title` to whoever points at it."""
    more = f' rx="{round_}"' if round_ else ""
    box = f'x="{num(x)}" y="{num(y)}" width="{num(max(wide, 0))}" height="{num(max(high, 0))}"'
    return _with_title(f'<rect class="{cls}" {box}{more}', "rect", title)


def path(cls: str, shape: str) -> str:
    """A path."""
    return f'<path class="{cls}" d="{shape}"/>'


def circle(cls: str, x: float, y: float, radius: float) -> str:
    """A circle."""
    return f'<circle class="{cls}" cx="{num(x)}" cy="{num(y)}" r="{num(radius)}"/>'


def upright(cls: str, x: float, top: float, bottom: float) -> str:
    """A line from top to bottom."""
    return f'<line class="{cls}" x1="{num(x)}" x2="{num(x)}" y1="{num(top)}" y2="{num(bottom)}"/>'


def level(cls: str, left: float, right: float, y: float) -> str:
    """A line from left to right."""
    return f'<line class="{cls}" x1="{num(left)}" x2="{num(right)}" y1="{num(y)}" y2="{num(y)}"/>'


def curve(cls: str, points: list[tuple[float, float]]) -> str:
    """A line through points; nothing without any."""
    places = " ".join(f"{num(x)},{num(y)}" for x, y in points)
    return f'<polyline class="{cls}" points="{places}"/>' if points else ""


def label(cls: str, x: float, y: float, words: str, anchor: Anchor = "start") -> str:
    """A line of text."""
    where = "" if anchor == "start" else f' text-anchor="{anchor}"'
    return f'<text class="{cls}" x="{num(x)}" y="{num(y)}"{where}>{safe(words)}</text>'


def link(target: str, inside: str, title: str) -> str:
    """Something that leads to a place on the same page, which is named by us."""
    return f'<a href="#{target}">{inside}<title>{safe(title)}</title></a>'


def _with_title(start: str, tag: str, title: str) -> str:
    return f"{start}><title>{safe(title)}</title></{tag}>" if title else f"{start}/>"
