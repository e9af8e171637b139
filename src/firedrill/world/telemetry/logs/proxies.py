"""What the proxies of nodes write about connections that they end. Moments in ns since the Unix epoch."""

from __future__ import annotations

from typing import Final

import numpy as np

from firedrill.world.telemetry.logs import styles
from firedrill.world.telemetry.traces.requests import Requests

Line = tuple[int, str]
_MS = 1_000_000
_ENDED: Final = frozenset({"reset"})
_ANSWER: Final = 'error="http status: 401 Unauthorized"'
"""What the proxy of the caller is told by the one that ended the connection."""


def ended(requests: Requests, node: str, start: int, end: int) -> list[Line]:
    """The lines of one node's proxy in [start, end), by time.

    Args:
        requests: of the world; the notes of their ticks say who called whom, and what was wrong.
        node: where the proxy runs.
        start, end: of the lines.
    """
    out: list[Line] = []
    end = min(end, requests.until * _MS)
    outcomes = [number for number, name in enumerate(requests.names.outcomes) if name in _ENDED]
    for number in requests.ticks(start // _MS, -(-end // _MS)):
        tick = requests.tick(number)
        if not tick.notes:
            continue
        rows = tick.rows
        for row in np.flatnonzero(np.isin(rows.kind, outcomes)).tolist():
            source, target = int(rows.source[row]), int(rows.pod[row])
            note = tick.notes.get((source, int(rows.edge[row]), target))
            at = tick.start * _MS + (int(rows.start[row]) + 300) * 1000 + row * 7919 % 900
            if note is None or not start <= at < end:
                continue
            text = note.replace("{port}", str(32768 + (row * 40_503 + number * 7) % 28_000))
            before = f"{styles.moment('at_rfc', at)}\terror\taccess\tconnection complete\t"
            if target >= 0 and tick.pods[target].node == node:
                out.append((at, before + text))
            if tick.pods[source].node == node and "src.identity=" in text:
                head = text.partition(" error=")[0].replace('"inbound"', '"outbound"')
                out.append((at + 400_000, f"{before}{head} {_ANSWER}"))
    out.sort(key=lambda line: line[0])
    return out
