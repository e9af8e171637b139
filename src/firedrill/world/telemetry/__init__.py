"""What is measured in a world: series of samples, queries over them, and rules."""

from firedrill.world.telemetry.monitoring import Monitoring
from firedrill.world.telemetry.store import SeriesStore
from firedrill.world.telemetry.targets import Block, Target

__all__ = ["Block", "Monitoring", "SeriesStore", "Target"]
