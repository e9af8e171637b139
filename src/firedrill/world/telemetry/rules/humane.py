"""Functions of templates: numbers, times and texts as people read them, worded as Prometheus does."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote_plus

from firedrill.world.telemetry.matching import compiled
from firedrill.world.telemetry.promql.lexer import duration_ms
from firedrill.world.telemetry.promql.printer import number

_LARGE = ("k", "M", "G", "T", "P", "E", "Z", "Y")
_SMALL = ("m", "u", "n", "p", "f", "a", "z", "y")
_BINARY = ("ki", "Mi", "Gi", "Ti", "Pi", "Ei", "Zi", "Yi")


class TemplateError(Exception):
    """A template that cannot be filled in."""


def float_of(value: Any) -> float:
    """A number, or a text that is one."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise TemplateError(f"can't convert {type(value).__name__} to float")
    try:
        return float(value)
    except ValueError:
        raise TemplateError(f'strconv.ParseFloat: parsing "{value}": invalid syntax') from None


def general(value: float, digits: int) -> str:
    """A number with so many digits that count, as C's and Go's `%.4g`."""
    if math.isnan(value) or math.isinf(value):
        return number(value)
    return f"{value:.{digits}g}"


def humanize(value: Any) -> str:
    """With metric prefixes: `1.234k`."""
    v = float_of(value)
    if v == 0 or math.isnan(v) or math.isinf(v):
        return general(v, 4)
    prefix = ""
    if abs(v) >= 1:
        for one in _LARGE:
            if abs(v) < 1000:
                break
            prefix, v = one, v / 1000
    else:
        for one in _SMALL:
            if abs(v) >= 1:
                break
            prefix, v = one, v * 1000
    return general(v, 4) + prefix


def humanize1024(value: Any) -> str:
    """With binary prefixes: `1.206Mi`."""
    v = float_of(value)
    if abs(v) <= 1 or math.isnan(v) or math.isinf(v):
        return general(v, 4)
    prefix = ""
    for one in _BINARY:
        if abs(v) < 1024:
            break
        prefix, v = one, v / 1024
    return general(v, 4) + prefix


def humanize_duration(value: Any) -> str:
    """Seconds as `1h 2m 3s`."""
    v = float_of(value)
    if math.isnan(v) or math.isinf(v):
        return general(v, 4)
    if v == 0:
        return "0s"
    if abs(v) >= 1:
        sign, whole = ("-" if v < 0 else ""), int(abs(v))
        days, hours, minutes, seconds = whole // 86_400, whole // 3600 % 24, whole // 60 % 60, whole % 60
        if days:
            return f"{sign}{days}d {hours}h {minutes}m {seconds}s"
        if hours:
            return f"{sign}{hours}h {minutes}m {seconds}s"
        if minutes:
            return f"{sign}{minutes}m {seconds}s"
        return f"{sign}{general(abs(v), 4)}s"
    prefix = ""
    for one in _SMALL:
        if abs(v) >= 1:
            break
        prefix, v = one, v * 1000
    return f"{general(v, 4)}{prefix}s"


def humanize_percentage(value: Any) -> str:
    """A share as `12.34%`."""
    return general(float_of(value) * 100, 4) + "%"


def humanize_timestamp(value: Any) -> str:
    """Seconds since 1970 as a date."""
    v = float_of(value)
    if math.isnan(v) or math.isinf(v):
        return general(v, 4)
    try:
        moment = datetime.fromtimestamp(math.floor(v * 1000 + 0.5) / 1000, UTC)
    except (OverflowError, ValueError, OSError):
        raise TemplateError(f"{v:f} is out of range for a time") from None
    fraction = f".{moment.microsecond:06d}".rstrip("0") if moment.microsecond else ""
    return f"{moment:%Y-%m-%d %H:%M:%S}{fraction} +0000 UTC"


def shown(value: Any) -> str:
    """A value as Go prints it with `%v`."""
    if value is None:
        return "<no value>"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return go_float(value)
    if isinstance(value, dict):
        return "map[" + " ".join(f"{key}:{shown(one)}" for key, one in sorted(value.items())) + "]"
    if isinstance(value, list | tuple):
        return "[" + " ".join(shown(one) for one in value) + "]"
    return str(value)


def go_float(value: float) -> str:
    """A number with `%v`: an exponent from 21 on."""
    if math.isnan(value) or math.isinf(value):
        return number(value)
    if value and (abs(value) >= 1e21 or abs(value) < 1e-4):
        mantissa, _, power = f"{value!r}".partition("e") if "e" in repr(value) else (f"{value:e}", "", "")
        if not power:
            digits = f"{value:.17e}"
            for count in range(17):
                if float(f"{value:.{count}e}") == value:
                    digits = f"{value:.{count}e}"
                    break
            mantissa, _, power = digits.partition("e")
        sign = "-" if power.startswith("-") else "+"
        return f"{mantissa.removesuffix('.0')}e{sign}{power.lstrip('+-').zfill(2)}"
    return number(value)


_VERB = re.compile(r"%([-+ #0]*)(\d*)(?:\.(\d+))?([a-zA-Z%])")


def printf(form: Any, *args: Any) -> str:
    """Go's formats, as far as templates of alerts use them."""
    rest = list(args)

    def one(match: re.Match[str]) -> str:
        flags, width, precision, verb = match.groups()
        if verb == "%":
            return "%"
        if not rest:
            return f"%!{verb}(MISSING)"
        value = rest.pop(0)
        if len(width) > 4 or len(precision or "") > 3:
            return f"%!{verb}(BADWIDTH)"
        if verb in "vs":
            text = shown(value)
            if precision:
                text = text[: int(precision)]
            return f"{text:{'<' if '-' in flags else '>'}{width}}" if width else text
        if verb == "q":
            return '"' + shown(value).replace("\\", "\\\\").replace('"', '\\"') + '"'
        numeric = isinstance(value, int | float) and not isinstance(value, bool)
        if verb in "fFeEgG" and numeric:
            digits = f".{precision}" if precision is not None else ("" if verb in "gG" else ".6")
            if not digits:
                return go_float(float(value))
            spec = flags.replace("-", "<") + width + digits + verb
            return format(float(value), spec)
        if verb in "dxXob" and numeric and float(value).is_integer() and isinstance(value, int):
            return format(value, flags.replace("-", "<") + width + verb)
        kind = {str: "string", float: "float64", int: "int", bool: "bool"}.get(type(value), "interface {}")
        return f"%!{verb}({kind}={shown(value)})"

    out = _VERB.sub(one, str(form)[:10_000])
    if rest:
        out += "%!(EXTRA " + ", ".join(shown(value) for value in rest) + ")"
    return out


def _replace_all(pattern: Any, replacement: Any, text: Any) -> str:
    try:
        expression, harmless = compiled(str(pattern))
    except ValueError as error:
        raise TemplateError(str(error)) from None
    if not harmless:
        raise TemplateError("the expression is too involved")
    template = re.sub(r"\$\{?(\w+)\}?", r"\\g<\1>", str(replacement).replace("\\", "\\\\"))
    try:
        return expression.sub(template, str(text))
    except (re.error, IndexError) as error:
        raise TemplateError(str(error)) from None


def _match(pattern: Any, text: Any) -> bool:
    try:
        expression, harmless = compiled(str(pattern))
    except ValueError as error:
        raise TemplateError(str(error)) from None
    if not harmless:
        raise TemplateError("the expression is too involved")
    return expression.search(str(text)) is not None


def _parse_duration(text: Any) -> float:
    try:
        return duration_ms(str(text)) / 1000
    except ValueError as error:
        raise TemplateError(str(error)) from None


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "humanize": humanize,
    "humanize1024": humanize1024,
    "humanizeDuration": humanize_duration,
    "humanizePercentage": humanize_percentage,
    "humanizeTimestamp": humanize_timestamp,
    "printf": printf,
    "print": lambda *args: "".join(shown(arg) for arg in args),
    "title": lambda text: re.sub(r"\b\w", lambda m: m[0].upper(), str(text)),
    "toUpper": lambda text: str(text).upper(),
    "toLower": lambda text: str(text).lower(),
    "reReplaceAll": _replace_all,
    "match": _match,
    "parseDuration": _parse_duration,
    "stripPort": lambda text: re.sub(r":\d+$", "", str(text)),
    "stripDomain": lambda text: re.sub(r"^([^.:]+)\.[^:]*", r"\1", str(text)),
    "safeHtml": lambda text: text,
    "len": len,
    "urlquery": lambda text: quote_plus(str(text)),
}
"""By the names that templates know them under."""
