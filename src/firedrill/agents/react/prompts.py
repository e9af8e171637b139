"""The texts that the loop says to a model: versioned files, digested into the configuration."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from importlib import resources
from string import Template
from typing import Any

from firedrill.agents.task import task_digest
from firedrill.core.digest import digest_of

VERSION = "v1"
TOOLBOX = "toolbox-v1"
"""What the task says beside, for a model that has the toolbox."""
LIVE = "live-v1"
"""What is said otherwise to a model that is on call."""
_LIVE_NAMES = ("system", "task", "summarise")
LIVE_TOOLBOX = "live-toolbox-v1"
ASSESS = "assess-v1"
"""What is said otherwise to a model that assesses."""
_ASSESS_NAMES = ("system", "task", "continue", "cut", "turns_left", "summarise")
ASSESS_TOOLBOX = "assess-toolbox-v1"
_BEFORE = "# What to hand in"
_BEFORE_WORK = "## How you work"
NAMES = ("system", "task", "continue", "cut", "turns_left", "summarise", "summary", "dropped")


@dataclass(frozen=True)
class Prompts:
    """All texts of one version. ``digest`` covers every one of them."""

    version: str
    texts: Mapping[str, str]
    tools: Mapping[str, Mapping[str, str]]
    digest: str

    def text(self, name: str, **values: object) -> str:
        """A text with its places filled in; values are not expanded further."""
        return Template(self.texts[name]).substitute({key: str(value) for key, value in values.items()})


@lru_cache(maxsize=4)
def load(version: str = VERSION) -> Prompts:
    """The texts of a version."""
    import yaml

    folder = resources.files("firedrill.agents.react").joinpath("prompts", version)
    texts = {name: folder.joinpath(f"{name}.md").read_text("utf-8").strip() for name in NAMES}
    tools: Any = yaml.safe_load(folder.joinpath("tools.yaml").read_text("utf-8"))
    return Prompts(version, texts, tools, digest_of({"texts": texts, "tools": tools}))


@lru_cache(maxsize=4)
def load_live(version: str = VERSION, *, toolbox: bool = False) -> Prompts:
    """The texts of a version for a model that is on call, with or without tools beside the shell."""
    return _over(load(version), LIVE, _LIVE_NAMES, LIVE_TOOLBOX if toolbox else "")


@lru_cache(maxsize=4)
def load_assessing(version: str = VERSION, *, toolbox: bool = False) -> Prompts:
    """The texts of a version for a model that assesses, with or without tools beside the shell."""
    return _over(load(version), ASSESS, _ASSESS_NAMES, ASSESS_TOOLBOX if toolbox else "")


def _over(plain: Prompts, version: str, names: tuple[str, ...], toolbox: str) -> Prompts:
    prompts = resources.files("firedrill.agents.react").joinpath("prompts")
    folder = prompts.joinpath(version)
    own = {name: folder.joinpath(f"{name}.md").read_text("utf-8").strip() for name in names}
    texts = {**plain.texts, **own}
    if toolbox:
        version = f"{version}+{toolbox}"
        about = prompts.joinpath(f"{toolbox}.md").read_text("utf-8").strip()
        texts["task"] = texts["task"].replace(_BEFORE_WORK, f"{about}\n\n{_BEFORE_WORK}", 1)
    digest = digest_of({"texts": texts, "tools": plain.tools, "task": task_digest()})
    return replace(plain, version=version, texts=texts, digest=digest)


@lru_cache(maxsize=4)
def load_with_toolbox(version: str = VERSION) -> Prompts:
    """The texts of a version, with a paragraph on the tools before what is to be handed in."""
    plain = load(version)
    folder = resources.files("firedrill.agents.react").joinpath("prompts")
    about = folder.joinpath(f"{TOOLBOX}.md").read_text("utf-8").strip()
    texts = {**plain.texts, "task": plain.texts["task"].replace(_BEFORE, f"{about}\n\n{_BEFORE}", 1)}
    digest = digest_of({"texts": texts, "tools": plain.tools})
    return replace(plain, version=f"{version}+{TOOLBOX}", texts=texts, digest=digest)
