"""A stage process: simulates one scenario once, and is forked for each of its episodes.

Started as `python -m firedrill.runner.living.hosting DESCRIPTOR` with one end of a socket pair. It has one
thread and no event loop, so that it may be forked at any moment; its memory is shared with the episodes.
"""

from __future__ import annotations

import asyncio
import gc
import os
import resource
import signal
import socket
import sys
import time
import traceback
from collections.abc import Mapping
from typing import Any

from firedrill.core.errors import FiredrillError, InfrastructureError
from firedrill.runner.living.protocol import Closed, EpisodeSpec, pack, receive, send, told
from firedrill.runner.living.scene import Scene

DESCRIPTORS = 1024
"""That an episode process may hold: an agent can open no more connections than that."""
_GARBAGE = 50_000
"""New objects after which garbage is looked for: an episode makes millions, of which little is in cycles."""
DEFECT = 70
"""Exit code of an episode process that broke."""


class StageProcess:
    """Answers what comes over the link, until it is closed."""

    def __init__(self, link: socket.socket) -> None:
        self._link = link
        self._scene: Scene | None = None

    def serve(self) -> None:
        """Answer until the other end is gone."""
        while True:
            try:
                asked, ends = receive(self._link)
                send(self._link, self._answer(asked, ends))
            except Closed:
                return

    def _answer(self, asked: Mapping[str, Any], ends: list[int]) -> dict[str, Any]:
        try:
            if asked["do"] == "open":
                return {"ok": self._open(asked)}
            return {"ok": self._episode(EpisodeSpec.from_json(asked["spec"]), ends)}
        except FiredrillError as error:
            return {"error": told(error)}
        except Exception as error:  # noqa: BLE001 - whatever it is, it is ours, and the run has to know it
            text = f"{type(error).__name__}: {error}\n{traceback.format_exc(limit=-6)}"
            return {"error": told(InfrastructureError(text))}
        finally:
            for end in ends:
                os.close(end)

    def _open(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        from firedrill.core.scenario import Scenario

        started = time.process_time()
        gc.disable()  # a simulation leaves little garbage, and looking for it takes a twentieth of its time
        scene = Scene(Scenario.model_validate(asked["scenario"]))
        described = scene.describe()
        scene.warm()
        gc.enable()
        gc.set_threshold(_GARBAGE, 20, 20)
        self._scene = scene
        return {**described, "cpu_seconds": time.process_time() - started}

    def _episode(self, spec: EpisodeSpec, ends: list[int]) -> dict[str, Any]:
        if self._scene is None or len(ends) != 1:
            raise InfrastructureError("an episode was asked for before its stage was open")
        pid = os.fork()
        if pid == 0:
            _become(self._scene, spec, self._link, ends[0])
        return {"pid": pid}


def _become(scene: Scene, spec: EpisodeSpec, link: socket.socket, end: int) -> None:
    """Be the process of an episode from now on; does not come back."""
    code = DEFECT
    channel = socket.socket(fileno=os.dup(end))
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(DESCRIPTORS, most), most))
        link.close()
        os.close(end)
        from firedrill.runner.living.episode import EpisodeProcess

        asyncio.run(EpisodeProcess(scene, spec, channel).run())
        code = 0
    except BaseException:  # noqa: BLE001 - whatever happened, a fork must never go on as its parent
        text = traceback.format_exc(limit=-8)
        try:
            channel.sendall(pack({"event": "defect", "text": text}))
        except OSError:
            sys.stderr.write(text)
    finally:
        os._exit(code)


def main(arguments: list[str]) -> int:
    """Serve the link whose descriptor is given."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the run decides when its stages end
    # nobody waits for episodes: their channels tell of their ends
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    StageProcess(socket.socket(fileno=int(arguments[1]))).serve()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
