"""The simulation kernel: virtual clock, event queue, named handlers, seeded draws."""

from firedrill.world.sim.clock import EPOCH_MS, epoch_ms, rfc3339, rfc3339_micro
from firedrill.world.sim.handlers import Handler, find_handler, handler
from firedrill.world.sim.queue import EventQueue
from firedrill.world.sim.rng import Rng

__all__ = [
    "EPOCH_MS",
    "EventQueue",
    "Handler",
    "Rng",
    "epoch_ms",
    "find_handler",
    "handler",
    "rfc3339",
    "rfc3339_micro",
]
