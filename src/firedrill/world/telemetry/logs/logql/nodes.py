"""A query as a tree. Durations in ns."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

MatchOp = Literal["=", "!=", "=~", "!~"]


@dataclass(frozen=True, slots=True)
class Matcher:
    """What a label has to be; expressions are anchored at both ends."""

    name: str
    op: MatchOp
    value: str


@dataclass(frozen=True, slots=True)
class LineFilter:
    """`|= "a" or "b"`: `op` is one of `|= != |~ !~ |> !>`; each value is (text, is an `ip()` pattern)."""

    op: str
    values: tuple[tuple[str, bool], ...]


@dataclass(frozen=True, slots=True)
class Compare:
    """A label against a literal: `unit` is `string`, `number`, `duration` (ns), `bytes` or `ip`."""

    name: str
    op: str
    value: str | float
    unit: str


@dataclass(frozen=True, slots=True)
class Both:
    """Two label filters that both must let a line through, or (`any`) one of them."""

    left: LabelFilter
    right: LabelFilter
    any: bool = False


LabelFilter = Compare | Both


@dataclass(frozen=True, slots=True)
class Extract:
    """`name="expression"` of a json or logfmt stage."""

    name: str
    expression: str


@dataclass(frozen=True, slots=True)
class Parser:
    """A stage that makes labels of a line: `json`, `logfmt`, `regexp`, `pattern`, `unpack`."""

    kind: str
    text: str = ""
    fields: tuple[Extract, ...] = ()
    flags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class LineFormat:
    """`line_format` with its template."""

    template: str


@dataclass(frozen=True, slots=True)
class LabelFormat:
    """`label_format`: (name, value, is a template); else the value is a label that is renamed."""

    formats: tuple[tuple[str, str, bool], ...]


@dataclass(frozen=True, slots=True)
class DropKeep:
    """`drop` or `keep`: names, or matchers on their values."""

    keep: bool
    names: tuple[str, ...]
    matchers: tuple[Matcher, ...]


@dataclass(frozen=True, slots=True)
class Decolorize:
    """Takes the colours of terminals out of lines."""


Stage = LineFilter | Compare | Both | Parser | LineFormat | LabelFormat | DropKeep | Decolorize


@dataclass(frozen=True, slots=True)
class Selector:
    """A log query: which streams, and what becomes of their lines."""

    matchers: tuple[Matcher, ...]
    stages: tuple[Stage, ...] = ()


@dataclass(frozen=True, slots=True)
class Unwrap:
    """The label that samples are read from, by which conversion, and filters behind it."""

    label: str
    conversion: str = ""
    filters: tuple[LabelFilter, ...] = ()


@dataclass(frozen=True, slots=True)
class Grouping:
    """`by` or `without` these labels."""

    labels: tuple[str, ...] = ()
    without: bool = False


@dataclass(frozen=True, slots=True)
class RangeAggregation:
    """`rate({...}[5m])` and the like."""

    op: str
    selector: Selector
    range: int
    offset: int = 0
    unwrap: Unwrap | None = None
    parameter: float | None = None
    grouping: Grouping | None = None


@dataclass(frozen=True, slots=True)
class VectorAggregation:
    """`sum by (x) (...)` and the like."""

    op: str
    inner: Metric
    grouping: Grouping | None = None
    parameter: int = 0


@dataclass(frozen=True, slots=True)
class Matching:
    """How the sides of an operator find each other."""

    on: bool = False
    labels: tuple[str, ...] = ()
    group: Literal["", "left", "right"] = ""
    include: tuple[str, ...] = ()
    bool: bool = False


@dataclass(frozen=True, slots=True)
class Binary:
    """Two metric queries and an operator between them."""

    op: str
    left: Metric
    right: Metric
    matching: Matching = field(default_factory=Matching)


@dataclass(frozen=True, slots=True)
class Number:
    """A number."""

    value: float


@dataclass(frozen=True, slots=True)
class Vector:
    """`vector(1)`: a number as a vector without labels."""

    value: float


@dataclass(frozen=True, slots=True)
class LabelReplace:
    """`label_replace(inner, target, replacement, source, expression)`."""

    inner: Metric
    target: str
    replacement: str
    source: str
    expression: str


Metric = RangeAggregation | VectorAggregation | Binary | Number | Vector | LabelReplace
Query = Selector | Metric
