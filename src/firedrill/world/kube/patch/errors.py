"""What a patch that cannot be done is answered with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

REJECTED = "the server rejected our request due to an error in our request"
"""All that a real server says of a JSON patch that does not fit; the cause stays in its log."""

MAX_DEPTH = 128
"""Deeper documents are refused: no Kubernetes type nests a quarter as deep."""


class PatchError(Exception):
    """A refusal in the terms of an API `Status`.

    Args:
        code: HTTP status, 400 to 500.
        reason: `Status.reason`; empty where a real server gives none.
        message: `Status.message`.
        details: `Status.details`, or None.
        cause: why, where the message does not tell.
    """

    def __init__(
        self,
        code: int,
        reason: str,
        message: str,
        details: dict[str, Any] | None = None,
        *,
        cause: str = "",
    ) -> None:
        self.code = code
        self.reason = reason
        self.message = message
        self.details = details
        self.cause = cause or message
        super().__init__(f"{message} ({cause})" if cause else message)


def bad_request(message: str) -> PatchError:
    """400: the patch itself is malformed."""
    return PatchError(400, "BadRequest", message)


def unprocessable(cause: str) -> PatchError:
    """422: a well-formed patch that does not fit the object."""
    return PatchError(422, "Invalid", REJECTED, {}, cause=cause)


def server_error(message: str) -> PatchError:
    """500 without a reason: what a real server answers where its merge code fails."""
    return PatchError(500, "", message)


def conflict(message: str, causes: Sequence[dict[str, Any]]) -> PatchError:
    """409 of a server-side apply, one cause per field."""
    return PatchError(409, "Conflict", message, {"causes": list(causes)})


def check_depth(value: Any, limit: int = MAX_DEPTH) -> None:
    """Refuses a document that nests deeper than the limit.

    Raises:
        PatchError: 400.
    """
    level = [value] if isinstance(value, dict | list) else []
    for _ in range(limit):
        if not level:
            return
        level = [
            child
            for item in level
            for child in (item.values() if isinstance(item, dict) else item)
            if isinstance(child, dict | list)
        ]
    raise bad_request("exceeded max depth")
