"""How the gateway's warnings begin that tell what would become of a dry run if it were none."""

from __future__ import annotations

ASKED = "without the dry run, this would be put to"
"""Somebody would be asked."""
DENIED = "without the dry run, this would be denied"
"""Nobody would."""
