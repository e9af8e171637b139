"""Clients of a living world for agents of our own process: plain HTTP over the episode's sockets."""

from __future__ import annotations

from firedrill.agents.base import AgentError
from firedrill.tools.live import clients


class Refused(clients.Refused, AgentError):
    """A request was refused: an agent that does not expect it has failed.

    Attributes:
        code: of the HTTP answer; 0 where there was none.
        reason: as in `NotFound`, where the API says one.
    """


class Web(clients.Web):
    """One of the APIs of an episode; raises :class:`Refused` of this module.

    Args:
        door: of the episode, as in `episode.living`.
        api: `kubernetes`, `prometheus`, `alertmanager`, `loki` or `jaeger`.
    """

    refusal = Refused


__all__ = ["Refused", "Web"]
