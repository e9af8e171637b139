"""What is asked of the process of an episode at its end."""

from __future__ import annotations

import json


def asking(text: str, seed: int) -> str:
    """What was handed in, and the seed of the variants that it is judged on, as one text."""
    return json.dumps({"text": text, "seed": seed})


def asked(text: str) -> tuple[str, int]:
    """The inverse of :func:`asking`."""
    document = json.loads(text)
    return str(document["text"]), int(document["seed"])
