"""A stage process of compliance: makes a scenario's world once, and is forked for each of its episodes.

Started as `python -m firedrill.runner.compliance.hosting DESCRIPTOR`; see `firedrill.runner.living.hosting`.
"""

from __future__ import annotations

import signal
import socket
import sys
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

from firedrill.runner.living.hosting import StageProcess

if TYPE_CHECKING:
    from firedrill.runner.living.scene import Scene


class ComplianceProcess(StageProcess):
    """Answers what comes over the link, until it is closed."""

    def _open(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        from firedrill.core.scenario import Scenario
        from firedrill.runner.compliance.scene import ComplianceScene

        started = time.process_time()
        scene = ComplianceScene(Scenario.model_validate(asked["scenario"]))
        described = scene.describe()
        scene.warm()
        # it has all that an episode asks of a scene
        self._scene = cast("Scene", scene)
        return {**described, "cpu_seconds": time.process_time() - started}


def main(arguments: list[str]) -> int:
    """Serve the link whose descriptor is given."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    ComplianceProcess(socket.socket(fileno=int(arguments[1]))).serve()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
