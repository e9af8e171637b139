"""Answers as Prometheus writes them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from firedrill.world.sim.clock import rfc3339
from firedrill.world.telemetry import promql
from firedrill.world.telemetry.promql.printer import number
from firedrill.world.telemetry.targets import last_scrape

if TYPE_CHECKING:
    from firedrill.world.telemetry import Monitoring, Target
    from firedrill.world.telemetry.promql.values import Floats, Ints
    from firedrill.world.telemetry.rules import Alert, Group, Rule

_NEVER = "0001-01-01T00:00:00Z"


def seconds(ms: int) -> int | float:
    """A time as clients read it: seconds, with a fraction where there is one."""
    whole, rest = divmod(ms, 1000)
    return ms / 1000 if rest else whole


def moment(ms: int) -> str:
    """A time as RFC 3339, with milliseconds where there are any."""
    if ms < 0:
        return _NEVER
    text = rfc3339(ms)
    return f"{text[:-1]}.{ms % 1000:03d}".rstrip("0") + "Z" if ms % 1000 else text


def value_text(value: float) -> str:
    """A sample's value: with an exponent only where it is very small or very large."""
    if value and (abs(value) < 1e-6 or 1e21 <= abs(value) < float("inf")):
        return repr(value).replace(".0e", "e")
    return number(value)


def _texts(values: Floats) -> list[str]:
    out = []
    for text, value in zip(map(repr, values.tolist()), values.tolist(), strict=True):
        if text.endswith(".0"):
            out.append(text[:-2])
        else:
            # repr and Prometheus agree on all but whole numbers, exponents, and what is no number
            out.append(value_text(value) if "e" in text or "n" in text else text)
    return out


def samples(times: Ints, values: Floats) -> list[list[Any]]:
    """Pairs of time and value."""
    moments = [seconds(ms) for ms in times.tolist()]
    return [list(pair) for pair in zip(moments, _texts(values), strict=True)]


def answer(found: promql.Answer) -> dict[str, Any]:
    """The data of a query's answer."""
    if isinstance(found, promql.Vector):
        at = seconds(found.at_ms)
        rows = zip(found.labels, _texts(found.values), strict=True)
        result: Any = [{"metric": dict(labels), "value": [at, text]} for labels, text in rows]
        return {"resultType": "vector", "result": result}
    if isinstance(found, promql.Ranges):
        result = [
            {"metric": dict(series.labels), "values": samples(series.times, series.values)}
            for series in found.series
        ]
        return {"resultType": "matrix", "result": result}
    if isinstance(found, promql.Scalar):
        return {"resultType": "scalar", "result": [seconds(found.at_ms), number(found.value)]}
    return {"resultType": "string", "result": [seconds(found.at_ms), found.value]}


def exponential(value: float) -> str:
    """A number as alerts carry it: `3e+00`."""
    plain = number(value)
    if plain in {"NaN", "+Inf", "-Inf"}:
        return plain
    for digits in range(18):
        text = f"{value:.{digits}e}"
        if float(text) == value:
            return text
    return repr(value)


def alert(found: Alert) -> dict[str, Any]:
    """A pending or firing alert."""
    out: dict[str, Any] = {
        "labels": dict(found.labels),
        "annotations": dict(found.annotations),
        "state": found.state,
        "activeAt": moment(found.since_ms),
        "value": exponential(found.value),
    }
    if found.kept_ms >= 0:
        out["keepFiringSince"] = moment(found.kept_ms)
    return out


def rule(watch: Monitoring, place: tuple[int, int], found: Rule, *, alerts: bool) -> dict[str, Any]:
    """A rule of either kind."""
    health = watch.rules.health(*place)
    common: dict[str, Any] = {"name": found.name, "query": found.text}
    last: dict[str, Any] = {"health": health.state}
    if health.error:
        last["lastError"] = health.error
    last |= {"evaluationTime": 0.0, "lastEvaluation": moment(health.at_ms)}
    if found.record:
        if found.labels:
            common["labels"] = dict(found.labels)
        return {**common, **last, "type": "recording"}
    active = watch.rules.alerts(*place)
    states = {one.state for one in active}
    state = "firing" if "firing" in states else "pending" if "pending" in states else "inactive"
    return {
        "state": state,
        **common,
        "duration": seconds(found.for_ms),
        "keepFiringFor": seconds(found.keep_ms),
        "labels": dict(found.labels),
        "annotations": dict(found.annotations),
        "alerts": [alert(one) for one in active] if alerts else [],
        **last,
        "type": "alerting",
    }


def group(watch: Monitoring, number_: int, found: Group, rules: list[dict[str, Any]]) -> dict[str, Any]:
    """A group with those of its rules that were asked for."""
    last = max((watch.rules.health(number_, index).at_ms for index in range(len(found.rules))), default=-1)
    return {
        "name": found.name,
        "file": found.file,
        "rules": rules,
        "interval": seconds(watch.rules.interval_of(found)),
        "limit": found.limit,
        "evaluationTime": 0.0,
        "lastEvaluation": moment(last),
    }


def target(watch: Monitoring, found: Target) -> dict[str, Any]:
    """A target that is scraped."""
    labels = dict(found.labels)
    address = labels.get("instance") or found.name
    pool = labels.get("job") or "default"
    last = last_scrape(found, watch.store.interval_ms, watch.store.until_ms)
    interval = f"{watch.store.interval_ms // 1000}s"
    url = f"http://{address}/metrics"
    discovered = {
        "__address__": address,
        "__metrics_path__": "/metrics",
        "__scheme__": "http",
        "__scrape_interval__": interval,
        "__scrape_timeout__": "10s",
        "job": pool,
    }
    return {
        "discoveredLabels": discovered,
        "labels": labels,
        "scrapePool": pool,
        "scrapeUrl": url,
        "globalUrl": url,
        "lastError": "" if found.up else f'Get "{url}": context deadline exceeded',
        "lastScrape": moment(last),
        "lastScrapeDuration": 0.0,
        "health": "unknown" if last < 0 else "up" if found.up else "down",
        "scrapeInterval": interval,
        "scrapeTimeout": "10s",
    }
