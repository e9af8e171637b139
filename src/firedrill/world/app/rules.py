"""What acts on some calls only: by who makes them, who answers, and what is asked for."""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
What = Literal["code", "name", "far", "loss", "rate", "busy", "stretch", "pause", "fail", "answer"]
"""`code`: the call ends with that outcome before the callee sees it; `name`: already when it asks for the
address. `far`: ms on the way; `loss`: share of packets; `rate`: bytes per second. `busy`: ms more at the
callee; `stretch`: factor of the time that its work takes; `pause`: ms in which the callee stands still, once
in so much time as `share` says. `fail`: the callee fails; `answer`: what a caller makes of a good answer."""


class Rule(NamedTuple):
    """One of them.

    Attributes:
        what: happens.
        value: how much of it, or the outcome.
        share: of the calls that are hit.
        source, pod: by pod: who calls, and who answers; None for anybody.
        edge: by edge; None for every call.
        more: of `far`: by how many ms it varies; of `rate`: bytes that wait before the next are thrown away.
        bytes: of `rate`: what one call sends.
    """

    what: What
    value: float
    share: float = 1.0
    source: Bools | None = None
    pod: Bools | None = None
    edge: Bools | None = None
    more: float = 0.0
    bytes: float = 0.0

    def hits(self, edge: Ints, source: Ints, pod: Ints, drawn: Floats) -> Bools:
        """Which of these calls it is about, by uniform draws."""
        here = np.ones(len(edge), np.bool_)
        if self.edge is not None:
            here &= self.edge[edge]
        if self.source is not None:
            here &= self.source[source] & (source >= 0)
        if self.pod is not None:
            here &= self.pod[pod] & (pod >= 0)
        if self.share < 1.0:
            here &= drawn < self.share
        return here


class Thrown(NamedTuple):
    """What an operation of a pod says where it fails for a reason of its own.

    Attributes:
        pod, op: indexes.
        type, message: of the exception.
    """

    pod: int
    op: int
    type: str
    message: str


REQUEST_BYTES, ANSWER_BYTES = 900.0, 5200.0
"""What one call and its answer weigh on the wire, where bandwidth is short."""


def crowded(rule: Rule, sent: float) -> tuple[float, float]:
    """(ms that a message waits, share of packets that is thrown away) where a rate is bounded.

    Messages of one size come at random and are sent one after the other (M/D/1); what finds the queue full is
    thrown away.

    Args:
        rule: of kind `rate`.
        sent: bytes per second that want to go.
    """
    rate = max(rule.value, 1.0)
    each = ANSWER_BYTES / rate * 1000.0
    longest = max(rule.more / rate * 1000.0, each)
    use = sent / rate
    if use >= 0.99:
        return longest, max(1.0 - 1.0 / use, 0.0)
    return min(each + each * use / (2.0 * (1.0 - use)), longest), 0.0
