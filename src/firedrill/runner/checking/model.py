"""What a check says: of each scenario points that hold or do not, and the episodes behind them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

State = Literal["holds", "warns", "fails"]
POINTS: Mapping[str, str] = {
    "healthy": "users are served well before the fault, and nothing fires",
    "alert": "an alert fires in time",
    "lasts": "it does not pass by itself",
    "truth": "the truth, told again, is that of the scenario's file",
    "certificate": "each listed cure cures, no part of one does, and nothing else alone",
    "visible": "something differs at each cause from a world where nothing broke",
    "null": "doing nothing does not pass",
    "oracle": "the reference repair passes, or handing over is right",
    "shotgun": "naming everything does not pass",
    "exploits": "no exploit passes",
    "traps": "each trap of an assessment catches an artefact that falls for it",
    "lint": "the linter finds no error",
}
"""All points, with what has to hold, in the order of the table."""


@dataclass(frozen=True, slots=True)
class Point:
    """One thing that has to hold.

    Attributes:
        name: one of `POINTS`.
        state: whether it does.
        text: why not, or what is odd.
    """

    name: str
    state: State = "holds"
    text: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """One episode of a check.

    Attributes:
        agent: its name.
        authority: the policy that decided on its requests.
        outcome: of the episode.
        resolved: whether it passed.
        harm: class of it.
        reason: of the headline.
        repair, diagnosis, intervention, net, worse: scores and SLO-minutes.
        requests, refused: how many it made, and how many were refused by the policy or by roles.
        minutes: of virtual time that it took.
        changed: objects that it left changed, without what controllers make of others.
        active: faults that still act when it ends.
        by_chance: it mended the incident and left nothing changed but causes, as the reference repair does.
    """

    agent: str
    authority: str
    outcome: str
    resolved: bool
    harm: str
    reason: str
    repair: float
    diagnosis: float
    intervention: float
    net: float
    worse: float
    requests: int
    refused: int
    minutes: float
    changed: tuple[str, ...] = ()
    active: tuple[str, ...] = ()
    by_chance: bool = False


@dataclass(frozen=True, slots=True)
class Checked:
    """What was found out about a scenario.

    Attributes:
        scenario: its id.
        points: that were looked at.
        episodes: that were played.
        key: digest of all that the result depends on.
        about: the figures behind it.
    """

    scenario: str
    points: tuple[Point, ...]
    episodes: tuple[Row, ...] = ()
    key: str = ""
    about: Mapping[str, Any] = field(default_factory=dict)

    @property
    def passed(self) -> bool:
        """Whether no point fails."""
        return not any(point.state == "fails" for point in self.points)

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        return {"scenario": self.scenario, "passed": self.passed, **asdict(self)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Checked:
        """The inverse of `to_json`."""
        return cls(
            scenario=data["scenario"],
            points=tuple(Point(**item) for item in data["points"]),
            episodes=tuple(_row(item) for item in data["episodes"]),
            key=data["key"],
            about=data["about"],
        )


def _row(data: Mapping[str, Any]) -> Row:
    return Row(**{**data, **{name: tuple(data[name]) for name in ("changed", "active")}})


__all__ = ["POINTS", "Checked", "Point", "Row", "State"]
