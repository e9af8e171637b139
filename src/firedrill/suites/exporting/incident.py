"""A living world's incident as a recorded snapshot in the published layout."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from firedrill.core.scenario import Modality
from firedrill.snapshot.writer import IncidentWriter
from firedrill.suites.exporting import cluster
from firedrill.world.telemetry.monitoring import Monitoring
from firedrill.world.telling import requests_of

if TYPE_CHECKING:
    from firedrill.suites.living.recording import Pulled
    from firedrill.world.telemetry.rules import Alert
    from firedrill.world.world import World

RECORDED: tuple[Modality, ...] = ("alerts", "events", "objects", "logs", "traces", "metrics")
_MS = 1_000_000
_LATE_NS = 561_883_000
"""How long after its minute the recorder of alerts has asked, at most twice that."""


class Minute(Protocol):
    """What was seen at a moment; see `suites.living.Minute`."""

    @property
    def at(self) -> int:
        """In ms since the Unix epoch."""
        ...

    @property
    def alerts(self) -> tuple[Alert, ...]:
        """Pending and firing ones."""
        ...

    @property
    def pulled(self) -> Pulled | None:
        """All recorded objects, every few minutes."""
        ...


class Recorded(Protocol):
    """What of an incident is exported; see `suites.living.Incident`."""

    @property
    def world(self) -> World:
        """At the end."""
        ...

    @property
    def minutes(self) -> Sequence[Minute]:
        """What was seen, by time."""
        ...


class Amount(NamedTuple):
    """How much is recorded.

    Attributes:
        traces: share of the traces, 0 to 1; whole ones, chosen by their ids.
        metrics_ms: least time between two samples of a series.
        logs: share of the traces of which lines about what went well are kept; all others are kept.
    """

    traces: float = 1.0
    metrics_ms: int = 15_000
    logs: float = 1.0


WHOLE = Amount()


def export_incident(
    incident: Recorded,
    folder: Path,
    *,
    modalities: Collection[Modality] = RECORDED,
    start_ms: int | None = None,
    end_ms: int | None = None,
    truth: Mapping[str, Any] | None = None,
    truth_v2: Mapping[str, Any] | None = None,
    amount: Amount = WHOLE,
) -> None:
    """Write what recorders would have kept of an incident, and its truth, into a folder.

    The same incident gives the same bytes everywhere. The world is only read.

    Args:
        incident: of a world that was watched all the time.
        folder: is made where it is not there.
        modalities: which tables; one without rows has no file.
        start_ms, end_ms: the window, in ms since the Unix epoch; by default from the first minute that was
            seen to the end of the world.
        truth, truth_v2: documents of `ground_truth.yaml` and `ground_truth_v2.yaml`.
        amount: how much of traces and metrics.

    Raises:
        InputError: the folder cannot be made.
        InfrastructureError: a file cannot be written.
    """
    folder = Path(folder)
    writer = IncidentWriter(folder)
    start = start_ms if start_ms is not None else min((item.at for item in incident.minutes), default=0)
    end = end_ms if end_ms is not None else incident.world.now
    inside = [item for item in incident.minutes if start <= item.at <= end]
    if "alerts" in modalities:
        _write_alerts(writer, inside)
    pulls = [item.pulled for item in inside if item.pulled is not None]
    if "objects" in modalities and pulls:
        writer.objects(cluster.object_rows(pulls))
    if "events" in modalities:
        rows = list(cluster.event_rows(incident.world, start, end))
        if rows:
            writer.events(rows)
    if "metrics" in modalities:
        from firedrill.suites.exporting.samples import Window, write_metrics

        store = incident.world.cluster.part(Monitoring).store
        write_metrics(store, folder, Window(start, end, amount.metrics_ms))
    _write_told(incident.world, folder, modalities, (start, end), amount)
    if truth is not None:
        writer.ground_truth(truth)
    if truth_v2 is not None:
        writer.ground_truth_v2(truth_v2)


def _write_alerts(writer: IncidentWriter, minutes: Sequence[Minute]) -> None:
    from firedrill.gateway.prometheus.views import alert

    for item in minutes:
        late = _LATE_NS + item.at // 1000 * 7919 % 500_009 * 1000
        writer.alerts(item.at * _MS + late, [alert(one) for one in item.alerts if one.state == "firing"])


def _write_told(
    world: World, folder: Path, modalities: Collection[Modality], window: tuple[int, int], amount: Amount
) -> None:
    """Spans and lines, made together of each tick's requests."""
    if "traces" not in modalities and "logs" not in modalities:
        return
    from firedrill.suites.exporting.lines import LineTable
    from firedrill.suites.exporting.spans import SpanTable
    from firedrill.suites.exporting.ticks import Kept

    told = requests_of(world)
    requests = Kept(told) if told is not None else None
    start, end = window
    lines = LineTable(world, requests, start, end, amount.logs) if "logs" in modalities else None
    spans = None
    if requests is not None and "traces" in modalities:
        spans = SpanTable(requests, start, end, amount.traces)
    if requests is not None:
        # what began in an earlier tick may be told within the window
        for number in requests.ticks(start - _EARLIER_MS, end):
            tick = requests.tick(number)
            if spans is not None:
                spans.add(tick)
            if lines is not None:
                lines.add(tick)
    if spans is not None:
        spans.write(folder / "otel_traces_raw.tsv")
    if lines is not None:
        lines.finish()
        lines.write(folder / "otel_logs_raw.tsv")


_EARLIER_MS = 60_000
