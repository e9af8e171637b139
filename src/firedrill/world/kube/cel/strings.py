"""CEL functions about text: cel-go's `strings` extension, the Kubernetes `regex` and `format` libraries."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

from firedrill.world.kube.cel.values import CelError, items, kind_of, tagged, text, untagged, whole

_MAX_TEXT, _MAX_PATTERN, _PATTERN_BYTES = 20_000, 512, 8 << 20
_MAX_WORK = 10_000_000
_spent = [0]


def begin() -> None:
    """Start an evaluation: nothing is spent yet."""
    _spent[0] = 0


def spend(letters: int) -> None:
    """Count letters that are read or written: what an expression costs by its texts is only seen as it runs.

    Raises:
        CelError: it is too much for one evaluation.
    """
    _spent[0] += letters
    if _spent[0] > _MAX_WORK:
        raise CelError("operation cancelled: actual cost limit exceeded")


def shown(value: Any) -> str:
    """`string(x)`.

    Raises:
        CelError: the value has no text.
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return value
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return repr(value)[:-2] if value.is_integer() and abs(value) < 1e21 else repr(value)
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, timedelta):
        seconds = value.total_seconds()
        return f"{int(seconds) if seconds == int(seconds) else seconds}s"
    if kind_of(value) in ("ip", "cidr"):
        return str(untagged(kind_of(value), value))
    raise CelError("no such overload")


def truth(value: Any) -> bool:
    """`bool(x)`."""
    if isinstance(value, bool):
        return value
    found = {"true": True, "t": True, "1": True, "false": False, "f": False, "0": False}.get(
        text(value).lower()
    )
    if found is None:
        raise CelError(f"type conversion error from '{value}' to bool")
    return found


def char_at(here: Any, at: Any) -> str:
    """The character at a place; empty right behind the last."""
    line, index = text(here), whole(at)
    if not 0 <= index <= len(line):
        raise CelError(f"index out of range: {index}")
    return line[index : index + 1]


def index_of(here: Any, what: Any, start: Any = 0) -> int:
    """Where something is first, in a text or a list; -1 where it is not."""
    if isinstance(here, str):
        if not 0 <= whole(start) <= len(here):
            raise CelError(f"index out of range: {start}")
        return here.find(text(what), whole(start))
    found = items(here)
    return found.index(what) if what in found else -1


def last_index_of(here: Any, what: Any, until: Any = None) -> int:
    """Where something is last, in a text or a list; -1 where it is not."""
    if isinstance(here, str):
        limit = len(here) if until is None else whole(until) + len(text(what))
        return here.rfind(text(what), 0, limit)
    found = items(here)
    return max((at for at, item in enumerate(found) if item == what), default=-1)


def join(parts: Any, by: Any = "") -> str:
    """The texts of a list in one."""
    pieces = [text(part) for part in items(parts)]
    spend(sum(map(len, pieces)) + len(text(by)) * len(pieces))
    return text(by).join(pieces)


def replace(here: Any, old: Any, new: Any, count: Any = -1) -> str:
    """A text with something put in the place of something else."""
    line, most = text(here), whole(count)
    found = line.count(text(old))
    times = found if most < 0 else min(found, most)
    spend(len(line) + times * len(text(new)))
    return line.replace(text(old), text(new), most)


def split(here: Any, by: Any, count: Any = -1) -> list[str]:
    """A text in pieces."""
    line, limit = text(here), whole(count)
    spend(len(line))
    if limit == 0:
        return []
    if not text(by):
        letters = list(line)
        return letters if limit < 0 or limit >= len(letters) else [*letters[: limit - 1], line[limit - 1 :]]
    return line.split(by, limit - 1 if limit > 0 else -1)


def substring(here: Any, start: Any, end: Any = None) -> str:
    """A piece of a text."""
    line, first = text(here), whole(start)
    last = len(line) if end is None else whole(end)
    if not 0 <= first <= last <= len(line):
        raise CelError(f"index out of range: {first if not 0 <= first <= len(line) else last}")
    return line[first:last]


_LOWER = str.maketrans({chr(code): chr(code + 32) for code in range(65, 91)})
_UPPER = str.maketrans({chr(code): chr(code - 32) for code in range(97, 123)})
_VERBS = re.compile(r"%(?:%|(?:\.(\d{1,2}))?([sdfeboxX]))")


def formatted(pattern: Any, args: Any) -> str:
    """`"%s is %d".format([…])`."""
    given = iter(items(args))

    def one(match: re.Match[str]) -> str:
        if match[0] == "%%":
            return "%"
        try:
            value = next(given)
        except StopIteration:
            raise CelError("index out of range") from None
        return _verb(match[2], match[1], value)

    return _VERBS.sub(one, text(pattern))


def _verb(verb: str, digits: str | None, value: Any) -> str:
    if verb == "s":
        said = _listed(value)
        spend(len(said))
        return said
    if verb in "fe":
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise CelError("no such overload")
        return f"{value:.{int(digits or 6)}{verb}}"
    if verb in "xX" and isinstance(value, str | bytes):
        raw = value.encode() if isinstance(value, str) else value
        return raw.hex().upper() if verb == "X" else raw.hex()
    if verb == "b" and isinstance(value, bool):
        return str(int(value))
    return format(whole(value), verb)


def _listed(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, list):
        return "[" + ", ".join(map(_listed, value)) + "]"
    if isinstance(value, dict) and not kind_of(value):
        return (
            "{" + ", ".join(f"{_listed(key)}: {_listed(value[key])}" for key in sorted(value, key=str)) + "}"
        )
    return shown(value)


def quote(here: Any) -> str:
    """A text in quotes, with what cannot be printed escaped."""
    escapes = {"\a": "\\a", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\v": "\\v"}
    escapes |= {"\\": "\\\\", '"': '\\"'}
    return '"' + "".join(escapes.get(letter, letter) for letter in text(here)) + '"'


@lru_cache(maxsize=256)
def _pattern(pattern: str) -> Any:
    """A pattern of RE2, which takes linear time whatever it is given."""
    import re2  # here, so that reading this module stays fast

    options = re2.Options()
    options.log_errors = False
    options.max_mem = _PATTERN_BYTES
    if len(pattern) > _MAX_PATTERN:
        raise CelError(f"invalid regular expression: {pattern[:80]}")
    try:
        return re2.compile(pattern, options)
    except re2.error as problem:
        why = problem.args[0] if problem.args else problem
        raise CelError(f"error parsing regexp: {why.decode() if isinstance(why, bytes) else why}") from None


def compiled(pattern: str) -> Any:
    """The pattern, compiled by RE2.

    Raises:
        CelError: it is none that Go's regular expressions would take.
    """
    return _pattern(pattern)


def find(here: Any, pattern: Any) -> str:
    """The first match of a regular expression, or an empty text."""
    line = text(here)[:_MAX_TEXT]
    spend(len(line))
    match = _pattern(text(pattern)).search(line)
    return match[0] if match else ""


def find_all(here: Any, pattern: Any, count: Any = -1) -> list[str]:
    """All matches of a regular expression, at most so many where the number is not negative."""
    line = text(here)[:_MAX_TEXT]
    spend(len(line))
    found = [match[0] for match in _pattern(text(pattern)).finditer(line)]
    return found if whole(count) < 0 else found[: whole(count)]


_LABEL = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_QUALIFIED = r"([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)"
_FORMATS: Mapping[str, tuple[str, int]] = {
    "dns1123Label": (_LABEL, 63),
    "dns1123Subdomain": (rf"{_LABEL}(\.{_LABEL})*", 253),
    "dns1035Label": (r"[a-z]([-a-z0-9]*[a-z0-9])?", 63),
    "dns1123LabelPrefix": (rf"{_LABEL}-?", 63),
    "dns1123SubdomainPrefix": (rf"{_LABEL}(\.{_LABEL})*[-.]?", 253),
    "dns1035LabelPrefix": (r"[a-z]([-a-z0-9]*[a-z0-9])?-?", 63),
    "qualifiedName": (rf"([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?{_QUALIFIED}", 316),
    "labelValue": (rf"({_QUALIFIED})?", 63),
    "uri": (r"[A-Za-z][A-Za-z0-9+.\-]*:.+", 4096),
    "uuid": (r"[0-9a-fA-F]{8}-([0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}", 36),
    "byte": (r"[A-Za-z0-9+/]*={0,2}", 1 << 20),
    "date": (r"\d{4}-\d{2}-\d{2}", 10),
    "datetime": (r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d+)?(Z|[+-]\d{2}:\d{2})", 40),
}


def format_named(name: Any) -> dict[str, Any]:
    """`format.dns1123Label()`."""
    if name not in _FORMATS:
        raise CelError(f"no such format: {name}")
    return tagged("format", name)


def validate(of: Any, value: Any) -> list[list[str]]:
    """The problems of a text with a format, as an optional."""
    name = untagged("format", of)
    pattern, limit = _FORMATS[name]
    line, problems = text(value), []
    if len(line) > limit:
        problems.append(f"must be no more than {limit} bytes")
    elif not re.fullmatch(pattern, line):
        problems.append(f"must be a valid {name}")
    return [problems] if problems else []


def _encode(value: Any) -> str:
    return base64.b64encode(value if isinstance(value, bytes) else text(value).encode()).decode()


def _decode(value: Any) -> bytes:
    try:
        return base64.b64decode(text(value) + "=" * (-len(text(value)) % 4), validate=True)
    except (binascii.Error, ValueError) as problem:
        raise CelError(f"illegal base64 data: {problem}") from None


FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    "length": lambda value: len(text(value)),
    "string": shown,
    "bool": truth,
    "charAt": char_at,
    "indexOf": index_of,
    "lastIndexOf": last_index_of,
    "join": join,
    "lowerAscii": lambda value: text(value).translate(_LOWER),
    "upperAscii": lambda value: text(value).translate(_UPPER),
    "replace": replace,
    "split": split,
    "substring": substring,
    "trim": lambda value: text(value).strip(),
    "format": formatted,
    "strings_quote": quote,
    "find": find,
    "findAll": find_all,
    "format_named": format_named,
    "validate": validate,
    "base64_encode": _encode,
    "base64_decode": _decode,
}
