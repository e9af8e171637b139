"""What an API server answers when it cannot do what was asked: `Status` objects in its own words.

Source: apimachinery's `api/errors` package; code, reason and message are wire facts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from firedrill.world.kube.objects import Obj


class ApiError(Exception):
    """A refused request.

    Attributes:
        code: the HTTP status.
        reason: the machine-readable reason (`NotFound`, `Conflict`, …).
        message: what a person reads.
        details: `{name, group, kind, uid, causes, retryAfterSeconds}`, or None.
    """

    def __init__(
        self, code: int, reason: str, message: str, details: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.message = message
        self.details = dict(details) if details else None

    def status(self) -> Obj:
        """The `Status` object."""
        out: Obj = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
            "reason": self.reason,
        }
        if self.details is not None:
            out["details"] = self.details
        out["code"] = self.code
        return out


def split_resource(resource: str) -> tuple[str, str]:
    """`deployments.apps` as (plural, group); the group of `pods` is empty."""
    plural, _, group = resource.partition(".")
    return plural, group


def _details(resource: str, name: str, **more: Any) -> Obj:
    plural, group = split_resource(resource)
    out: Obj = {}
    if name:
        out["name"] = name
    if group:
        out["group"] = group
    if plural:
        out["kind"] = plural
    return {**out, **more}


def not_found(resource: str, name: str) -> ApiError:
    """404 for an object that is not there. `resource` as in `deployments.apps`."""
    return ApiError(404, "NotFound", f'{resource} "{name}" not found', _details(resource, name))


def no_such_path() -> ApiError:
    """404 for a path that the server does not serve."""
    return ApiError(404, "NotFound", "the server could not find the requested resource", {})


def already_exists(resource: str, name: str) -> ApiError:
    """409 for a name that is taken."""
    return ApiError(409, "AlreadyExists", f'{resource} "{name}" already exists', _details(resource, name))


def conflict(resource: str, name: str, detail: str) -> ApiError:
    """409 for a write against an old version or a failed precondition."""
    message = f'Operation cannot be fulfilled on {resource} "{name}": {detail}'
    return ApiError(409, "Conflict", message, _details(resource, name))


def modified(resource: str, name: str) -> ApiError:
    """409 for a write whose resourceVersion is no longer the newest."""
    return conflict(
        resource,
        name,
        "the object has been modified; please apply your changes to the latest version and try again",
    )


def forbidden(resource: str, name: str, detail: str) -> ApiError:
    """403, from authorisation or admission; `detail` is what follows `is forbidden:`."""
    head = f'{resource} "{name}" is forbidden' if name else f"{resource} is forbidden"
    return ApiError(403, "Forbidden", f"{head}: {detail}", _details(resource, name))


def unauthorized() -> ApiError:
    """401 for a request without an identity."""
    return ApiError(401, "Unauthorized", "Unauthorized")


def bad_request(message: str) -> ApiError:
    """400 for what cannot be understood."""
    return ApiError(400, "BadRequest", message)


def invalid(group: str, kind: str, name: str, errors: Sequence[Any]) -> ApiError:
    """422 for an object that breaks rules.

    Args:
        group: the API group of the kind, empty for the core.
        kind: as in `Deployment`.
        name: of the object.
        errors: field errors: things with `field`, `reason` (`FieldValueInvalid`, …) and `detail`
            (the text without the field), or with their whole text as `str()`.
    """
    texts = [str(item) for item in errors]
    body = texts[0] if len(texts) == 1 else "[" + ", ".join(texts) + "]"
    causes = [
        {"reason": item.reason, "message": item.message, "field": item.field}
        for item in errors
        if hasattr(item, "field")
    ]
    full = f"{kind}.{group}" if group else kind
    details: Obj = {"name": name, "group": group, "kind": kind, "causes": causes}
    if not group:
        del details["group"]
    return ApiError(422, "Invalid", f'{full} "{name}" is invalid: {body}', details)


def method_not_allowed() -> ApiError:
    """405 for a verb that the resource does not have."""
    return ApiError(
        405, "MethodNotAllowed", "the server does not allow this method on the requested resource", {}
    )


def unsupported_media_type(offered: Sequence[str], got: str) -> ApiError:
    """415 for a body in a format that the server does not read."""
    message = (
        "the body of the request was in an unknown format - "
        f"accepted media types include: {', '.join(offered)}"
    )
    return ApiError(415, "UnsupportedMediaType", message, {"causes": [{"message": got}]} if got else {})


def expired(message: str) -> ApiError:
    """410 for a resourceVersion or continue token that is too old."""
    return ApiError(410, "Expired", message)


def version_too_large(asked: int, newest: int) -> ApiError:
    """504 for a resourceVersion that has not been reached yet."""
    details = {
        "causes": [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}],
        "retryAfterSeconds": 1,
    }
    return ApiError(504, "Timeout", f"Too large resource version: {asked}, current: {newest}", details)


def internal(message: str) -> ApiError:
    """500, as a failing webhook gives it."""
    return ApiError(
        500, "InternalError", f"Internal error occurred: {message}", {"causes": [{"message": message}]}
    )


def too_many_requests(message: str, retry_seconds: int = 0) -> ApiError:
    """429, as an eviction that a disruption budget holds back gets it."""
    details: Obj = {"retryAfterSeconds": retry_seconds} if retry_seconds else {}
    return ApiError(429, "TooManyRequests", message, details)
