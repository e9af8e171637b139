"""What is recorded of a living world in one look around: objects, events, alerts, metrics, logs, traces."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC
from typing import Any

from firedrill.agents.oncall.asking import METADATA, Asker
from firedrill.agents.oncall.settings import Settings, load_settings
from firedrill.agents.sleuth.symptoms import time_of

Obj = dict[str, Any]
Series = Mapping[str, Any]
_SYSTEM = re.compile(r"(^|\.)k8s\.io$")
_MINUTE = 60.0


@dataclass
class Recording:
    """Answers of the APIs, as they came. Times are seconds since the Unix epoch.

    Attributes:
        objects: by resource, as in ``deployments.apps``; Secrets without their values.
        state: series about objects (of kube-state-metrics) over the last hour.
        metrics: series of pods and services.
        streams: lines of logs, by stream.
        traces: as Jaeger tells them.
    """

    now: float
    namespace: str = ""
    objects: dict[str, list[Obj]] = field(default_factory=dict)
    events: list[Obj] = field(default_factory=list)
    alerts: list[Obj] = field(default_factory=list)
    state: list[Series] = field(default_factory=list)
    metrics: list[Series] = field(default_factory=list)
    streams: dict[str, Series] = field(default_factory=dict)
    traces: dict[str, Obj] = field(default_factory=dict)
    onset: float | None = None

    def all(self) -> list[tuple[str, Obj]]:
        """Every object with its resource."""
        return [(resource, obj) for resource, found in self.objects.items() for obj in found]

    def of(self, resource: str) -> list[Obj]:
        """The objects of a resource."""
        return self.objects.get(resource, [])


async def record(asker: Asker, settings: Settings | None = None) -> Recording:
    """Look around once."""
    known = settings or load_settings()
    await asker.discover()
    site = asker.site
    found = Recording(now=await site.now() / 1000, namespace=site.namespace)
    told = await asker.ask("prometheus", "/api/v1/alerts")
    found.alerts = list(_data(told).get("alerts") or ())
    found.alerts.extend(_called(site.alerts, found.alerts))
    for resource in wanted(asker, known):
        found.objects[resource] = await asker.list(resource)
    found.objects["secrets"] = await asker.list("secrets", accept=METADATA)
    found.events = await asker.list("events")
    found.now = await site.now() / 1000
    await _measure(asker, known, found)
    found.onset = onset(found)
    await read_logs(asker, known, found)
    await read_traces(asker, known, found)
    found.now = await site.now() / 1000
    return found


def wanted(asker: Asker, settings: Settings) -> list[str]:
    """The resources to list: some of Kubernetes itself, and all that others have defined."""
    own = [
        name
        for name, one in sorted(asker.resources.items())
        if one.group and "." in one.group and not _SYSTEM.search(one.group) and "list" in one.verbs
    ]
    listed = [name for name in settings.listed if name in asker.resources]
    return [*listed, *(name for name in own if name not in settings.passed_over)]


def _called(told: Sequence[Mapping[str, Any]], firing: Sequence[Obj]) -> list[Obj]:
    """Alerts that somebody was called for and that do not fire any more."""
    now = [{**item.get("labels", {})} for item in firing]
    gone = []
    for item in told:
        labels = {**item.get("labels", {}), "alertname": item.get("name", "")}
        if labels not in now:
            about = {"description": str(item.get("description") or "")}
            gone.append(
                {"labels": labels, "annotations": about, "state": "firing", "activeAt": item.get("fired")}
            )
    return gone


async def _measure(asker: Asker, settings: Settings, found: Recording) -> None:
    for query in settings.state:
        found.state.extend(
            await over(asker, query, found.now - settings.past_s, found.now, settings.state_step_s)
        )
    for query in settings.metrics:
        found.metrics.extend(
            await over(asker, query, found.now - settings.past_s, found.now, settings.step_s)
        )


async def over(asker: Asker, query: str, start: float, end: float, step: float) -> list[Series]:
    """The series of a range query."""
    told = await asker.ask(
        "prometheus",
        "/api/v1/query_range",
        query=query,
        start=f"{start:.3f}",
        end=f"{end:.3f}",
        step=f"{step:g}",
    )
    return list(_data(told).get("result") or ())


def _data(told: Any) -> Mapping[str, Any]:
    data = told.get("data") if isinstance(told, Mapping) else None
    return data if isinstance(data, Mapping) else {}


def onset(found: Recording) -> float:
    """When the trouble began, roughly: some minutes before the first alert, or the last change before it."""
    since = [moment for item in found.alerts if (moment := seconds(item.get("activeAt"))) is not None]
    recent = [moment for moment in since if moment > found.now - _PAST]
    first = min(recent, default=found.now - 5 * _MINUTE)
    return first - 2 * _MINUTE


_PAST = 40 * _MINUTE


def seconds(text: object) -> float | None:
    """A time of the API as seconds since the Unix epoch."""
    if isinstance(text, int | float):
        return float(text) / 1000 if text > 1e11 else float(text)
    if isinstance(text, str):
        # Prometheus writes nine digits of a second, of which only six can be read
        text = re.sub(r"(\.\d{6})\d+", r"\1", text)
    found = time_of(text)
    return found.replace(tzinfo=UTC).timestamp() if found else None


async def read_logs(asker: Asker, settings: Settings, found: Recording) -> None:
    """Lines that complain, around the onset and now; each window bounded."""
    at = found.onset or found.now - 5 * _MINUTE
    windows = ((at - settings.logs_before_s, at), (at, found.now))
    for start, end in windows:
        told = await asker.ask(
            "loki",
            "/loki/api/v1/query_range",
            query=settings.logs,
            start=str(int(start * 1e9)),
            end=str(int(end * 1e9)),
            limit=str(settings.lines),
        )
        for stream in _data(told).get("result") or ():
            key = repr(sorted(stream["stream"].items()))
            known = found.streams.setdefault(key, {"stream": stream["stream"], "values": []})
            known["values"].extend(stream["values"])


async def read_traces(asker: Asker, settings: Settings, found: Recording) -> None:
    """Whole traces of equal slices of time, as many before the onset as after, for their length."""
    doors = await _doors(asker, found)
    at = found.onset or found.now - 5 * _MINUTE
    for low, high, count in (
        (at - settings.traces_before_s, at, settings.slices_before),
        (at, found.now, settings.slices_after),
    ):
        for number in range(count):
            middle = low + (high - low) * (number + 0.5) / count
            length = (
                settings.slice_s * (high - low) / settings.traces_before_s * settings.slices_before / count
            )
            for door in doors:
                told = await asker.ask(
                    "jaeger",
                    "/api/traces",
                    service=door,
                    start=str(int((middle - length / 2) * 1e6)),
                    end=str(int((middle + length / 2) * 1e6)),
                    limit=str(settings.traces),
                )
                for trace in (told or {}).get("data") or ():
                    found.traces.setdefault(trace["traceID"], trace)


async def _doors(asker: Asker, found: Recording) -> list[str]:
    """The services that nobody calls: all requests begin there."""
    told = await asker.ask(
        "jaeger", "/api/dependencies", endTs=str(int(found.now * 1000)), lookback=str(30 * 60_000)
    )
    links = (told or {}).get("data") or ()
    called = {str(link["child"]) for link in links}
    weight: dict[str, int] = {}
    for link in links:
        if str(link["parent"]) not in called:
            parent = str(link["parent"])
            weight[parent] = weight.get(parent, 0) + int(link["callCount"])
    best = sorted(weight, key=lambda name: (-weight[name], name))[:1]
    return best or sorted({str(link["parent"]) for link in links})[:1]


__all__ = ["Recording", "onset", "over", "record", "seconds", "wanted"]
