"""How an engine answers: what differs between versions of Prometheus, and bounds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Options:
    """How an engine answers.

    Attributes:
        lookback_ms: how old the sample of an instant selector may be.
        left_open: whether windows leave out their very start (Prometheus 3) or include it (2).
        clamp_zero_first: whether extrapolation to zero looks at the start of the counter before (until
            2.52) or after the distance to the window's edge is bounded.
        subquery_step_ms: of subqueries that name none (the global evaluation interval).
        hints: whether answers come with hints (from 2.46 on), and whether kinds of them are told apart (3).
        most_cells: series times steps that one query may work on, over all of its parts.
    """

    lookback_ms: int = 300_000
    left_open: bool = False
    clamp_zero_first: bool = False
    subquery_step_ms: int = 60_000
    hints: Literal["none", "mixed", "apart"] = "mixed"
    most_cells: int = 50_000_000


DEFAULT = Options()
"""As Prometheus 2.53 answers, the long-term release of the clusters that are simulated."""


def dialect(version: str) -> Options:
    """The options of a version such as `2.42.0`.

    Raises:
        ValueError: that is no version.
    """
    parts = version.split(".")
    if len(parts) < 2 or not (parts[0].isdigit() and parts[1].isdigit()):
        raise ValueError(f"{version!r} is no version of Prometheus")
    number = (int(parts[0]), int(parts[1]))
    hints: Literal["none", "mixed", "apart"] = "apart" if number >= (3, 0) else "mixed"
    return Options(
        left_open=number >= (3, 0),
        clamp_zero_first=number < (2, 52),
        hints=hints if number >= (2, 46) else "none",
    )
