"""Filters on lines and on labels."""

from __future__ import annotations

import ipaddress
import operator
import re
from collections.abc import Callable
from typing import Any

from firedrill.world.telemetry.logs.logql import nodes, regex
from firedrill.world.telemetry.logs.logql.labels import LineLabels
from firedrill.world.telemetry.logs.logql.patterns import Pattern
from firedrill.world.telemetry.logs.logql.units import go_duration, humanized_bytes, number

Test = Callable[[str], bool]
_ERROR = "LabelFilterErr"
_ADDRESS = re.compile(
    r"(?<![\w.:])(?:\d{1,3}(?:\.\d{1,3}){3}|[0-9A-Fa-f]{0,4}(?::[0-9A-Fa-f]{0,4}){2,7})(?![\w:])"
)
_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "==": operator.eq, "=": operator.eq, "!=": operator.ne, ">": operator.gt, ">=": operator.ge,
    "<": operator.lt, "<=": operator.le,
}  # fmt: skip


def line_test(stage: nodes.LineFilter) -> Test:
    """Whether a line gets through: one of the texts fits, or (a negated filter) none does."""
    tests = [_line_value(stage.op, text, ip) for text, ip in stage.values]
    if stage.op.startswith("!"):
        if len(tests) == 1:
            only = tests[0]
            return lambda line: not only(line)
        return lambda line: not any(test(line) for test in tests)
    if len(tests) == 1:
        return tests[0]
    return lambda line: any(test(line) for test in tests)


def _line_value(op: str, text: str, ip: bool) -> Test:
    if ip:
        wanted = address_test(text)
        return lambda line: any(wanted(found[0]) for found in _ADDRESS.finditer(line))
    if op in {"|~", "!~"}:
        search = regex.compiled(text).search
        return lambda line: search(line) is not None
    if op in {"|>", "!>"}:
        return Pattern(text, captures=False).fits
    return lambda line: text in line


def address_test(text: str) -> Test:
    """Whether an address is the one, in the range `a-b`, or in the network. A wrong pattern fits nothing."""
    try:
        if "-" in text:
            low, high = (ipaddress.ip_address(part.strip()) for part in text.split("-", 1))
            return lambda address: _between(low, address, high)
        network = ipaddress.ip_network(text.strip(), strict=False)
    except ValueError:
        return lambda _: False

    def inside(address: str) -> bool:
        try:
            return ipaddress.ip_address(address) in network
        except ValueError:
            return False

    return inside


def _between(low: Any, address: str, high: Any) -> bool:
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return False
    return bool(low.version == found.version == high.version and low <= found <= high)


def matcher_test(matcher: nodes.Matcher) -> Test:
    """Whether a value of a label fits."""
    return _text_test(matcher.op, matcher.value)


def _text_test(op: str, value: str) -> Test:
    if op == "=":
        return value.__eq__
    if op == "!=":
        return value.__ne__
    search = regex.anchored(value).search
    if op == "=~":
        return lambda text: search(text) is not None
    return lambda text: search(text) is None


def label_test(found: nodes.LabelFilter) -> Callable[[LineLabels], bool]:
    """Whether a line with these labels gets through; a value that is none is noted as an error there."""
    if isinstance(found, nodes.Both):
        left, right = label_test(found.left), label_test(found.right)
        if found.any:
            return lambda labels: left(labels) or right(labels)
        return lambda labels: left(labels) and right(labels)
    if found.unit == "string":
        name, test = found.name, _text_test(found.op, str(found.value))
        return lambda labels: test(labels.all.get(name, ""))
    if found.unit == "ip":
        return _address_filter(found)
    return _quantity(found)


def _address_filter(found: nodes.Compare) -> Callable[[LineLabels], bool]:
    name, test, wanted = found.name, address_test(str(found.value)), found.op == "="
    return lambda labels: test(labels.all.get(name, "")) is wanted if name in labels.all else False


def _quantity(found: nodes.Compare) -> Callable[[LineLabels], bool]:
    name, limit, compare = found.name, found.value, _COMPARE[found.op]
    read = {"number": number, "duration": go_duration, "bytes": humanized_bytes}[found.unit]

    def test(labels: LineLabels) -> bool:
        if labels.failed:
            return True  # what could not be read is filtered by its `__error__` only
        text = labels.all.get(name)
        if text is None:
            return False
        try:
            return compare(read(text), limit)
        except ValueError as error:
            labels.fail(_ERROR, str(error))
            return True

    return test
