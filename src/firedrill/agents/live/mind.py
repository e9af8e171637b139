"""Asking an agent's own model something beside its conversation."""

from __future__ import annotations

from dataclasses import dataclass, replace

from firedrill.agents.base import Episode
from firedrill.agents.models import (
    WIRES,
    ContextOverflow,
    Conversation,
    Endpoint,
    Refused,
    Session,
    Settings,
    WireSpec,
)


class Speechless(Exception):
    """The model does not take the question."""


@dataclass
class Mind:
    """One model, asked single questions. Each is counted by the episode's meter, and takes no turn."""

    episode: Episode
    session: Session
    settings: Settings
    questions: int = 0

    @property
    def endpoint(self) -> Endpoint:
        """Where it is asked."""
        return self.session.client.endpoint

    async def ask(self, system: str, text: str, role: str) -> str:
        """What it answers; ``role`` tells in the record for what it was asked.

        Raises:
            Speechless: the endpoint refuses the question, or it is too long.
            LimitReached: a cap of the meter was hit.
            InfrastructureError: the endpoint failed.
        """
        episode, endpoint = self.episode, self.endpoint
        spec = WireSpec(
            model=endpoint.name,
            system=system,
            settings=replace(self.settings, parallel=None),
            traits=endpoint.traits,
            max_tokens_name=endpoint.max_tokens_name,
        )
        wire = WIRES[endpoint.protocol](spec)
        conversation = Conversation(wire)
        conversation.user(text)
        self.questions += 1
        salt = f"{episode.seed}:{episode.meter.model_calls}"
        try:
            reply = await self.session.ask(
                wire, conversation.body(), meter=episode.meter, receipt=episode.receipt, salt=salt
            )
        except ContextOverflow as error:
            raise Speechless(f"the question is too long for the model ({error})") from None
        except Refused as error:
            raise Speechless(f"the endpoint refused the question ({error})") from None
        await episode.meter.settle()
        episode.receipt.append(
            "message",
            role=role,
            content=reply.text,
            tool_calls=[],
            stop=reply.stop,
            usage=reply.reading.tokens.model_dump(),
        )
        return reply.text.strip()
