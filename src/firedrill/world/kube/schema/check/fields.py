"""Broken rules of an object: which field, what is there, what is wrong with it.

Source: apimachinery's `util/validation/field`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_TYPES = {
    "NotFound": "Not found",
    "Required": "Required value",
    "Duplicate": "Duplicate value",
    "Invalid": "Invalid value",
    "NotSupported": "Unsupported value",
    "Forbidden": "Forbidden",
    "TooLong": "Too long",
    "TooMany": "Too many",
    "TypeInvalid": "Invalid value",
}
_WITHOUT_VALUE = frozenset({"Required", "Forbidden", "TooLong"})
IMMUTABLE = "field is immutable"


class Go(str):
    """A value that is already written as Go's `%#v` writes it."""

    __slots__ = ()


OMITTED = Go()
"""Stands for a value that is not shown."""


@dataclass(frozen=True, slots=True)
class FieldError:
    """One broken rule.

    Attributes:
        type: as in `Invalid`, `Required`, `NotSupported`.
        field: path, as in `spec.containers[0].image`.
        value: what is there.
        detail: what is wrong, may be empty.
    """

    type: str
    field: str
    value: Any
    detail: str

    @property
    def reason(self) -> str:
        """As causes of a `Status` name it: `FieldValueInvalid`."""
        return f"FieldValue{self.type}"

    @property
    def message(self) -> str:
        """The text without the field."""
        out = _TYPES[self.type]
        if self.type not in _WITHOUT_VALUE and self.value is not OMITTED:
            out += f": {go_text(self.value)}"
        return f"{out}: {self.detail}" if self.detail else out

    def __str__(self) -> str:
        return f"{self.field}: {self.message}"


class Errors:
    """The broken rules found so far, in the order in which they were found."""

    __slots__ = ("found",)

    def __init__(self) -> None:
        self.found: list[FieldError] = []

    def invalid(self, field: str, value: Any, detail: str) -> None:
        """A value that breaks a rule."""
        self.found.append(FieldError("Invalid", field, value, detail))

    def wrong(self, field: str, detail: str) -> None:
        """A group of values that breaks a rule, too large to be shown."""
        self.found.append(FieldError("Invalid", field, OMITTED, detail))

    def too_many(self, field: str, count: int, most: int) -> None:
        """A list of more than so many items."""
        self.found.append(FieldError("TooMany", field, count, f"must have at most {most} items"))

    def required(self, field: str, detail: str = "") -> None:
        """A value that is missing."""
        self.found.append(FieldError("Required", field, "", detail))

    def forbidden(self, field: str, detail: str) -> None:
        """A value that may not be there, or may not change."""
        self.found.append(FieldError("Forbidden", field, "", detail))

    def duplicate(self, field: str, value: Any) -> None:
        """A value that may be there once."""
        self.found.append(FieldError("Duplicate", field, value, ""))

    def not_found(self, field: str, value: Any) -> None:
        """A reference to what is not there."""
        self.found.append(FieldError("NotFound", field, value, ""))

    def unsupported(self, field: str, value: Any, supported: Iterable[str]) -> None:
        """A value outside a closed set; a sequence is told in its own order, a set sorted."""
        ordered = supported if isinstance(supported, Sequence) else sorted(supported)
        names = ", ".join(quote(item) for item in ordered)
        self.found.append(FieldError("NotSupported", field, value, f"supported values: {names}"))

    def too_long(self, field: str, value: Any, longest: int) -> None:
        """A text of more than so many bytes."""
        self.found.append(FieldError("TooLong", field, value, f"must have at most {longest} bytes"))

    def one_of(self, field: str, value: Any, supported: Sequence[str], *, required: bool = True) -> None:
        """Hold a value against a closed set; missing is an error of its own unless told."""
        if value in (None, ""):
            if required:
                self.required(field)
        elif value not in supported:
            self.unsupported(field, value, supported)

    def not_negative(self, field: str, value: Any) -> None:
        """Hold a number against zero; None passes."""
        if isinstance(value, int) and value < 0:
            self.invalid(field, value, "must be greater than or equal to 0")

    def immutable(self, field: str, new: Any, old: Any, shown: Any = None) -> None:
        """A field that stays as it was made."""
        if new != old:
            self.invalid(field, new if shown is None else shown, IMMUTABLE)


def quote(text: Any) -> str:
    """As Go's `%q` writes a text."""
    return json.dumps(str(text), ensure_ascii=False)


def go_text(value: Any) -> str:
    """A value as an error shows it: texts quoted, maps as Go prints them."""
    if isinstance(value, Go):
        return str(value)
    if isinstance(value, str):
        return quote(value)
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Mapping):
        return go_map(value)
    if isinstance(value, list):
        return "[]string{" + ", ".join(go_text(item) for item in value) + "}"
    return str(value)


def go_map(value: Mapping[str, Any] | None, type_: str = "map[string]string") -> Go:
    """A map of texts as Go's `%#v` prints it, keys sorted."""
    if not value:
        return Go(f"{type_}(nil)" if value is None else f"{type_}{{}}")
    return Go(type_ + "{" + ", ".join(f"{quote(key)}:{go_text(value[key])}" for key in sorted(value)) + "}")


def go_selector(selector: Mapping[str, Any] | None) -> Go:
    """A label selector as Go's `%#v` prints it."""
    if selector is None:
        return Go("(*v1.LabelSelector)(nil)")
    rows = selector.get("matchExpressions")
    rules = "(nil)"
    if rows:
        rules = (
            "{"
            + ", ".join(
                f"v1.LabelSelectorRequirement{{Key:{quote(row.get('key', ''))}, "
                f"Operator:{quote(row.get('operator', ''))}, Values:{_go_list(row.get('values'))}}}"
                for row in rows
            )
            + "}"
        )
    labels = go_map(selector.get("matchLabels"))
    return Go(
        f"v1.LabelSelector{{MatchLabels:{labels}, MatchExpressions:[]v1.LabelSelectorRequirement{rules}}}"
    )


def _go_list(values: Sequence[str] | None) -> str:
    if values is None:
        return "[]string(nil)"
    return "[]string{" + ", ".join(quote(item) for item in values) + "}"
