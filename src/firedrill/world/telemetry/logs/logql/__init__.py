"""LogQL: parse a query, run it over a source of lines."""

from firedrill.world.telemetry.logs.logql.engine import Engine, Found, Limits, Stats, default_step
from firedrill.world.telemetry.logs.logql.errors import LimitError, LogQLError, ParseError, PipelineError
from firedrill.world.telemetry.logs.logql.matrix import Matrix, Scalar
from firedrill.world.telemetry.logs.logql.parser import parse, parse_matchers

__all__ = [
    "Engine",
    "Found",
    "LimitError",
    "Limits",
    "LogQLError",
    "Matrix",
    "ParseError",
    "PipelineError",
    "Scalar",
    "Stats",
    "default_step",
    "parse",
    "parse_matchers",
]
