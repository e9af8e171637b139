"""Logs of a world: lines that are made when they are read, and LogQL over them."""

from firedrill.world.telemetry.logs.entries import Entry, Memory, Source, Stream

__all__ = ["Entry", "Memory", "Source", "Stream"]
