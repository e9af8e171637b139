"""A run's end of compliance scenarios that are about a cluster."""

from __future__ import annotations

import socket
import subprocess
import sys
from typing import Self

from firedrill.runner.living.stage import LivingStage, process_environment
from firedrill.suites.model import SuiteScenario


class ComplianceStage(LivingStage):
    """One compliance scenario whose world is ready to be assessed."""

    @classmethod
    def spawn(cls, source: SuiteScenario) -> Self:
        """A stage that has its process, and nothing else yet."""
        ours, theirs = socket.socketpair()
        with theirs:
            process = subprocess.Popen(
                [sys.executable, "-m", "firedrill.runner.compliance.hosting", str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                env=process_environment(),
                start_new_session=True,
            )
        return cls(source, process, ours)


__all__ = ["ComplianceStage"]
