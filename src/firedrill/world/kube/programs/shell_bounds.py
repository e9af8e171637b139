"""What one run of a script may use up, so that none holds up a world or fills its memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

_LONGEST = 1_000_000
_MOST_VARIABLES = 2_000


class ExhaustedError(Exception):
    """The script wants more memory than there is."""


@dataclass(slots=True)
class Purse:
    """What is left to a run and to all that it starts.

    Attributes:
        steps: commands and turns of loops.
        letters: of all the words that it puts together.
    """

    steps: int = 30_000
    letters: int = 50_000_000

    def step(self) -> bool:
        """Take one step; whether there was one left."""
        self.steps -= 1
        return self.steps >= 0

    def join(self, before: str, text: str) -> str:
        """Both as one.

        Raises:
            ExhaustedError: it is too long, or too much has been put together.
        """
        size = len(before) + len(text)
        self.letters -= size
        if size > _LONGEST or self.letters < 0:
            raise ExhaustedError
        return before + text


def held(env: Mapping[str, str]) -> Mapping[str, str]:
    """The variables as given.

    Raises:
        ExhaustedError: there are too many of them.
    """
    if len(env) > _MOST_VARIABLES:
        raise ExhaustedError
    return env
