"""What an assessor has to have left in its folder before it can hand in."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from firedrill.agents.base import Assessment
    from firedrill.sandbox.base import Workspace

_ALIKE = (
    ("policy.yaml", "policy.yml"),
    ("fetcher.sh", "script.sh", "fetch.sh"),
    ("playbook.yml", "playbook.yaml"),
)
"""Names by which the same artefact may go."""
TAR = "agent_output.data"


async def lacking(workspace: Workspace, assessment: Assessment) -> str:
    """Which file is missing, in words; empty where everything is there."""
    if await workspace.read_file(f"{assessment.folder}/{TAR}", limit=1) is not None:
        return ""
    for wanted in assessment.files:
        names = next((group for group in _ALIKE if wanted in group), (wanted,))
        found = [await workspace.read_file(f"{assessment.folder}/{name}", limit=1) for name in names]
        if not any(found):
            what = "is empty" if any(item is not None for item in found) else "does not exist"
            return f"{assessment.folder}/{wanted} {what}"
    return ""


__all__ = ["TAR", "lacking"]
