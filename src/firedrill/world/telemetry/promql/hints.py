"""What Prometheus tells beside an answer: that something may not be meant as it was asked."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from firedrill.world.telemetry.labels import LabelSets, metric, quoted
from firedrill.world.telemetry.promql.nodes import Node, bare
from firedrill.world.telemetry.promql.printer import number
from firedrill.world.telemetry.promql.values import Bools, Floats

_COUNTERS = ("_total", "_sum", "_count", "_bucket")


@dataclass(slots=True)
class Hints:
    """Remarks on one query.

    Attributes:
        text: of the query.
        infos, warnings: what was remarked, each once.
    """

    text: str
    infos: dict[str, None] = field(default_factory=dict)
    warnings: dict[str, None] = field(default_factory=dict)

    def _place(self, node: Node) -> str:
        before = self.text[: bare(node).start]
        return f"({before.count(chr(10)) + 1}:{len(before) - (before.rfind(chr(10)) + 1) + 1})"

    def counters(self, node: Node, labels: LabelSets, there: Bools) -> None:
        """Rates of what has samples (`there`, for each series) should be of counters."""
        names = labels.column("__name__")
        odd = {name for name in set(names) if name and not name.endswith(_COUNTERS)}
        if not odd:
            return
        for name in sorted({names[row] for row in np.flatnonzero(there).tolist()} & odd):
            told = "metric might not be a counter, name does not end in _total/_sum/_count/_bucket"
            self.infos[f"PromQL info: {told}: {quoted(name)} {self._place(node)}"] = None

    def quantile(self, node: Node, q: Floats, count: int) -> None:
        """Quantiles of anything should be from 0 to 1."""
        wrong = ~((q >= 0) & (q <= 1))
        if count and bool(wrong.any()):
            for value in np.unique(q[wrong]).tolist():
                told = f"quantile value should be between 0 and 1, got {number(value)}"
                self.warnings[f"PromQL warning: {told} {self._place(node)}"] = None

    def buckets(self, node: Node, labels: LabelSets) -> None:
        """Elements of a histogram should say which bucket they are."""
        for item, text in zip(labels.items, labels.column("le"), strict=True):
            try:
                float(text)
            except ValueError:
                told = f'bucket label "le" is missing or has a malformed value of {quoted(text)}'
                name = f"for metric name {quoted(metric(item))}"
                self.warnings[f"PromQL warning: {told} {name} {self._place(node)}"] = None
