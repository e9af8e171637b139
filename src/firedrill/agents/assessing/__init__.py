"""The tools of an assessment as models get them: as function calls."""

from firedrill.agents.assessing.toolset import AssessingTools, assessing_config, assessing_tools, open_bench

__all__ = ["AssessingTools", "assessing_config", "assessing_tools", "open_bench"]
