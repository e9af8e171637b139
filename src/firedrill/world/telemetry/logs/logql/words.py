"""The words of LogQL by kind."""

from __future__ import annotations

from typing import Any, Final

from firedrill.world.sim.tables import table

_WORDS: dict[str, Any] = table("firedrill.world.telemetry.logs.logql", "words.yaml")
RANGE: Final = frozenset[str](_WORDS["range"])
UNWRAPPED: Final = frozenset[str](_WORDS["unwrapped"])
BARE: Final = frozenset[str](_WORDS["bare"])
GROUPED: Final = frozenset[str](_WORDS["grouped"])
VECTOR: Final = frozenset[str](_WORDS["vector"])
CONVERSIONS: Final = frozenset[str](_WORDS["conversions"])
FUNCTIONS: Final = RANGE | VECTOR | CONVERSIONS | frozenset[str](_WORDS["functions"])
KEYWORDS: Final = frozenset[str](_WORDS["keywords"])
FLAGS: Final = frozenset[str](_WORDS["flags"])
LEVELS: Final[dict[str, int]] = _WORDS["levels"]
SETS: Final = frozenset(("or", "and", "unless"))
COMPARISONS: Final = frozenset(("==", "!=", "<", "<=", ">", ">="))
