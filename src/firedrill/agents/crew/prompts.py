"""What the two engineers are told: versioned files, digested into the configuration."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from importlib import resources
from typing import Any

from firedrill.agents.base import OnCall
from firedrill.agents.react.prompts import Prompts, load_live
from firedrill.agents.task import alerts
from firedrill.core.digest import digest_of

VERSION = "crew-v1"
_SHARED = ("situation", "continue", "cut", "turns_left", "nothing-found")
_PLACE = "v1"


@lru_cache(maxsize=4)
def load(role: str) -> Prompts:
    """The texts of one role; those on notes and summaries are those of any model on call."""
    plain = load_live()
    own = {name: _read(name) for name in _SHARED}
    own |= {"system": _read(f"{role}-system"), "task": _read(f"{role}-task")}
    texts = {**plain.texts, **own}
    return replace(plain, version=f"{VERSION}/{role}", texts=texts, tools={}, digest=digest_of(texts))


def _read(name: str) -> str:
    place = resources.files("firedrill.agents.crew").joinpath("prompts", _PLACE, f"{name}.md")
    return place.read_text("utf-8").strip()


def situation(prompts: Prompts, living: OnCall, now: str) -> str:
    """What both are told of the incident."""
    return prompts.text(
        "situation",
        alerts=alerts(living),
        namespace=living.namespace,
        now=now,
        read=f"{living.read_s:g}",
        write=f"{living.write_s:g}",
        token=f"{living.token_s:g}",
        minutes=f"{living.minutes:g}",
    )


def found(prompts: Prompts, diagnosis: Mapping[str, Any] | None) -> str:
    """What the second is told of the first one's work."""
    if diagnosis is None:
        return prompts.texts["nothing-found"]
    return f"```json\n{json.dumps(diagnosis, indent=2, ensure_ascii=False)}\n```"
