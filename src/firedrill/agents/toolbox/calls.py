"""One episode's toolbox on the host: opened when first asked, answering in threads, closed at the end."""

from __future__ import annotations

import asyncio
import copy
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack
from typing import TYPE_CHECKING, Any

from firedrill.core.errors import FiredrillError, InfrastructureError, InputError

if TYPE_CHECKING:
    from firedrill.tools import Evidence, Toolbox, ToolResult

OpenEvidence = Callable[[], AbstractContextManager["Evidence"]]

AT_ONCE = 4
"""Calls of one episode that are answered at the same time; further ones wait."""
WIDE_TEXT = 400_000
"""Characters of an answer to a program, which can read more at once than a model."""
_CLOSING_SECONDS = 5.0


class EpisodeTools:
    """The tools of one episode. Use from one event loop; the work itself is done in threads.

    It knows nothing but the evidence that :meth:`attach` gives it, so nothing else can be asked of it.
    """

    def __init__(self) -> None:
        self.calls = 0
        self.fault: InfrastructureError | None = None
        """Why a call could not be answered, when that was the machine's doing."""
        self.ending: None = None
        """None of them hands in."""
        self.defects: list[str] = []
        """Errors of the tools themselves, by name of the tool; the caller was told that it failed."""
        self._open: OpenEvidence | None = None
        self._boxes: tuple[Toolbox, Toolbox] | None = None
        self._stack = ExitStack()
        self._lock = threading.Lock()
        self._pool = ThreadPoolExecutor(AT_ONCE, "toolbox")
        self._closed = False

    @property
    def names(self) -> tuple[str, ...]:
        """Every tool."""
        from firedrill.tools import TOOLS

        return tuple(TOOLS)

    def described(self) -> list[dict[str, Any]]:
        """Every tool: name, description, inputSchema."""
        from firedrill.tools import schemas

        return schemas("mcp")

    def attach(self, open_evidence: OpenEvidence | None) -> None:
        """Say what to open. Nothing is opened before the first call.

        Raises:
            InputError: the episode has no evidence that tools could read.
        """
        if open_evidence is None:
            raise InputError("there is no evidence for tools here", field="toolbox", mend="use toolbox=shell")
        self._open = open_evidence

    async def __aenter__(self) -> EpisodeTools:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def notes(self) -> dict[str, Any]:
        """What an episode's record says of them."""
        return {"calls": self.calls, **({"defects": self.defects[:20]} if self.defects else {})}

    async def call(self, name: str, arguments: Mapping[str, Any] | None, *, wide: bool = False) -> ToolResult:
        """Answer one call; ``wide`` allows :data:`WIDE_TEXT` characters.

        Raises:
            InfrastructureError: the machine failed, or the episode is over.
        """
        if self._closed:
            raise InfrastructureError("the episode is over")
        self.calls += 1
        return await asyncio.get_running_loop().run_in_executor(
            self._pool, self._answer, name, arguments, wide
        )

    def _answer(self, name: str, arguments: Mapping[str, Any] | None, wide: bool) -> ToolResult:
        from firedrill.tools.toolbox import failure

        try:
            box = self._opened()[int(wide)]
            return box.call(name, arguments)
        except (FiredrillError, OSError, MemoryError) as error:
            self.fault = InfrastructureError(f"the toolbox failed: {error}")
            raise self.fault from error
        except Exception as error:  # noqa: BLE001 - hostile evidence and arguments meet here: one call fails, not all
            self.defects.append(f"{name[:60]}: {type(error).__name__}: {error}"[:500])
            return failure("the tool failed on this evidence; try other arguments or another tool")

    def _opened(self) -> tuple[Toolbox, Toolbox]:
        from firedrill.tools import Toolbox

        with self._lock:
            if self._closed or self._open is None:
                raise InfrastructureError("the episode is over")
            if self._boxes is None:
                box = Toolbox(self._stack.enter_context(self._open()))
                wide = copy.copy(box)  # the same case: what one has worked out, the other knows
                wide.text_limit = WIDE_TEXT
                self._boxes = box, wide
            return self._boxes

    async def close(self) -> None:
        """Answer no more and close the evidence. Safe to call twice.

        A query that is under way cannot be stopped: after a few seconds it is left to end by its own
        bound, and the evidence is closed then.
        """
        if self._closed:
            return
        self._closed = True
        closing = threading.Thread(target=self._shut, name="toolbox-closing", daemon=True)
        closing.start()
        await asyncio.to_thread(closing.join, _CLOSING_SECONDS)

    def _shut(self) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)
        with self._lock:
            self._boxes = None
            self._stack.close()
