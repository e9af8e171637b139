"""The toolbox as agents get it: function tools for a model, and the command ``incident`` in the sandbox."""

from firedrill.agents.toolbox.calls import EpisodeTools, OpenEvidence
from firedrill.agents.toolbox.offer import ON_WORLDS, TOOLBOXES, read_toolbox, task_section, toolbox_config
from firedrill.agents.toolbox.serving import ToolServer

__all__ = [
    "ON_WORLDS",
    "TOOLBOXES",
    "EpisodeTools",
    "OpenEvidence",
    "ToolServer",
    "read_toolbox",
    "task_section",
    "toolbox_config",
]
