"""A world's series, rules and alerts under the HTTP APIs of Prometheus and of its Alertmanager."""

from firedrill.gateway.prometheus.alertmanager import alertmanager_app
from firedrill.gateway.prometheus.api import prometheus_app
from firedrill.gateway.prometheus.source import HostWatched, Watched

__all__ = ["HostWatched", "Watched", "alertmanager_app", "prometheus_app"]
