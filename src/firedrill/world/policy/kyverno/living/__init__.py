"""Kyverno installed in a world: its definitions, controllers and webhooks, reports about what is there.

`install(world)` is all there is to call. In a world without it nothing here does anything.
"""

from firedrill.world.policy.kyverno.living.installing import install, installed

__all__ = ["install", "installed"]
