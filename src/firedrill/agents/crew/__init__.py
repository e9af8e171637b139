"""The agent ``crew-sre``: one engineer finds out, then another mends; the same model plays both."""

from firedrill.agents.crew.agent import OPTIONS, CrewAgent, create

__all__ = ["OPTIONS", "CrewAgent", "create"]
