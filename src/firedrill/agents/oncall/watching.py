"""How well things are: what fires, how many requests fail, how slow they are, which pods are missing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from firedrill.agents.oncall.asking import Asker
from firedrill.agents.oncall.recording import seconds

_PASSING = frozenset({"pod", "instance", "uid", "container_id", "id", "endpoint"})
_QUIET = frozenset({"none", "info"})
_ERRORS = (
    'sum(rate(traces_span_metrics_calls_total{status_code="STATUS_CODE_ERROR"}[1m]))'
    ' or sum(rate(istio_requests_total{response_code=~"5..|0"}[1m]))'
)
_SLOW = (
    "sum(rate(traces_span_metrics_duration_milliseconds_sum[1m]))"
    " / sum(rate(traces_span_metrics_duration_milliseconds_count[1m]))"
)
_MISSING = (
    "sum(kube_deployment_status_replicas_unavailable)"
    " + (sum(kube_daemonset_status_number_unavailable) or vector(0))"
)
Meaning = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Health:
    """How things are: errors in a second, milliseconds of the mean request, pods that are missing."""

    firing: frozenset[Meaning]
    errors: float
    slow: float
    missing: float

    @property
    def well(self) -> bool:
        """Whether nothing fires any more."""
        return not self.firing

    def better_than(self, other: Health) -> bool:
        """Whether something got clearly better since, and nothing clearly worse."""
        gains = [
            len(self.firing) < len(other.firing),
            self.errors < 0.6 * other.errors - 0.02,
            self.slow < 0.7 * other.slow - 5,
            self.missing < other.missing,
        ]
        losses = [
            len(self.firing) > len(other.firing),
            self.errors > 1.5 * other.errors + 0.2,
            self.missing > other.missing,
        ]
        return any(gains) and not any(losses)


@dataclass
class Watch:
    """Looks at the health of what somebody was called for.

    Args:
        asker: of the episode.
        onset: when the trouble began; what fires since before it is none of it.
    """

    asker: Asker
    onset: float

    async def look(self) -> Health:
        """Three or four requests."""
        told = await self.asker.ask("prometheus", "/api/v1/alerts")
        alerts = ((told or {}).get("data") or {}).get("alerts") or ()
        called = {meaning(item["labels"]) for item in self.asker.site.alerts}
        firing = frozenset(
            key
            for item in alerts
            if item.get("state") == "firing"
            and ((key := meaning(item["labels"])) in called or self._ours(item))
        )
        errors, slow, missing = [await self._value(query) for query in (_ERRORS, _SLOW, _MISSING)]
        return Health(firing, errors, slow, missing)

    async def firing(self) -> bool:
        """Whether any of it still fires."""
        told = await self.asker.ask("prometheus", "/api/v1/alerts")
        alerts = ((told or {}).get("data") or {}).get("alerts") or ()
        called = {meaning(item["labels"]) for item in self.asker.site.alerts}
        return any(
            item.get("state") == "firing" and (meaning(item["labels"]) in called or self._ours(item))
            for item in alerts
        )

    def _ours(self, item: Mapping[str, Any]) -> bool:
        labels = item.get("labels") or {}
        since = seconds(item.get("activeAt")) or 0.0
        serious = labels.get("severity") not in _QUIET
        about = labels.get("namespace") in (None, "", self.asker.site.namespace)
        return bool(serious and about and since >= self.onset - 60)

    async def _value(self, query: str) -> float:
        told = await self.asker.ask("prometheus", "/api/v1/query", query=query)
        result = ((told or {}).get("data") or {}).get("result") or ()
        try:
            return float(result[0]["value"][1]) if result else 0.0
        except (KeyError, IndexError, TypeError, ValueError):
            return 0.0


def meaning(labels: Mapping[str, str]) -> Meaning:
    """The labels of an alert without those that change with every new pod."""
    return tuple(sorted((key, item) for key, item in labels.items() if key not in _PASSING))
