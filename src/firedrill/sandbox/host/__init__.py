"""Hosts that playbooks and commands run on: their tree inside a sandbox, their services answered by stubs."""

from __future__ import annotations

from firedrill.sandbox.host.engine import HostLimits
from firedrill.sandbox.host.playing import INVENTORY, Played, inventory, play, run_command

__all__ = ["INVENTORY", "HostLimits", "Played", "inventory", "play", "run_command"]
