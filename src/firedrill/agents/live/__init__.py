"""The tools over a living world as models get them: as function calls, or in natural language."""

from firedrill.agents.live.mind import Mind
from firedrill.agents.live.toolset import STYLES, LiveTools, Style, live_config, live_tools

__all__ = ["STYLES", "LiveTools", "Mind", "Style", "live_config", "live_tools"]
