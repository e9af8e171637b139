"""Episodes on living worlds, each in a process forked from one that has simulated the scenario."""

from firedrill.runner.living.furnishing import furnish
from firedrill.runner.living.protocol import EpisodeSpec
from firedrill.runner.living.stage import LivingEpisode, LivingStage, spec_of

__all__ = ["EpisodeSpec", "LivingEpisode", "LivingStage", "furnish", "spec_of"]
