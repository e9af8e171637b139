"""Label sets, and lists of them that remember what was derived from them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from numpy.typing import NDArray

Labels = tuple[tuple[str, str], ...]
"""Pairs of name and value, sorted by name, without empty values; the metric's name is `__name__`."""

NAME = "__name__"
EMPTY: Labels = ()


def make(pairs: Mapping[str, str] | Iterable[tuple[str, str]], name: str = "") -> Labels:
    """Labels of a mapping or of pairs, with the metric's name where one is given."""
    found = dict(pairs)
    if name:
        found[NAME] = name
    return tuple(sorted((key, value) for key, value in found.items() if value))


def metric(labels: Labels) -> str:
    """The metric's name, or an empty string."""
    return next((value for key, value in labels if key == NAME), "")


def quoted(text: str) -> str:
    """A string as PromQL and Go write it between double quotes."""
    out = []
    for char in text:
        if char in '"\\':
            out.append("\\" + char)
        elif char.isprintable():
            out.append(char)
        else:
            out.append(_ESCAPES.get(char) or _numbered(ord(char)))
    return '"' + "".join(out) + '"'


_ESCAPES = {"\n": "\\n", "\t": "\\t", "\r": "\\r", "\a": "\\a", "\b": "\\b", "\f": "\\f", "\v": "\\v"}


def _numbered(code: int) -> str:
    if code < 0x80:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def text_of(labels: Labels, *, bare: bool = False) -> str:
    """`name{a="x", b="y"}`, as Prometheus prints a metric; `bare` leaves the name among the labels."""
    name = "" if bare else metric(labels)
    inner = ", ".join(f"{key}={quoted(value)}" for key, value in labels if bare or key != NAME)
    return f"{name}{{{inner}}}" if inner or not name else name


class Grouping(NamedTuple):
    """Which group each label set of a list belongs to, and the labels of the groups."""

    codes: NDArray[Any]
    labels: LabelSets


class LabelSets:
    """A list of label sets. What operators derive from it is kept, so that a query finds it the next time.

    Attributes:
        items: the label sets.
    """

    __slots__ = ("_derived", "items")

    def __init__(self, items: Sequence[Labels]) -> None:
        self.items: tuple[Labels, ...] = tuple(items)
        self._derived: dict[Any, Any] = {}

    def __len__(self) -> int:
        return len(self.items)

    def kept(self, key: Any) -> Any:
        """What was derived under that key, or None."""
        return self._derived.get(key)

    def keep(self, key: Any, value: Any) -> Any:
        """Keep what was derived; a list that is derived from too often forgets all."""
        if len(self._derived) >= 256:
            self._derived.clear()
        self._derived[key] = value
        return value

    def without_name(self) -> LabelSets:
        """The same list without the metrics' names."""
        found: LabelSets | None = self._derived.get("nameless")
        if found is None:
            items = [tuple(pair for pair in item if pair[0] != NAME) for item in self.items]
            found = self.keep("nameless", self if tuple(items) == self.items else LabelSets(items))
        return found

    def keys(self, names: tuple[str, ...], *, on: bool) -> list[Labels]:
        """For each set the part that counts: only `names`, or all but them and the metric's name."""
        key = ("keys", names, on)
        found: list[Labels] | None = self._derived.get(key)
        if found is None:
            wanted = frozenset(names)
            if on:
                found = [tuple(pair for pair in item if pair[0] in wanted) for item in self.items]
            else:
                wanted |= {NAME}
                found = [tuple(pair for pair in item if pair[0] not in wanted) for item in self.items]
            self.keep(key, found)
        return found

    def grouped(self, names: tuple[str, ...], *, by: bool) -> Grouping:
        """Groups of equal labels, in order of their labels."""
        import numpy as np

        key = ("group", names, by)
        found: Grouping | None = self._derived.get(key)
        if found is None:
            keys = self.keys(names, on=by)
            order = {item: number for number, item in enumerate(sorted(set(keys)))}
            codes = np.array([order[item] for item in keys], dtype=np.intp)
            found = self.keep(key, Grouping(codes, LabelSets(list(order))))
        return found

    def duplicated(self) -> NDArray[Any] | None:
        """The code of each set among equal ones, or None when all differ."""
        import numpy as np

        found = self._derived.get("duplicated", False)
        if found is False:
            if len(set(self.items)) == len(self.items):
                found = None
            else:
                order: dict[Labels, int] = {}
                codes = [order.setdefault(item, len(order)) for item in self.items]
                found = np.array(codes, dtype=np.intp)
            self.keep("duplicated", found)
        out: NDArray[Any] | None = found
        return out

    def column(self, name: str) -> list[str]:
        """The value of one label in each set; empty where it has none."""
        key = ("column", name)
        found: list[str] | None = self._derived.get(key)
        if found is None:
            found = self.keep(key, [dict(item).get(name, "") for item in self.items])
        return found

    def take(self, rows: NDArray[Any]) -> LabelSets:
        """Some of the list."""
        return LabelSets([self.items[row] for row in rows.tolist()])
