"""JSON Patch (RFC 6902) with the habits of the library that the API server uses.

An index may be negative (counted from the end), `test` of a missing member against null holds, and
`copy` is bounded in what it may add up to.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson

from firedrill.world.kube.objects import Obj
from firedrill.world.kube.patch.errors import PatchError, bad_request, check_depth, unprocessable

MAX_OPERATIONS = 10_000
MAX_COPIED_BYTES = 3 * 1024 * 1024
_MISSING = object()


def json_patch(obj: Obj, operations: Any) -> Obj:
    """A copy of the object with the operations done one after the other.

    Raises:
        PatchError: 400 for what is no patch, 413 for too many operations, 422 for one that does not fit.
    """
    if not isinstance(operations, list):
        kind = "object" if isinstance(operations, dict) else type(operations).__name__
        raise bad_request(f"json: cannot unmarshal {kind} into Go value of type jsonpatch.Patch")
    if len(operations) > MAX_OPERATIONS:
        raise PatchError(
            413,
            "RequestEntityTooLarge",
            "Request entity is too large: The allowed maximum operations in a JSON patch is "
            f"{MAX_OPERATIONS}, got {len(operations)}",
        )
    check_depth(operations)
    document: Any = obj
    copied = 0
    for operation in operations:
        if not isinstance(operation, dict):
            raise bad_request("json: cannot unmarshal into Go value of type jsonpatch.Operation")
        document, size = _one(document, operation)
        copied += size
        if copied > MAX_COPIED_BYTES:
            raise unprocessable(
                f"Unable to complete the copy, the accumulated size increase of copy is {copied}, "
                f"exceeding the limit {MAX_COPIED_BYTES}"
            )
    if not isinstance(document, dict):
        raise unprocessable("the patched document is no object")
    check_depth(document)
    return document


def _one(document: Any, operation: dict[str, Any]) -> tuple[Any, int]:
    name = operation.get("op")
    path = _tokens(operation.get("path"), "path")
    if name in ("move", "copy"):
        source = _tokens(operation.get("from"), "from")
        found = _get(document, source)
        if found is _MISSING:
            raise unprocessable(f"error in {name} for path: '{operation['from']}': missing value")
        if name == "move":
            return _edit(_edit(document, source, _removed), path, _adder(found)), 0
        return _edit(document, path, _adder(found)), len(orjson.dumps(found))
    if name == "remove":
        return _edit(document, path, _removed), 0
    if "value" not in operation and name in ("add", "replace"):
        raise unprocessable(f"{name} operation without a value")
    value = operation.get("value")
    if name == "add":
        return _edit(document, path, _adder(value)), 0
    if name == "replace":
        return _edit(document, path, _replacer(value)), 0
    if name == "test":
        found = _get(document, path)
        if not (_same(found, value) or (found is _MISSING and value is None)):
            raise unprocessable(f"testing value {operation['path']} failed: test failed")
        return document, 0
    raise unprocessable(f"Unexpected kind: {name}")


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, bool) is not isinstance(b, bool):
        return False
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(_same(a[key], b[key]) for key in a)
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(_same, a, b))
    return bool(a == b)


def _tokens(pointer: Any, what: str) -> list[str]:
    if not isinstance(pointer, str):
        raise unprocessable(f"operation missing {what} field: missing value")
    if pointer == "":
        return []
    if not pointer.startswith("/"):
        raise unprocessable(f"{what} is no JSON pointer: {pointer}")
    return [token.replace("~1", "/").replace("~0", "~") for token in pointer[1:].split("/")]


def _index(token: str, length: int, *, end: int) -> int:
    """A place in a list; `end` is the highest one allowed."""
    digits = token.removeprefix("-")
    if not (digits.isascii() and digits.isdigit() and len(digits) < 10):
        raise unprocessable(f"value was not a proper array index: '{token}'")
    number = int(token)
    if number < 0:
        number += length + (end - length + 1)
    if not 0 <= number <= end:
        raise unprocessable(f"Unable to access invalid index: {token}: invalid index referenced")
    return number


def _get(document: Any, path: list[str]) -> Any:
    here = document
    for token in path:
        if isinstance(here, dict):
            here = here.get(token, _MISSING)
        elif isinstance(here, list):
            here = here[_index(token, len(here), end=len(here) - 1)]
        else:
            return _MISSING
    return here


_Change = Callable[[Any, str], Any]


def _edit(document: Any, path: list[str], change: _Change) -> Any:
    """A copy in which the container at the path's end was changed; only what lies along it is new."""
    if not path:
        made = change({"": document}, "")
        if "" not in made:
            raise unprocessable("the whole document cannot be removed")
        return made[""]
    parents: list[Any] = [document]
    for token in path[:-1]:
        here = parents[-1]
        below = _get(here, [token])
        if below is _MISSING or not isinstance(below, dict | list):
            raise unprocessable(f'doc is missing path: "/{"/".join(path)}": missing value')
        parents.append(below)
    if not isinstance(parents[-1], dict | list):
        raise unprocessable(f'doc is missing path: "/{"/".join(path)}": missing value')
    made = change(parents[-1], path[-1])
    for parent, token in zip(reversed(parents[:-1]), reversed(path[:-1]), strict=True):
        if isinstance(parent, dict):
            made = {**parent, token: made}
        else:
            place = _index(token, len(parent), end=len(parent) - 1)
            made = [*parent[:place], made, *parent[place + 1 :]]
    return made


def _removed(container: Any, token: str) -> Any:
    if isinstance(container, dict):
        if token not in container:
            raise unprocessable(f"Unable to remove nonexistent key: {token}: missing value")
        return {key: value for key, value in container.items() if key != token}
    place = _index(token, len(container), end=len(container) - 1)
    return [*container[:place], *container[place + 1 :]]


def _adder(value: Any) -> _Change:
    def add(container: Any, token: str) -> Any:
        if isinstance(container, dict):
            return {**container, token: value}
        place = len(container) if token == "-" else _index(token, len(container), end=len(container))  # noqa: S105
        return [*container[:place], value, *container[place:]]

    return add


def _replacer(value: Any) -> _Change:
    def replace(container: Any, token: str) -> Any:
        if isinstance(container, dict):
            if token not in container:
                raise unprocessable(
                    f"replace operation does not apply: doc is missing key: {token}: missing value"
                )
            return {**container, token: value}
        place = _index(token, len(container), end=len(container) - 1)
        return [*container[:place], value, *container[place + 1 :]]

    return replace
