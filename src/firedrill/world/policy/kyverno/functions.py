"""The functions of JMESPath and those that Kyverno adds: texts, lists, objects, encodings."""

from __future__ import annotations

import base64
import hashlib
import json
import posixpath
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from jmespath import exceptions
from jmespath import functions as standard

from firedrill.world.policy.kyverno import functions_math, functions_time, wildcard
from firedrill.world.policy.kyverno.budget import Budget
from firedrill.world.policy.kyverno.images import parse_image
from firedrill.world.policy.kyverno.scalars import TEXT_LIMIT, as_json, float_text, whole

_TYPES: tuple[tuple[type, str], ...] = (
    (bool, "boolean"),
    (str, "string"),
    (int, "number"),
    (float, "number"),
    (list, "array"),
    (dict, "object"),
    (type(None), "null"),
)


def type_of(value: Any) -> str:
    """The type's name in JMESPath."""
    return next((name for type_, name in _TYPES if isinstance(value, type_)), "expref")


@lru_cache(maxsize=512)
def _pattern(text: str) -> Any:
    import re2

    options = re2.Options()
    options.max_mem = 8 << 20
    options.log_errors = False
    try:
        return re2.compile(text, options=options)
    except re2.error as problem:
        shown = problem.args[0] if problem.args else problem
        raise ValueError(
            f"error parsing regexp: {shown.decode() if isinstance(shown, bytes) else shown}: `{text}`"
        ) from None


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return float_text(value) if isinstance(value, int | float) else str(value)


def _bounded(text: str) -> str:
    if len(text) > TEXT_LIMIT:
        raise ValueError("the text is too long")
    return text


def _replaced(text: str, old: str, new: str, count: int) -> str:
    found = text.count(old) if old else len(text) + 1
    times = found if count < 0 else min(found, count)
    if len(text) + times * len(new) > TEXT_LIMIT:
        raise ValueError("the text is too long")
    return text.replace(old, new, count)


def _regex_replace(pattern: str, text: Any, new: Any) -> str:
    compiled, given = _pattern(pattern), _text(text)
    fresh = _go_template(_text(new), compiled)
    if (len(given) + 1) * (len(_text(new)) + len(given) + 1) > TEXT_LIMIT * 16:
        raise ValueError("the text is too long")
    return _bounded(str(compiled.sub(fresh, given)))


def _regex_match(pattern: str, text: Any) -> bool:
    return _pattern(pattern).search(_text(text)) is not None


def _go_template(text: str, compiled: Any) -> Callable[[Any], str]:
    import re

    names = dict(compiled.groupindex)

    def expand(found: Any) -> str:
        def one(part: Any) -> str:
            if part[0] == "$$":
                return "$"
            name = part[1] or part[2]
            number = int(name) if name.isdigit() else names.get(name)
            if number is None or number > compiled.groups:
                return ""
            return found.group(number) or ""

        return re.sub(r"\$\$|\$\{(\w{1,40})\}|\$(\w{1,40})", one, text)

    return expand


def _regex_replace_literal(pattern: str, text: Any, new: Any) -> str:
    fresh, given = _text(new), _text(text)
    if (len(given) + 1) * (len(fresh) + 1) > TEXT_LIMIT * 16:
        raise ValueError("the text is too long")
    return _bounded(str(_pattern(pattern).sub(lambda _: fresh, given)))


def _split(text: str, by: str) -> list[str]:
    return text.split(by) if by else list(text)


def _truncate(text: str, length: float) -> str:
    if length < 0:
        return ""
    return text[: int(length)]


def _trim(text: str, letters: str) -> str:
    return text.strip(letters) if letters else text


def _label_match(labels: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    return all(key in other and other[key] == value for key, value in labels.items())


def _decode(text: str) -> str:
    return base64.b64decode(text, validate=True).decode("utf-8", "replace")


def _items(value: Any, key: str, name: str) -> list[dict[str, Any]]:
    if isinstance(value, dict):
        return [{key: item, name: value[item]} for item in sorted(value)]
    return [{key: whole(at), name: item} for at, item in enumerate(value)]


def _from_lists(keys: list[Any], values: list[Any]) -> dict[str, Any]:
    return {str(key): values[at] if at < len(values) else None for at, key in enumerate(keys)}


def _lookup(where: Any, key: Any) -> Any:
    if isinstance(where, dict):
        if not isinstance(key, str):
            raise ValueError("JMESPath function 'lookup': argument #2 is expected of string type")
        return where.get(key)
    if not isinstance(key, int) or isinstance(key, bool):
        raise ValueError("JMESPath function 'lookup': argument #2 is expected of integer type")
    return where[key] if 0 <= key < len(where) else None


def _parse_json(text: str) -> Any:
    if len(text) > TEXT_LIMIT:
        raise ValueError("the text is too long")
    return json.loads(text)


def _parse_yaml(text: str) -> Any:
    import yaml

    if len(text) > TEXT_LIMIT // 4:
        raise ValueError("the text is too long")
    try:
        if any(isinstance(token, yaml.AliasToken) for token in yaml.scan(text, Loader=yaml.SafeLoader)):
            raise ValueError("aliases are not supported")
        return json.loads(json.dumps(yaml.safe_load(text), default=str))
    except yaml.YAMLError as problem:
        raise ValueError(f"error converting YAML to JSON: {str(problem).splitlines()[0]}") from None


def _to_boolean(text: str) -> bool:
    lowered = text.lower()
    if lowered not in ("true", "false"):
        wanted = f"lowercase argument must be 'true' or 'false' (provided: '{text}')"
        raise ValueError(f"JMESPath function 'to_boolean': {wanted}")
    return lowered == "true"


def _canonical(path: str) -> str:
    clean = posixpath.normpath(path) if path else "."
    return "/" + clean.lstrip("/") if clean.startswith("/") else clean


def _image_normalize(text: str) -> str:
    return str(parse_image(text)["reference"])


def _is_external(url: str) -> bool:
    import ipaddress
    from urllib.parse import urlsplit

    host = urlsplit(url).hostname or ""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return "." in host and not host.endswith((".local", ".internal", ".svc", ".localhost"))
    return not (address.is_private or address.is_loopback or address.is_link_local)


def _hash(name: str) -> Callable[[str], str]:
    return lambda text: hashlib.new(name, text.encode(), usedforsecurity=False).hexdigest()


def _x509(text: str) -> Any:
    from cryptography import x509

    found = x509.load_pem_x509_certificate(text.encode())
    return {
        "SerialNumber": found.serial_number,
        "NotBefore": found.not_valid_before_utc.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "NotAfter": found.not_valid_after_utc.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "Subject": {"CommonName": _common_name(found.subject)},
        "Issuer": {"CommonName": _common_name(found.issuer)},
        "Version": found.version.value + 1,
    }


def _common_name(name: Any) -> str:
    from cryptography.x509.oid import NameOID

    found = name.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(found[0].value) if found else ""


def _compare(left: str, right: str) -> int:
    return (left > right) - (left < right)


def _zip(keys: list[Any], values: list[Any]) -> list[Any]:
    return [list(pair) for pair in zip(keys, values, strict=False)]


S, N, A, O, ANY = "string", "number", "array", "object", ""  # noqa: E741 - O as in object
_Entry = tuple[Callable[..., Any], tuple[str, ...]]
"""What a function does, and the types of its arguments (`a|b` for either, empty for any)."""

_OWN: dict[str, _Entry] = {
    "compare": (_compare, (S, S)),
    "equal_fold": (lambda left, right: left.casefold() == right.casefold(), (S, S)),
    "replace": (lambda text, old, new, n: _replaced(text, old, new, int(n)), (S, S, S, N)),
    "replace_all": (lambda text, old, new: _replaced(text, old, new, -1), (S, S, S)),
    "to_upper": (str.upper, (S,)),
    "to_lower": (str.lower, (S,)),
    "trim": (_trim, (S, S)),
    "trim_prefix": (str.removeprefix, (S, S)),
    "trim_suffix": (str.removesuffix, (S, S)),
    "split": (_split, (S, S)),
    "regex_replace_all": (_regex_replace, (S, "string|number", "string|number")),
    "regex_replace_all_literal": (_regex_replace_literal, (S, "string|number", "string|number")),
    "regex_match": (
        lambda pattern, text: _pattern(pattern).search(_text(text)) is not None,
        (S, "string|number"),
    ),
    "pattern_match": (lambda pattern, text: wildcard.match(pattern, _text(text)), (S, "string|number")),
    "label_match": (_label_match, (O, O)),
    "to_boolean": (_to_boolean, (S,)),
    "base64_decode": (_decode, (S,)),
    "base64_encode": (lambda text: base64.b64encode(text.encode()).decode(), (S,)),
    "path_canonicalize": (_canonical, (S,)),
    "truncate": (_truncate, (S, N)),
    "parse_json": (_parse_json, (S,)),
    "parse_yaml": (_parse_yaml, (S,)),
    "lookup": (_lookup, ("object|array", "string|number")),
    "items": (_items, ("object|array", S, S)),
    "object_from_lists": (_from_lists, (A, A)),
    "zip": (_zip, (A, A)),
    "image_normalize": (_image_normalize, (S,)),
    "is_external_url": (_is_external, (S,)),
    "sha256": (_hash("sha256"), (S,)),
    "sha1": (_hash("sha1"), (S,)),
    "md5": (_hash("md5"), (S,)),
    "x509_decode": (_x509, (S,)),
    **functions_math.ENTRIES,
}


class Functions(standard.Functions):  # type: ignore[misc]  # the package has no types
    """The functions one query may call."""

    def __init__(self, budget: Budget, now_ms: int = 0) -> None:
        self._budget = budget
        self._now = now_ms

    def call_function(self, name: str, arguments: list[Any]) -> Any:
        """The value of a call.

        Raises:
            JMESPathError: there is no such function, or the arguments are not its own.
        """
        self._budget.step(1 + sum(len(item) for item in arguments if isinstance(item, list | dict)))
        entry = _OWN.get(name)
        if entry is not None:
            return entry[0](*self._checked(name, arguments, entry[1]))
        timed = functions_time.ENTRIES.get(name)
        if timed is not None:
            return timed[0](self._now, *self._checked(name, arguments, timed[1]))
        if name == "to_string":
            return self._to_string(arguments)
        if name == "contains":
            return self._contains(arguments)
        if name == "join" and len(arguments) == 2 and isinstance(arguments[1], list):
            total = sum(len(item) for item in arguments[1] if isinstance(item, str))
            if total + len(str(arguments[0])) * len(arguments[1]) > TEXT_LIMIT:
                raise ValueError("the text is too long")
        found = super().call_function(name, [_native(item) for item in arguments])
        return whole(found) if isinstance(found, float) else found

    def _to_string(self, arguments: list[Any]) -> str:
        (value,) = self._checked("to_string", arguments, (ANY,))
        if isinstance(value, str):
            return value
        self._weigh(value)
        return as_json(value)

    def _contains(self, arguments: list[Any]) -> bool:
        where, what = self._checked("contains", arguments, ("array|string", ANY))
        if isinstance(where, str):
            return isinstance(what, str) and what in where
        self._weigh(what)
        return any(type_of(item) == type_of(what) and item == what for item in where)

    def _weigh(self, value: Any) -> None:
        """Count what a value is made of: parts that it holds many times over count each time."""
        waiting = [value]
        while waiting:
            here = waiting.pop()
            self._budget.step()
            if isinstance(here, dict):
                waiting.extend(here.values())
            elif isinstance(here, list):
                waiting.extend(here)

    def _checked(self, name: str, arguments: list[Any], types: Sequence[str]) -> list[Any]:
        if len(arguments) != len(types):
            raise exceptions.ArityError(len(types), len(arguments), name)
        for at, (value, allowed) in enumerate(zip(arguments, types, strict=True)):
            if allowed and type_of(value) not in allowed.split("|"):
                wanted = allowed.replace("|", " or ")
                raise ValueError(f"JMESPath function '{name}': argument #{at + 1} is not of type {wanted}")
        return arguments


def _native(value: Any) -> Any:
    """The package tells types by their very names, so that subclasses must go."""
    if isinstance(value, dict) and type(value) is not dict:
        return dict(value)
    return list(value) if isinstance(value, list) and type(value) is not list else value
