"""What an agent is kept from seeing of its world, by kinds of evidence.

An API answers as if the thing were switched off: no traces, no streams, no series, no alerts, no events. The
world is the same as ever, and graders see all of it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlencode

from firedrill.core.errors import InputError

if TYPE_CHECKING:
    from firedrill.core.living import Api
    from firedrill.gateway.kubernetes import Host

KINDS = ("alerts", "events", "logs", "metrics", "traces")
"""What can be withheld."""
SCRAPED_MS = 15_000
"""How often a world's metrics are."""
_LONGEST_MS = 3_600_000
_INTERVAL = re.compile(r"(\d{1,6})([sm])")
_NO_NAME = "-"
"""No object has it."""
_OFF = "withheld.invalid"
"""A group of the API that there is not."""
_OF_ALERTS = frozenset({"ALERTS", "ALERTS_FOR_STATE"})


@dataclass(frozen=True, slots=True)
class Withheld:
    """What is withheld.

    Attributes:
        kinds: entirely.
        traces: the share of them that is there all the same.
        metrics_ms: how often metrics are scraped; 0 leaves it as it is.
    """

    kinds: frozenset[str] = frozenset()
    traces: float = 1.0
    metrics_ms: int = 0

    @classmethod
    def parse(cls, names: Iterable[str]) -> Withheld:
        """From names as `logs`, `traces:0.01` for all but one trace of a hundred, `metrics:60s` for scrapes.

        Raises:
            InputError: there is no such kind, or nothing of it can be kept.
        """
        kinds, share, every = set[str](), 1.0, 0
        for name in names:
            kind, _, kept = name.partition(":")
            if kind not in KINDS:
                mend = f"one of {', '.join(KINDS)}, or a part to keep, as in traces:0.01 and metrics:60s"
                raise InputError(f"{kind} cannot be withheld on living worlds", field="--without", mend=mend)
            if not kept:
                kinds.add(kind)
            elif kind == "traces" and (found := _share(kept)) is not None:
                share = found
            elif kind == "metrics" and (interval := _interval(kept)) is not None:
                every = interval
            else:
                mend = (
                    "a share between 0 and 1 can be kept of traces, as in traces:0.01; metrics can be scraped"
                    " every so often, a multiple of 15 s up to an hour, as in metrics:60s"
                )
                raise InputError(f"cannot withhold {name}", field="--without", mend=mend)
        return cls(frozenset(kinds), share, every)


def _share(text: str) -> float | None:
    try:
        found = float(text)
    except ValueError:
        return None
    return found if 0 < found < 1 else None


def _interval(text: str) -> int | None:
    match = _INTERVAL.fullmatch(text)
    if match is None:
        return None
    found = int(match[1]) * {"s": 1_000, "m": 60_000}[match[2]]
    return found if SCRAPED_MS < found <= _LONGEST_MS and not found % SCRAPED_MS else None


def unrecorded(modalities: Iterable[str]) -> tuple[str, ...]:
    """What an agent does not get of a scenario whose modalities are these; nothing where it names none."""
    named = frozenset(modalities)
    return tuple(kind for kind in KINDS if named and kind not in named)


def apps(host: Host, withheld: Withheld) -> dict[str, Any]:
    """The applications of all five APIs of a host, without what is withheld."""
    from firedrill.gateway.jaeger import Jaeger
    from firedrill.gateway.kubernetes import Gateway
    from firedrill.gateway.loki import Loki
    from firedrill.gateway.prometheus import alertmanager_app, prometheus_app
    from firedrill.gateway.serving import watchers
    from firedrill.world.telemetry.traces import Sampling

    instead: dict[Api, Any] = {}
    if {"alerts", "metrics"} & withheld.kinds or withheld.metrics_ms:
        watched = _seen_by(host, withheld)
        instead = {"prometheus": prometheus_app(watched), "alertmanager": alertmanager_app(watched)}
    if "logs" in withheld.kinds:
        instead["loki"] = Loki(host, lambda _: _NoLogs())
    if "traces" in withheld.kinds:
        instead["jaeger"] = Jaeger(host, lambda _: None)
    elif withheld.traces < 1:
        instead["jaeger"] = Jaeger(host, sampling=Sampling(withheld.traces))
    gateway: Any = Gateway(host)
    if {"events", "logs", "metrics"} & withheld.kinds:
        gateway = Veiled(gateway, withheld)
    return {"kubernetes": gateway, **watchers(host, instead)}


class Veiled:
    """The Kubernetes API without events, logs of containers or usage; an ASGI application.

    Args:
        app: the whole API.
        withheld: from it.
    """

    def __init__(self, app: Any, withheld: Withheld) -> None:
        self._app, self._withheld = app, withheld

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer one request, as ASGI 3 has it."""
        if scope["type"] == "http" and scope["method"] in {"GET", "HEAD"}:
            scope = veiled(scope, self._withheld)
        await self._app(scope, receive, send)


def veiled(scope: Any, withheld: Withheld) -> Any:
    """The request that finds nothing where the given one would find something that is withheld."""
    from firedrill.gateway.kubernetes.paths import parse

    path: str = scope["path"]
    target = parse(path)
    if path.startswith("/apis/metrics.k8s.io") and "metrics" in withheld.kinds:
        return {**scope, "path": path.replace("metrics.k8s.io", _OFF, 1)}
    if target is None:
        return scope
    asked = parse_qsl(scope.get("query_string", b"").decode("latin-1"), keep_blank_values=True)
    if target.plural == "events" and "events" in withheld.kinds:
        if target.name:
            return {**scope, "path": path.rstrip("/") + _NO_NAME}
        kept = [item for item in asked if item[0] != "fieldSelector"]
        chosen = [value for name, value in asked if name == "fieldSelector" and value]
        wanted = ",".join([*chosen, f"metadata.name={_NO_NAME}"])
        return {**scope, "query_string": urlencode([*kept, ("fieldSelector", wanted)]).encode()}
    if target.plural == "pods" and target.subresource == "log" and "logs" in withheld.kinds:
        kept = [item for item in asked if item[0] not in {"tailLines", "follow"}]
        return {**scope, "query_string": urlencode([*kept, ("tailLines", "0")]).encode()}
    return scope


class _NoLogs:
    """A source of no lines."""

    def streams(self, start: int, end: int) -> tuple[()]:
        """None."""
        return ()

    def read(self, stream: object, start: int, end: int) -> tuple[()]:
        """None."""
        return ()


def _seen_by(host: Host, withheld: Withheld) -> Any:
    """A Prometheus and an Alertmanager without series, or without rules and what comes of them."""
    from firedrill.gateway.prometheus import HostWatched
    from firedrill.runner.living.thinning import Less, less
    from firedrill.world.telemetry import Monitoring, SeriesStore
    from firedrill.world.telemetry.rules import RuleBook

    class Watched(HostWatched):
        """What is left of the monitoring of a host."""

        less: Less | None = None

        @property
        def monitoring(self) -> Monitoring:
            """Series, rules and silences, to be read only (silences may be made)."""
            whole = super().monitoring
            left = Monitoring.__new__(Monitoring)
            left.silences, left.started_ms = whole.silences, whole.started_ms
            left.rules, left.store = whole.rules, whole.store
            hidden = _OF_ALERTS if "alerts" in withheld.kinds else frozenset[str]()
            if hidden:
                left.rules = RuleBook()
            if hidden or withheld.metrics_ms:
                left.store = self.less = less(
                    whole.store, self.less, hidden=hidden, every_ms=withheld.metrics_ms
                )
            if "metrics" in withheld.kinds:
                left.store = SeriesStore()
            return left

    return Watched(host)


__all__ = ["KINDS", "SCRAPED_MS", "Veiled", "Withheld", "apps", "unrecorded", "veiled"]
