"""Producers: what exporters of a real cluster tell, read from the state of a world.

`watch(world)` begins it: from then on objects, containers and nodes have series, and rules are evaluated.
"""

from firedrill.world.telemetry.producers.requests import watch_application
from firedrill.world.telemetry.producers.shipped import shipped_names, shipped_rules
from firedrill.world.telemetry.producers.sparing import keep_only
from firedrill.world.telemetry.producers.state import Metering
from firedrill.world.telemetry.producers.watching import call_before_scrapes, watch

__all__ = [
    "Metering",
    "call_before_scrapes",
    "keep_only",
    "shipped_names",
    "shipped_rules",
    "watch",
    "watch_application",
]
