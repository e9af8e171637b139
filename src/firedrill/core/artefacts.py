"""Files that an agent hands in, as one text: `{"files": {"policy.yaml": "…"}}`."""

from __future__ import annotations

import json
from collections.abc import Mapping

LARGEST = 1_000_000
"""Characters of one file."""
MOST = 20
NAMES = (
    "policy.yaml",
    "policy.yml",
    "policy.rego",
    "fetcher.sh",
    "script.sh",
    "fetch.sh",
    "playbook.yml",
    "playbook.yaml",
)
"""What artefacts are called; other files are left where they are."""


def write_artefacts(files: Mapping[str, str]) -> str:
    """The text of a submission."""
    return json.dumps({"files": dict(sorted(files.items()))}, ensure_ascii=False, indent=1)


def read_artefacts(text: str | None) -> dict[str, str]:
    """The files of a submission; none where it has another form.

    What is too large, or of no known name, is left out.
    """
    try:
        document = json.loads(text or "")
    except (ValueError, RecursionError):
        return {}
    found = document.get("files") if isinstance(document, dict) else None
    if not isinstance(found, dict):
        return {}
    return {
        name: content
        for name, content in list(found.items())[:MOST]
        if name in NAMES and isinstance(content, str) and len(content) <= LARGEST
    }


__all__ = ["LARGEST", "NAMES", "read_artefacts", "write_artefacts"]
