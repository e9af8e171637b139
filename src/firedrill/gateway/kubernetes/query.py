"""The query of a request, read into options with the complaints of a real server."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from types import MappingProxyType
from urllib.parse import parse_qsl

from firedrill.world.kube.api import ApiError, errors
from firedrill.world.kube.api.request import Options

QUERY_LIMIT = 64 * 1024
_TRUE = {"1", "t", "T", "true", "TRUE", "True"}
_FALSE = {"0", "f", "F", "false", "FALSE", "False"}
_VALIDATION = ("", "Ignore", "Strict", "Warn")
_PROPAGATION = ("", "Background", "Foreground", "Orphan")


@dataclass(frozen=True, slots=True)
class Query:
    """A parsed query.

    Attributes:
        options: what every room of the API understands.
        first: the first value of each parameter.
        every: all values of each parameter.
        watch: whether changes are asked for.
        bookmarks: whether the watcher takes bookmarks.
        initial: `sendInitialEvents`, where it is given.
        timeout: seconds after which a watch ends; 0 where nothing is said.
        include: `includeObject` of a Table: None, Metadata or Object.
    """

    options: Options
    first: Mapping[str, str]
    every: Mapping[str, tuple[str, ...]]
    watch: bool = False
    bookmarks: bool = False
    initial: bool | None = None
    timeout: int = 0
    include: str = "Metadata"


@lru_cache(maxsize=1024)
def parse(raw: bytes, write: str = "ListOptions") -> Query:
    """Read a query string.

    Args:
        raw: as in the URL, without the question mark.
        write: the options type whose rules hold: `CreateOptions`, `PatchOptions`, `ListOptions`, …

    Raises:
        ApiError: a value is malformed or not allowed.
    """
    if len(raw) > QUERY_LIMIT:
        raise ApiError(414, "BadRequest", "the request URI is too long")
    every: dict[str, tuple[str, ...]] = {}
    try:
        pairs = parse_qsl(raw.decode("latin-1"), keep_blank_values=True, max_num_fields=1000)
    except ValueError:
        raise errors.bad_request("the query has too many parameters") from None
    for key, value in pairs:
        every[key] = (*every.get(key, ()), value)
    first = {key: values[0] for key, values in every.items()}
    options = Options(
        label_selector=first.get("labelSelector", ""),
        field_selector=first.get("fieldSelector", ""),
        limit=max(_integer(first, "limit"), 0),
        continue_token=first.get("continue", ""),
        resource_version=first.get("resourceVersion", ""),
        resource_version_match=first.get("resourceVersionMatch", ""),
        field_manager=first.get("fieldManager", ""),
        field_validation=first.get("fieldValidation", ""),
        dry_run=_dry_run(every.get("dryRun", ()), write),
        force=_flag(first, "force"),
        pretty=_flag(first, "pretty"),
        grace_period_seconds=_integer(first, "gracePeriodSeconds")
        if first.get("gracePeriodSeconds")
        else None,
        propagation_policy=_chosen(first, "propagationPolicy", _PROPAGATION, write),
    )
    if options.field_validation not in _VALIDATION:
        raise _unsupported(write, "fieldValidation", options.field_validation, _VALIDATION)
    if len(options.field_manager) > 128:
        raise _refused(write, "fieldManager", "FieldValueTooLong", "Too long: may not be more than 128 bytes")
    return Query(
        options=options,
        first=MappingProxyType(first),
        every=MappingProxyType(every),
        watch=_flag(first, "watch"),
        bookmarks=_flag(first, "allowWatchBookmarks"),
        initial=_flag(first, "sendInitialEvents") if "sendInitialEvents" in first else None,
        timeout=_integer(first, "timeoutSeconds"),
        include=first.get("includeObject") or "Metadata",
    )


def check_list(query: Query) -> None:
    """Refuse combinations of resourceVersion, its match and a continue token that make no sense.

    Raises:
        ApiError: 422, in the words of the API server.
    """
    options = query.options
    match = options.resource_version_match
    if query.watch:
        if query.initial is None and match:
            raise _forbidden("resourceVersionMatch", "resourceVersionMatch is forbidden for watch")
        if query.initial is not None and match != "NotOlderThan":
            raise _forbidden(
                "resourceVersionMatch",
                "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan",
            )
        return
    if query.initial is not None:
        raise _forbidden("sendInitialEvents", "sendInitialEvents is forbidden for list")
    if not match:
        return
    if options.continue_token:
        raise _forbidden(
            "resourceVersionMatch", "resourceVersionMatch is forbidden when continue is provided"
        )
    if not options.resource_version:
        raise _forbidden(
            "resourceVersionMatch", "resourceVersionMatch is forbidden unless resourceVersion is provided"
        )
    if match not in {"Exact", "NotOlderThan"}:
        raise _unsupported("ListOptions", "resourceVersionMatch", match, ("Exact", "NotOlderThan", ""))
    if match == "Exact" and options.resource_version == "0":
        raise _forbidden(
            "resourceVersionMatch", 'resourceVersionMatch "exact" is forbidden for resourceVersion "0"'
        )


def for_patch(query: Query, *, apply: bool) -> Query:
    """The query of a patch: only an apply may be forced.

    Raises:
        ApiError: `force` is given with another patch.
    """
    if "force" in query.first and not apply:
        raise _refused(
            "PatchOptions",
            "force",
            "FieldValueForbidden",
            "Forbidden: may not be specified for non-apply patch",
        )
    return query


def with_start(query: Query, resource_version: str) -> Options:
    """The options with another resourceVersion to start from."""
    return replace(query.options, resource_version=resource_version)


def _flag(first: Mapping[str, str], name: str) -> bool:
    text = first.get(name)
    if text is None or text in _FALSE:
        return False
    if text in _TRUE or text == "":
        return True
    raise errors.bad_request(f'strconv.ParseBool: parsing "{text}": invalid syntax')


def _integer(first: Mapping[str, str], name: str) -> int:
    text = first.get(name, "")
    if not text:
        return 0
    digits = text[1:] if text[0] in "+-" else text
    if not (digits.isascii() and digits.isdecimal()):
        raise errors.bad_request(f'strconv.ParseInt: parsing "{text}": invalid syntax')
    if len(digits) > 19 or abs(int(text)) >= 1 << 63:
        raise errors.bad_request(f'strconv.ParseInt: parsing "{text}": value out of range')
    return int(text)


def _dry_run(values: tuple[str, ...], write: str) -> bool:
    for value in values:
        if value not in {"All", ""}:
            raise _unsupported(write, "dryRun", value, ("All",))
    return "All" in values


def _chosen(first: Mapping[str, str], name: str, allowed: tuple[str, ...], write: str) -> str:
    text = first.get(name, "")
    if text not in allowed:
        raise _unsupported(write, name, text, (*sorted(filter(None, allowed)), "nil"))
    return text


def _unsupported(write: str, field: str, value: str, allowed: tuple[str, ...]) -> ApiError:
    known = ", ".join(f'"{item}"' for item in allowed)
    return _refused(
        write, field, "FieldValueNotSupported", f'Unsupported value: "{value}": supported values: {known}'
    )


def _forbidden(field: str, detail: str) -> ApiError:
    return _refused("ListOptions", field, "FieldValueForbidden", f"Forbidden: {detail}")


def _refused(write: str, field: str, reason: str, message: str) -> ApiError:
    cause = {"reason": reason, "message": message, "field": field}
    return ApiError(
        422,
        "Invalid",
        f'{write}.meta.k8s.io "" is invalid: {field}: {message}',
        {"group": "meta.k8s.io", "kind": write, "causes": [cause]},
    )
