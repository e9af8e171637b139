"""Functions that templates may call, with the names and arguments of Loki and of its sprig functions."""

from __future__ import annotations

import base64
import binascii
import math
import re
import urllib.parse
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from firedrill.world.telemetry.logs.logql import gotime, regex
from firedrill.world.telemetry.logs.logql.units import SECOND, duration_of, humanized_bytes, sample_text

_MOST = 1 << 18
_WIDEST = 1000


class TemplateError(ValueError):
    """A template that is none, or that cannot be carried out for a line."""


class Context(NamedTuple):
    """What a template sees of a line: its text, its time in ns, its labels, and the query's now in ns."""

    line: str
    at: int
    labels: Mapping[str, str]
    now: int


def show(value: Any) -> str:
    """A value as `print` writes it."""
    if isinstance(value, str):
        return value
    if value is None:
        return "<no value>"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        if math.isfinite(value) and value and not 1e-4 <= abs(value) < 1e21:
            mantissa, _, exponent = repr(value).partition("e")
            return f"{mantissa.removesuffix('.0')}e{int(exponent or 0):+03d}"
        return sample_text(value)
    if isinstance(value, Mapping):
        return "map[" + " ".join(f"{key}:{show(item)}" for key, item in sorted(value.items())) + "]"
    if isinstance(value, list):
        return "[" + " ".join(map(show, value)) + "]"
    if isinstance(value, gotime.Moment):
        return gotime.layout(value, "2006-01-02 15:04:05.999999999 -0700 MST")
    return str(value)


def truth(value: Any) -> bool:
    """Whether `if` takes the value for true: not when it is empty or zero."""
    return bool(value)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TemplateError(f"wrong type for value; expected string; got {_type(value)}")
    return value


def _type(value: Any) -> str:
    names = {
        bool: "bool",
        int: "int",
        float: "float64",
        list: "[]interface {}",
        dict: "map[string]interface {}",
    }
    return names.get(type(value), "string")


def _bounded(value: str) -> str:
    if len(value) > _MOST:
        raise TemplateError("the result is too long")
    return value


def _whole(value: Any) -> int:
    """`cast.ToInt64`: 0 for what is no number."""
    if isinstance(value, (int, float)):
        return int(value) if math.isfinite(value) else 0
    try:
        return int(str(value), 0) if str(value).strip("+-").isdecimal() else int(float(str(value)))
    except (ValueError, OverflowError):
        return 0


def _real(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        return 0.0


def _room(size: int) -> None:
    """Refuse what would become too long, before it is made."""
    if size > _MOST:
        raise TemplateError("the result is too long")


def _replaced(text: str, old: str, new: str, count: int = -1) -> str:
    found = _text(text).count(old)
    _room(len(text) + (found if count < 0 else min(found, count)) * len(_text(new)))
    return text.replace(old, new, count)


def _joined(between: str, values: Sequence[Any]) -> str:
    out: list[str] = []
    size = 0
    for value in values:
        out.append(show(value))
        size += len(out[-1]) + len(between)
        _room(size)
    return between.join(out)


def _substituted(pattern: str, source: str, replace: Callable[[Any], str]) -> str:
    left = _MOST - len(_text(source))

    def one(found: Any) -> str:
        nonlocal left
        text = replace(found)
        left -= len(text)
        _room(_MOST - left)
        return text

    return str(regex.compiled(_text(pattern)).sub(one, source))


def _replace_all(_: Context, pattern: str, source: str, replacement: str) -> str:
    return _substituted(pattern, source, lambda found: expand(_text(replacement), found))


def expand(replacement: str, found: Any) -> str:
    """A replacement with `$1` and `${name}`, as Go's regexp fills it in; unknown groups are empty."""

    def group(part: re.Match[str]) -> str:
        name = part[1] or part[2]
        if part[0] == "$$":
            return "$"
        if name.isdecimal():
            number = int(name[:6])
            return (found.group(number) or "") if number <= len(found.groups()) else ""
        named = found.groupdict()
        return named.get(name) or ""

    return re.sub(r"\$\$|\$\{(\w+)\}|\$(\w+)", group, replacement)


def _replace_literal(_: Context, pattern: str, source: str, replacement: str) -> str:
    return _substituted(pattern, source, lambda _: _text(replacement))


def _count(_: Context, pattern: str, source: str) -> int:
    return sum(1 for _ in regex.compiled(_text(pattern)).finditer(_text(source)))


def _substring(_: Context, start: int, end: int, text: str) -> str:
    if start < 0:
        return text[:end]
    return text[start:] if end < 0 or end > len(text) else text[start:end]


def _truncated(_: Context, count: int, text: str) -> str:
    return text[count:] if count < 0 else text[:count]


def _align_right(_: Context, count: int, text: str) -> str:
    count = min(count, _WIDEST)
    return text.rjust(count)[-count:] if count > 0 else ""


def _align_left(_: Context, count: int, text: str) -> str:
    count = min(count, _WIDEST)
    return text.ljust(count)[:count] if count > 0 else ""


def _indent(_: Context, spaces: int, text: str) -> str:
    pad = " " * min(max(spaces, 0), _WIDEST)
    _room(len(_text(text)) + (text.count("\n") + 1) * len(pad))
    return _bounded(pad + text.replace("\n", "\n" + pad))


def _repeat(_: Context, count: int, text: str) -> str:
    if count * len(text) > _MOST:
        raise TemplateError("the result is too long")
    return text * max(count, 0)


def _printf(_: Context, form: str, *values: Any) -> str:
    left = list(values)
    size = 0

    def one(found: re.Match[str]) -> str:
        nonlocal size
        text = filled(found)
        size += len(text)
        _room(size)
        return text

    def filled(found: re.Match[str]) -> str:
        flags, width, digits, verb = found.groups()
        if verb == "%":
            return "%"
        if not left:
            return f"%!{verb}(MISSING)"
        value = left.pop(0)
        return _formatted(value, flags, int((width or "0")[:9]), digits, verb)

    out = re.sub(r"%([-+# 0]*)(\d*)(?:\.(\d*))?([a-zA-Z%])", one, _text(form))
    if left:
        out += "%!(EXTRA " + ", ".join(f"{_type(item)}={show(item)}" for item in left) + ")"
    return _bounded(out)


def _formatted(value: Any, flags: str, width: int, digits: str | None, verb: str) -> str:
    width = min(width, _WIDEST)
    places = min(int(digits or 0), 100) if digits is not None else None
    text = _verb(value, verb, places, "+" in flags)
    if "-" in flags:
        return text.ljust(width)
    if "0" in flags and verb not in "sqv":
        sign = text[:1] if text[:1] in {"-", "+"} else ""
        return sign + text[len(sign) :].rjust(width - len(sign), "0")
    return text.rjust(width)


def _verb(value: Any, verb: str, places: int | None, sign: bool) -> str:
    plus = "+" if sign else ""
    if verb in "sv":
        text = show(value)
        return text[:places] if places is not None and verb == "s" else text
    if verb == "q":
        return '"' + show(value).replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
    if verb in "dxXob" and isinstance(value, int):
        return format(int(value), plus + verb)
    if verb in "xX" and isinstance(value, str):
        return format(int.from_bytes(value.encode(), "big"), verb) if value else ""
    if verb in "feEgG" and isinstance(value, float):
        return format(value, f"{plus}.{6 if places is None else places}{verb}")
    if verb == "t" and isinstance(value, bool):
        return show(value)
    return f"%!{verb}({_type(value)}={show(value)})"


def _json(_: Context, text: str) -> Any:
    import orjson

    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise TemplateError(f"error calling fromJson: {error}") from None


def _base64(_: Context, text: str) -> str:
    try:
        return base64.b64decode(_text(text), validate=True).decode("utf-8", "replace")
    except binascii.Error as error:
        return f"illegal base64 data: {error}"


def _default(_: Context, fallback: Any, value: Any = "") -> Any:
    return value or fallback


def _index(_: Context, value: Any, *keys: Any) -> Any:
    for key in keys:
        if isinstance(value, Mapping):
            value = value.get(key, "")
        elif isinstance(value, (list, str)) and isinstance(key, int) and 0 <= key < len(value):
            value = value[key]
        else:
            raise TemplateError(f"error calling index: index out of range: {show(key)}")
    return value


def _same(_: Context, first: Any, *others: Any) -> bool:
    for other in others:
        if isinstance(first, str) != isinstance(other, str):
            raise TemplateError("error calling eq: incompatible types for comparison")
        if first == other:
            return True
    return False


def _less(first: Any, second: Any) -> bool:
    if isinstance(first, str) != isinstance(second, str):
        raise TemplateError("error calling lt: incompatible types for comparison")
    return bool(first < second)


def _divided(_: Context, first: Any, second: Any) -> int:
    left, right = _whole(first), _whole(second)
    if right == 0:
        raise TemplateError("error calling div: integer divide by zero")
    return math.trunc(left / right) if abs(left) < 1 << 52 else left // right


def _remainder(_: Context, first: Any, second: Any) -> int:
    left, right = _whole(first), _whole(second)
    if right == 0:
        raise TemplateError("error calling mod: integer divide by zero")
    return int(math.fmod(left, right))


def _rounded(_: Context, value: Any, places: int = 0, at: float = 0.5) -> float:
    scale = 10.0 ** min(max(places, 0), 15)
    scaled = _real(value) * scale
    part = scaled - math.floor(scaled)
    return (math.ceil(scaled) if part >= at else math.floor(scaled)) / scale


def _unix(_: Context, text: str) -> gotime.Moment:
    digits = _text(text)
    size = {5: 86_400 * SECOND, 10: SECOND, 13: 1_000_000, 16: 1_000, 19: 1}.get(len(digits))
    if size is None or not digits.isdecimal():
        raise TemplateError(f"unable to parse time '{digits[:40]}'")
    return gotime.Moment(int(digits) * size)


def _first_false(_: Context, *values: Any) -> Any:
    return next((item for item in values if not truth(item)), values[-1])


def _first_true(_: Context, *values: Any) -> Any:
    return next((item for item in values if truth(item)), values[-1])


def _simple(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda _, *values: function(*values)


def _title(text: str) -> str:
    return re.sub(r"(^|[\s])(\w)", lambda found: found[1] + found[2].upper(), text)


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "__line__": lambda context: context.line,
    "__timestamp__": lambda context: gotime.Moment(context.at),
    "now": lambda context: gotime.Moment(context.now),
    "ToLower": _simple(lambda text: _text(text).lower()),
    "ToUpper": _simple(lambda text: _text(text).upper()),
    "Replace": _simple(_replaced),
    "Trim": _simple(lambda text, cut: _text(text).strip(cut)),
    "TrimLeft": _simple(lambda text, cut: _text(text).lstrip(cut)),
    "TrimRight": _simple(lambda text, cut: _text(text).rstrip(cut)),
    "TrimPrefix": _simple(lambda text, cut: _text(text).removeprefix(cut)),
    "TrimSuffix": _simple(lambda text, cut: _text(text).removesuffix(cut)),
    "TrimSpace": _simple(lambda text: _text(text).strip()),
    "lower": _simple(lambda text: _text(text).lower()),
    "upper": _simple(lambda text: _text(text).upper()),
    "title": _simple(lambda text: _title(_text(text))),
    "trim": _simple(lambda text: _text(text).strip()),
    "trimAll": _simple(lambda cut, text: _text(text).strip(cut)),
    "trimPrefix": _simple(lambda cut, text: _text(text).removeprefix(cut)),
    "trimSuffix": _simple(lambda cut, text: _text(text).removesuffix(cut)),
    "replace": _simple(lambda old, new, text: _replaced(text, old, new)),
    "contains": _simple(lambda part, text: part in _text(text)),
    "hasPrefix": _simple(lambda part, text: _text(text).startswith(part)),
    "hasSuffix": _simple(lambda part, text: _text(text).endswith(part)),
    "indent": _indent,
    "nindent": lambda context, spaces, text: "\n" + _indent(context, spaces, text),
    "repeat": _repeat,
    "substr": _substring,
    "trunc": _truncated,
    "alignLeft": _align_left,
    "alignRight": _align_right,
    "regexReplaceAll": _replace_all,
    "regexReplaceAllLiteral": _replace_literal,
    "count": _count,
    "urlencode": _simple(lambda text: urllib.parse.quote_plus(_text(text))),
    "urldecode": _simple(lambda text: urllib.parse.unquote_plus(_text(text))),
    "b64enc": _simple(lambda text: base64.b64encode(_text(text).encode()).decode()),
    "b64dec": _base64,
    "bytes": _simple(lambda text: float(humanized_bytes(_text(text)))),
    "duration": _simple(lambda text: duration_of(_text(text)) / SECOND),
    "duration_seconds": _simple(lambda text: duration_of(_text(text)) / SECOND),
    "unixEpoch": _simple(lambda moment: str(moment.ns // SECOND)),
    "unixEpochMillis": _simple(lambda moment: str(moment.ns // 1_000_000)),
    "unixEpochNanos": _simple(lambda moment: str(moment.ns)),
    "unixToTime": _unix,
    "date": _simple(lambda form, moment: gotime.layout(moment, _text(form))),
    "toDate": _simple(lambda form, text: gotime.parse(_text(text), _text(form))),
    "toDateInZone": _simple(lambda form, zone, text: gotime.parse(_text(text), _text(form))),
    "fromJson": _json,
    "default": _default,
    "index": _index,
    "len": _simple(len),
    "print": _simple(lambda *values: _joined("", values)),
    "println": _simple(lambda *values: _joined(" ", values) + "\n"),
    "printf": _printf,
    "eq": _same,
    "ne": _simple(lambda first, second: first != second),
    "lt": _simple(_less),
    "le": _simple(lambda first, second: not _less(second, first)),
    "gt": _simple(lambda first, second: _less(second, first)),
    "ge": _simple(lambda first, second: not _less(first, second)),
    "and": _first_false,
    "or": _first_true,
    "not": _simple(lambda value: not truth(value)),
    "int": _simple(_whole),
    "float64": _simple(_real),
    "add": _simple(lambda *values: sum(map(_whole, values))),
    "add1": _simple(lambda value: _whole(value) + 1),
    "sub": _simple(lambda first, second: _whole(first) - _whole(second)),
    "mul": _simple(lambda *values: math.prod(map(_whole, values))),
    "div": _divided,
    "mod": _remainder,
    "addf": _simple(lambda *values: math.fsum(map(_real, values))),
    "subf": _simple(lambda first, *more: _real(first) - math.fsum(map(_real, more))),
    "mulf": _simple(lambda *values: math.prod(map(_real, values))),
    "divf": _simple(lambda first, *more: _real(first) / math.prod(map(_real, more))),
    "max": _simple(lambda *values: max(map(_whole, values))),
    "min": _simple(lambda *values: min(map(_whole, values))),
    "maxf": _simple(lambda *values: max(map(_real, values))),
    "minf": _simple(lambda *values: min(map(_real, values))),
    "ceil": _simple(lambda value: float(math.ceil(_real(value)))),
    "floor": _simple(lambda value: float(math.floor(_real(value)))),
    "round": _rounded,
}
