"""Proving that a suite is honest: each scenario can be solved, and by nothing but solving it."""

from firedrill.runner.checking.campaign import PROCESSES, Outcome, Wanted, check, drawn
from firedrill.runner.checking.model import POINTS, Checked, Point, Row

__all__ = ["POINTS", "PROCESSES", "Checked", "Outcome", "Point", "Row", "Wanted", "check", "drawn"]
