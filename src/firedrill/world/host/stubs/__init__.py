"""What a host's commands would answer: pure functions of its records."""

from __future__ import annotations

from firedrill.world.host.stubs.answering import Answer, answer, commands

__all__ = ["Answer", "answer", "commands"]
