"""PromQL: expressions as trees, and their values over a store of series."""

from firedrill.world.telemetry.promql.engine import (
    Answer,
    Ranges,
    Scalar,
    Series,
    Text,
    Vector,
    instant,
    over_range,
    parse,
)
from firedrill.world.telemetry.promql.errors import BadQuery, ParseError, PromQLError, TimedOut, TooMuch
from firedrill.world.telemetry.promql.hints import Hints
from firedrill.world.telemetry.promql.options import DEFAULT, Options, dialect

__all__ = [
    "DEFAULT",
    "Answer",
    "BadQuery",
    "Hints",
    "Options",
    "ParseError",
    "PromQLError",
    "Ranges",
    "Scalar",
    "Series",
    "Text",
    "TimedOut",
    "TooMuch",
    "Vector",
    "dialect",
    "instant",
    "over_range",
    "parse",
]
