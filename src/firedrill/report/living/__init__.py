"""How an episode on a living world went, told for people: its story, and a drawing of it."""

from firedrill.report.living.drawing import draw, spark
from firedrill.report.living.overview import LivingRow, living_rows
from firedrill.report.living.story import Story, story_of
from firedrill.report.living.verdict import Verdict, verdict_of

__all__ = ["LivingRow", "Story", "Verdict", "draw", "living_rows", "spark", "story_of", "verdict_of"]
