"""The words of LogQL by kind."""

from __future__ import annotations

from importlib.resources import files
from typing import Any, Final

import yaml


def _read() -> dict[str, Any]:
    text = files("firedrill.world.telemetry.logs.logql").joinpath("data/words.yaml").read_text("utf-8")
    out: dict[str, Any] = yaml.safe_load(text)
    return out


_WORDS = _read()
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
