"""Where an assessor sits: one working folder, the ways to what it assesses, and who writes for it."""

from __future__ import annotations

import posixpath
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import yaml

from firedrill.core.errors import InputError
from firedrill.tools.errors import Mistake

if TYPE_CHECKING:
    from firedrill.sandbox.base import Workspace
    from firedrill.tools.live.desk import Desk

LARGEST = 1_000_000
"""Bytes of a policy, playbook or script."""
EVIDENCE = 8_000_000
"""Bytes of collected data."""


class Writer(Protocol):
    """A model that writes what it is asked for."""

    async def ask(self, system: str, text: str, role: str) -> str:
        """What it answers; ``role`` tells in the record for what it was asked.

        Raises:
            Mistake: it does not take the question.
        """


@dataclass
class Bench:
    """What the tools of one assessment share.

    Args:
        workspace: where commands run.
        folder: the working folder, the only place where tools read and write files.
        kind: the class of the assessment.
        requirement: in words.
        desk: the way to a cluster, where there is one.
        writer: a model that writes artefacts, where there is one.
    """

    workspace: Workspace
    folder: str
    kind: str
    requirement: str = ""
    desk: Desk | None = None
    writer: Writer | None = None
    files: tuple[str, ...] = ()
    """What is to be handed in."""
    made: str = ""
    """What whoever made the artefacts said of them in the end."""
    report: str = ""
    """What was said at the end of the assessment."""
    sent_back: str = ""
    """Why the work goes back to who made it."""

    def path(self, name: str) -> str:
        """The path of a file of the working folder.

        Raises:
            Mistake: it lies elsewhere, or is no name.
        """
        path = posixpath.normpath(posixpath.join(self.folder, name.strip()))
        if "\0" in name or not path.startswith(f"{self.folder}/") or len(name) > 300:
            raise Mistake(f"{name[:80]!r} is no file below the working folder {self.folder}")
        return path

    async def read(self, name: str, limit: int = LARGEST) -> str:
        """The text of a file.

        Raises:
            Mistake: there is none, it is too large, or no text.
        """
        path = self.path(name)
        data = await self.workspace.read_file(path, limit + 1)
        if data is None:
            raise Mistake(f"there is no file {path} (or it is no regular file)")
        if len(data) > limit:
            raise Mistake(f"{path} has more than {limit} bytes")
        try:
            return data.decode("utf-8")
        except UnicodeDecodeError as error:
            raise Mistake(f"{path} is no UTF-8 text (byte {error.start})") from None

    async def write(self, name: str, text: str) -> None:
        """Write a file.

        Raises:
            Mistake: it cannot be written.
        """
        path = self.path(name)
        try:
            await self.workspace.write_file(path, text.encode("utf-8", "replace"))
        except InputError as error:
            raise Mistake(f"{path} cannot be written: {error.problem}") from None


def documents(text: str, name: str) -> Sequence[Any]:
    """The documents of a text of YAML or JSON, without empty ones.

    Raises:
        Mistake: it is none, with the place.
    """
    try:
        found = [item for item in yaml.safe_load_all(text) if item is not None]
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        told = " ".join(str(error).split())[:400]
        raise Mistake(f"{name} is no YAML: {told}") from None
    if not found:
        raise Mistake(f"{name} holds nothing")
    return found
