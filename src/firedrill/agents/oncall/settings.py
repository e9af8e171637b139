"""What is asked in one look around, as data."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from typing import Any


@dataclass(frozen=True)
class Settings:
    """See ``data/look.yaml``. Names that end with ``_s`` are seconds."""

    listed: tuple[str, ...]
    passed_over: tuple[str, ...]
    past_s: float
    state: tuple[str, ...]
    state_step_s: float
    metrics: tuple[str, ...]
    step_s: float
    logs: str
    lines: int
    logs_before_s: float
    traces: int
    traces_before_s: float
    slices_before: int
    slices_after: int
    slice_s: float


@lru_cache(maxsize=1)
def load_settings() -> Settings:
    """``data/look.yaml``."""
    import yaml

    text = resources.files("firedrill.agents.oncall").joinpath("data", "look.yaml").read_text("utf-8")
    found: dict[str, Any] = yaml.safe_load(text)
    plain: dict[str, Any] = {k: tuple(item) if isinstance(item, list) else item for k, item in found.items()}
    return Settings(**plain)
